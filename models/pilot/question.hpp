// SPDX-License-Identifier: GPL-2.0-only
//
// What people type: a few thousand wordings per intent, with noise.
#pragma once

#include <string>

#include "random.hpp"

namespace llamux::pilot {

enum class Intent {
    kDiagnose,  // why is it slow
    kHealth,    // is everything fine
    kSuggest,   // what should I do
    kExplain,   // why that change
    kWho,       // which group is it
    kIsIt,      // is it the disk, is it group B
    kGoal,      // tune for games
    kWhoAreYou,
    kGreeting,
    kOther,  // nothing this model knows
};

struct Question {
    Intent intent;
    std::string text;
    std::string subject;  // kIsIt: "cpu", "memory", "disk", "llamux" or a letter; kGoal: the goal
};

// `held_out`: one of the wordings that training never sees, without typos.
// `letters`: how many groups the facts name.
Question make_question(Random& random, bool held_out, unsigned letters);

// Greetings, questions about itself and unrelated talk only.
Question make_small_talk(Random& random, bool held_out);

}  // namespace llamux::pilot
