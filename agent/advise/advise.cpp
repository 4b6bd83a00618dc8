// SPDX-License-Identifier: GPL-2.0-only
//
// See advise.hpp.
#include "advise/advise.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace llamux {
namespace {

std::string bounded_text(const char* text, std::size_t size) {
    return std::string(text, ::strnlen(text, size));
}

std::string path_of(const CgroupTree& tree, std::uint64_t id) {
    const CgroupNode* node = tree.find(id);
    return node ? node->path : std::string();
}

Fact make_fact(const llamux_fact& from, const CgroupTree& tree) {
    Fact fact;
    fact.cause = from.cause;
    fact.level = from.level;
    fact.victim_id = from.victim_id;
    fact.culprit_id = from.culprit_id;
    fact.victim_path = path_of(tree, from.victim_id);
    fact.culprit_path = path_of(tree, from.culprit_id);
    for (std::uint32_t i = 0; i < from.n_evidence; i++) {
        const llamux_evidence& item = from.evidence[i];
        fact.evidence.push_back(
            {item.source, path_of(tree, item.cgroup_id), item.value, item.normal, item.threshold});
    }
    return fact;
}

Candidate make_candidate(const llamux_candidate& from, const CgroupTree& tree) {
    Candidate candidate;
    candidate.kind = from.kind;
    candidate.direction = from.direction;
    candidate.cgroup_id = from.cgroup_id;
    candidate.cgroup_path = path_of(tree, from.cgroup_id);
    candidate.value_old = from.value_old;
    candidate.value_new = from.value_new;
    candidate.score = from.score;
    candidate.probability_permille = from.probability_permille;
    candidate.phrase = bounded_text(from.phrase, sizeof(from.phrase));
    return candidate;
}

Status check(const llamux_advice& answer) {
    if (answer.n_facts > LLAMUX_MAX_FACTS || answer.n_candidates > LLAMUX_MAX_CANDIDATES ||
        answer.n_candidates == 0 || answer.chosen >= answer.n_candidates) {
        return Error{EPROTO, "the module's advice has impossible counts"};
    }
    for (std::uint32_t i = 0; i < answer.n_facts; i++) {
        if (answer.facts[i].n_evidence > LLAMUX_EVIDENCE_MAX) {
            return Error{EPROTO, "the module's advice has impossible evidence"};
        }
    }
    for (std::uint32_t i = 0; i < answer.n_candidates; i++) {
        if (!action_row(answer.candidates[i].kind)) {
            return Error{EPROTO, "the module advises a knob this agent does not know"};
        }
    }
    return {};
}

// "No change" is the last of the list, and nothing speaks against it.
void choose_by_rules(Suggestion& suggestion) {
    while (suggestion.candidates[suggestion.chosen].here.speaks_against()) {
        suggestion.chosen++;
    }
}

// As choose() of kmod/engine/advise.c does, with weighed probabilities.
void choose_by_probability(Suggestion& suggestion) {
    std::uint64_t sum = 0;
    std::uint64_t best = 0;
    std::uint64_t next = 0;
    suggestion.chosen = suggestion.candidates.size() - 1;
    for (std::size_t i = 0; i < suggestion.candidates.size(); i++) {
        const Candidate& candidate = suggestion.candidates[i];
        const std::uint64_t weighed =
            candidate.here.speaks_against()
                ? 0
                : std::uint64_t{candidate.probability_permille} * candidate.here.weight_permille();
        sum += weighed;
        if (weighed > best) {
            next = best;
            best = weighed;
            suggestion.chosen = i;
        } else {
            next = std::max(next, weighed);
        }
    }
    suggestion.margin_permille =
        sum == 0 ? 0 : static_cast<std::uint32_t>(1000 * (best - next) / sum);
    if (suggestion.margin_permille < LLAMUX_ADVISE_MARGIN_PERMILLE) {
        suggestion.chosen = suggestion.candidates.size() - 1;
    }
}

}  // namespace

Result<Suggestion> make_suggestion(const Advice& advice, const CgroupTree& tree, Clock& clock) {
    const llamux_advice& answer = advice.answer;
    if (Status sound = check(answer); !sound) {
        return sound.error();
    }
    Suggestion suggestion;
    suggestion.boot_ns = clock.boot_ns();
    suggestion.wall_ns = clock.wall_ns();
    suggestion.snapshot_sequence = answer.snapshot_sequence;
    suggestion.window_ns = advice.snapshot ? advice.snapshot->window_ns : 0;
    suggestion.ranked_by = answer.ranked_by;
    suggestion.margin_permille = answer.margin_permille;
    suggestion.n_prompt_tokens = answer.n_prompt_tokens;
    suggestion.detect_ns = answer.detect_ns;
    suggestion.rank_ns = answer.rank_ns;
    suggestion.prompt = advice.prompt;
    for (std::uint32_t i = 0; i < answer.n_facts; i++) {
        suggestion.facts.push_back(make_fact(answer.facts[i], tree));
    }
    for (std::uint32_t i = 0; i < answer.n_candidates; i++) {
        suggestion.candidates.push_back(make_candidate(answer.candidates[i], tree));
    }
    suggestion.chosen = answer.chosen;
    if (const Candidate* change = suggestion.change()) {
        suggestion.id = suggestion_id(*change);
    }
    return suggestion;
}

Suggestion weigh(Suggestion suggestion, const Experience& experience) {
    bool any_shrinks = false;
    for (Candidate& candidate : suggestion.candidates) {
        if (candidate.is_change()) {
            candidate.here = outcomes_of(experience, fact_of(suggestion, candidate).cause,
                                         candidate.kind, candidate.direction, suggestion.wall_ns);
            any_shrinks = any_shrinks || candidate.here.weight_permille() < 1000;
        }
    }
    if (!any_shrinks) {
        return suggestion;
    }
    if (suggestion.ranked_by == LLAMUX_RANKED_BY_MODEL) {
        choose_by_probability(suggestion);
    } else {
        choose_by_rules(suggestion);
    }
    const Candidate* change = suggestion.change();
    suggestion.id = change ? suggestion_id(*change) : "";
    return suggestion;
}

Fact fact_of(const Suggestion& suggestion, const Candidate& candidate) {
    // The knob may sit on a group above the one that the fact names.
    const auto is_within = [&](const std::string& path) {
        return path == candidate.cgroup_path || path.starts_with(candidate.cgroup_path + "/");
    };
    const Resource resource = resource_of(static_cast<llamux_action_kind>(candidate.kind));
    const Fact* best = nullptr;
    int most = -1;
    for (const Fact& fact : suggestion.facts) {
        const bool is_named = candidate.cgroup_id != 0 &&
                              (is_within(fact.culprit_path) || is_within(fact.victim_path));
        const int fits = 2 * is_named + (resource_of_cause(fact.cause) == resource);
        if (fits > most) {
            most = fits;
            best = &fact;
        }
    }
    return best ? *best : Fact{};
}

std::vector<const Candidate*> changes_in_turn(const Suggestion& suggestion) {
    std::vector<const Candidate*> turn;
    const Candidate* chosen = suggestion.change();
    if (!chosen) {
        return turn;
    }
    turn.push_back(chosen);
    for (const Candidate& candidate : suggestion.candidates) {
        if (&candidate != chosen && candidate.is_change() && !candidate.here.speaks_against()) {
            turn.push_back(&candidate);
        }
    }
    return turn;
}

std::uint64_t situation_of(const llamux_advice& answer) {
    // FNV-1a over the numbers that name the trouble and the remedies.
    std::uint64_t hash = 0xcbf29ce484222325;
    const auto add = [&hash](std::uint64_t value) { hash = (hash ^ value) * 0x100000001b3; };
    for (std::uint32_t i = 0; i < answer.n_facts && i < LLAMUX_MAX_FACTS; i++) {
        add(answer.facts[i].cause);
        add(answer.facts[i].victim_id);
        add(answer.facts[i].culprit_id);
    }
    for (std::uint32_t i = 0; i < answer.n_candidates && i < LLAMUX_MAX_CANDIDATES; i++) {
        add(answer.candidates[i].kind);
        add(answer.candidates[i].direction);
        add(answer.candidates[i].cgroup_id);
    }
    return hash;
}

SecondLook look_again(const llamux_advice& answer, const Candidate& candidate, const Fact& fact) {
    bool says_opposite = false;
    for (std::uint32_t i = 0; i < answer.n_candidates; i++) {
        const llamux_candidate& now = answer.candidates[i];
        if (now.kind == candidate.kind && now.cgroup_id == candidate.cgroup_id) {
            if (now.direction == candidate.direction) {
                return SecondLook::kSame;
            }
            says_opposite = true;
        }
    }
    if (says_opposite) {
        return SecondLook::kOpposite;
    }
    for (std::uint32_t i = 0; i < answer.n_facts; i++) {
        const llamux_fact& now = answer.facts[i];
        if (now.cause == fact.cause && (now.victim_id == fact.victim_id || now.victim_id == 0) &&
            (now.culprit_id == fact.culprit_id || now.culprit_id == 0)) {
            return SecondLook::kSame;
        }
    }
    return SecondLook::kNothing;
}

}  // namespace llamux
