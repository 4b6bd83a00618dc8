// SPDX-License-Identifier: GPL-2.0-only
//
// See answer.hpp. "V" and "C" in a sentence stand for the letters of victim and
// culprit; a sentence that names a group the fact does not have is not used.
#include "answer.hpp"

namespace llamux::pilot {
namespace {

// Sentences per cause: with both groups, with the victim, with the culprit,
// with none. The first that the fact can fill is used.
struct CauseWords {
    Words both;
    Words victim;
    Words culprit;
    Words none;
};

const CauseWords& cause_words(u32 cause) {
    static const std::vector<CauseWords> kWords = [] {
        std::vector<CauseWords> w(LLAMUX_N_CAUSES);
        w[LLAMUX_CAUSE_CPU_CONTENTION] = {
            {"group C takes the cpu that group V needs",
             "group V waits for the cpu because group C takes it"},
            {"group V waits for the cpu because another group takes it"},
            {"group C takes the cpu"},
            {"another group takes the cpu"}};
        w[LLAMUX_CAUSE_CPU_QUOTA] = {
            {},
            {"group V is stopped by its own cpu quota", "the cpu quota of group V is too small"},
            {},
            {"a cpu quota is too small"}};
        w[LLAMUX_CAUSE_CPU_SATURATED] = {
            {}, {}, {}, {"there is more work than the cpus can do", "all cpus are full of work"}};
        w[LLAMUX_CAUSE_MEMORY_LEAK] = {
            {"group C grows and fills the memory, and group V waits for it"},
            {},
            {"group C grows and fills the memory"},
            {"one group grows and fills the memory"}};
        w[LLAMUX_CAUSE_MEMORY_RECLAIM] = {
            {},
            {"group V waits while memory is reclaimed",
             "memory is short and group V has to wait while it is reclaimed"},
            {},
            {"tasks wait while memory is reclaimed"}};
        w[LLAMUX_CAUSE_MEMORY_THRASH] = {
            {},
            {"group V reads pages back soon after they were dropped",
             "the memory is too small for what group V reads again and again"},
            {},
            {"pages are read back soon after they were dropped"}};
        w[LLAMUX_CAUSE_MEMORY_LIMIT] = {{},
                                        {"the memory limit of group V is too small",
                                         "group V is held back by its own memory limit"},
                                        {},
                                        {"a memory limit is too small"}};
        w[LLAMUX_CAUSE_SWAP_THRASH] = {
            {"group C fills the memory, and group V waits for pages that moved to swap"},
            {"pages move to swap and back, and group V waits for them"},
            {"group C fills the memory, and pages move to swap and back"},
            {"pages move to swap and back"}};
        w[LLAMUX_CAUSE_DIRTY_STALL] = {{},
                                       {"group V waits until dirty pages are written"},
                                       {},
                                       {"writers wait for dirty pages"}};
        w[LLAMUX_CAUSE_IO_CONTENTION] = {{"group C takes the disk that group V needs",
                                          "group V waits for the disk because group C takes it"},
                                         {"group V waits for the disk"},
                                         {"group C takes the disk"},
                                         {"another group takes the disk"}};
        w[LLAMUX_CAUSE_FORK_STORM] = {
            {"group C starts very many tasks and group V waits for the cpu"},
            {},
            {"group C starts very many tasks"},
            {"one group starts very many tasks"}};
        w[LLAMUX_CAUSE_MIGRATION_CHURN] = {{}, {}, {}, {"tasks move between cpus too often"}};
        w[LLAMUX_CAUSE_IRQ_LOAD] = {{}, {}, {}, {"interrupts take the cpu"}};
        w[LLAMUX_CAUSE_CLOCK_THROTTLED] = {{}, {}, {}, {"the cpu clock is held down"}};
        w[LLAMUX_CAUSE_SELF] = {{}, {}, {}, {"I take the cpu myself"}};
        return w;
    }();
    return kWords[cause];
}

std::string_view resource(u32 cause) {
    switch (cause) {
        case LLAMUX_CAUSE_SELF:
            return "llamux";
        case LLAMUX_CAUSE_MEMORY_LEAK:
        case LLAMUX_CAUSE_MEMORY_RECLAIM:
        case LLAMUX_CAUSE_MEMORY_THRASH:
        case LLAMUX_CAUSE_MEMORY_LIMIT:
        case LLAMUX_CAUSE_SWAP_THRASH:
            return "memory";
        case LLAMUX_CAUSE_DIRTY_STALL:
        case LLAMUX_CAUSE_IO_CONTENTION:
            return "disk";
        default:
            return "cpu";
    }
}

std::string sentence(std::string text) {
    if (text[0] >= 'a' && text[0] <= 'z') {
        text[0] = static_cast<char>(text[0] - 'a' + 'A');
    }
    return text + ".";
}

// Answers to one scene.
class Speaker {
  public:
    Speaker(Random& random, const Scene& scene) : r_(random), scene_(scene) {}

    std::string answer(const Question& question) {
        switch (question.intent) {
            case Intent::kHealth:
                return scene_.has_fact() ? say("No, ") + cause(0) + "." + suggestion() : fine();
            case Intent::kSuggest:
                return suggest();
            case Intent::kExplain:
                return explain();
            case Intent::kWho:
                return who();
            case Intent::kIsIt:
                return is_it(question.subject);
            case Intent::kGoal:
                return goal(question.subject);
            default:
                return diagnose();
        }
    }

  private:
    static std::string say(std::string_view words) { return std::string(words); }

    bool is_known() const { return llx_measure_has_window(scene_.snapshot.get()); }
    const llamux_fact& fact(u32 i) const { return scene_.advice.facts[i]; }
    const llamux_candidate& chosen() const {
        return scene_.advice.candidates[scene_.advice.chosen];
    }

    // "group B takes the cpu that group A needs"
    std::string cause(u32 i) {
        const auto& words = cause_words(fact(i).cause);
        const bool victim = fact(i).victim_id != 0;
        const bool culprit = fact(i).culprit_id != 0;
        const Words* from = &words.none;
        if (victim && culprit && !words.both.empty()) {
            from = &words.both;
        } else if (culprit && !words.culprit.empty()) {
            from = &words.culprit;
        } else if (victim && !words.victim.empty()) {
            from = &words.victim;
        }
        std::string out;
        for (const char c : r_.pick(*from)) {
            out += c == 'V'   ? scene_.letter(fact(i).victim_id)
                   : c == 'C' ? scene_.letter(fact(i).culprit_id)
                              : c;
        }
        return out;
    }
    std::string fine() {
        if (!is_known()) {
            return "I have not watched long enough to tell. Ask again in a few seconds.";
        }
        return "Nothing is wrong.";
    }
    std::string suggestion() {
        if (chosen().kind == LLAMUX_ACTION_NONE) {
            return r_.chance(50) ? " I suggest no change." : " No setting would help.";
        }
        return (r_.chance(50) ? " I suggest to " : " It would help to ") + say(chosen().phrase) +
               ".";
    }
    std::string diagnose() {
        if (!scene_.has_fact()) {
            return fine();
        }
        std::string out = sentence(cause(0));
        if (scene_.advice.n_facts > 1) {
            out += " Also, " + cause(1) + ".";
        }
        return out + suggestion();
    }
    std::string suggest() {
        if (!scene_.has_fact()) {
            return fine() + (is_known() ? " I suggest no change." : "");
        }
        if (chosen().kind == LLAMUX_ACTION_NONE) {
            return "I suggest no change, because " + cause(0) + ".";
        }
        return sentence(say(chosen().phrase)) + " " + sentence(cause(0));
    }
    std::string explain() {
        if (!scene_.has_fact()) {
            return fine() + (is_known() ? " So I suggest no change." : "");
        }
        if (chosen().kind == LLAMUX_ACTION_NONE) {
            return sentence(cause(0)) + " No setting would help.";
        }
        return sentence(cause(0)) + " That is why I suggest to " + chosen().phrase + ".";
    }
    std::string who() {
        if (!scene_.has_fact()) {
            return fine();
        }
        const char victim = scene_.letter(fact(0).victim_id);
        const char culprit = scene_.letter(fact(0).culprit_id);
        if (culprit != '?') {
            return say("It is group ") + culprit + ". " + sentence(cause(0));
        }
        if (victim != '?') {
            return say("Group ") + victim + " suffers. " + sentence(cause(0));
        }
        return "No single group. " + sentence(cause(0));
    }
    std::string is_it(const std::string& subject) {
        if (!scene_.has_fact()) {
            return is_known() ? "No. Nothing is wrong." : fine();
        }
        if (subject.size() == 1) {
            return is_group(subject[0]);
        }
        for (u32 i = 0; i < scene_.advice.n_facts; ++i) {
            if (resource(fact(i).cause) == subject) {
                return "Yes, " + cause(i) + "." + (i == 0 ? suggestion() : "");
            }
        }
        return "No, " + cause(0) + "." + suggestion();
    }
    std::string is_group(char letter) {
        const u64 id = llx_letters_group(&scene_.letters, letter);
        for (u32 i = 0; id != 0 && i < scene_.advice.n_facts; ++i) {
            if (fact(i).culprit_id == id) {
                return "Yes, " + cause(i) + ".";
            }
            if (fact(i).victim_id == id) {
                return say("Group ") + letter + " suffers, " + cause(i) + ".";
            }
        }
        return say("I see no trouble with group ") + letter + ". " + sentence(cause(0));
    }
    std::string goal(const std::string& name) {
        std::string out;
        if (name == "games") {
            out = "For games, the game must not wait for the cpu.";
        } else if (name == "builds") {
            out = "For builds, all cpus should be busy and memory free.";
        } else if (name == "battery") {
            out = "To save power, less should run.";
        } else {
            out = "For a server, requests must not wait.";
        }
        return out + " " + (scene_.has_fact() ? sentence(cause(0)) + suggestion() : fine());
    }

    Random& r_;
    const Scene& scene_;
};

}  // namespace

std::string make_chat_answer(Random& random, const Question& question) {
    switch (question.intent) {
        case Intent::kGreeting:
            return random.chance(50) ? "Hello. I look after this machine. Ask me why it is slow."
                                     : "Hello. Ask me how this machine is doing.";
        case Intent::kWhoAreYou:
            return "I am Llamux, a small language model inside the Linux kernel. I look after"
                   " this machine.";
        default:
            return "I can only talk about this machine. Ask me why it is slow.";
    }
}

std::string make_answer(Random& random, const Scene& scene, const Question& question) {
    switch (question.intent) {
        case Intent::kGreeting:
        case Intent::kWhoAreYou:
        case Intent::kOther:
            return make_chat_answer(random, question);
        default:
            return Speaker(random, scene).answer(question);
    }
}

}  // namespace llamux::pilot
