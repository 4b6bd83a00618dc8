// SPDX-License-Identifier: GPL-2.0-only
//
// What the model should say: one to three short sentences that follow from the
// facts, groups by letter, no digits.
#pragma once

#include <string>

#include "question.hpp"
#include "random.hpp"
#include "scene.hpp"

namespace llamux::pilot {

std::string make_answer(Random& random, const Scene& scene, const Question& question);

// Without a scene: LLAMUX_FORMAT_CHAT.
std::string make_chat_answer(Random& random, const Question& question);

}  // namespace llamux::pilot
