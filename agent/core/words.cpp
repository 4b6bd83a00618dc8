// SPDX-License-Identifier: GPL-2.0-only
//
// Names of the small enumerations of core/, and the stable id of a suggestion.
#include <array>
#include <cstdio>

#include "core/change.hpp"
#include "core/effect.hpp"
#include "core/refusal.hpp"
#include "core/steps.hpp"
#include "core/suggestion.hpp"

namespace llamux {
namespace {

constexpr std::array<std::string_view, 11> kEntryWords = {
    "planned", "written", "returned", "kept",        "undoing",    "undone",
    "failed",  "frozen",  "gone",     "knob-frozen", "knob-freed",
};

// FNV-1a, 64 bit: http://www.isthe.com/chongo/tech/comp/fnv/
class Fnv1a {
  public:
    void add(std::string_view bytes) {
        for (const unsigned char byte : bytes) {
            hash_ = (hash_ ^ byte) * 0x100000001b3;
        }
        hash_ *= 0x100000001b3;  // as a byte 0: ends the field
    }
    std::uint64_t hash() const { return hash_; }

  private:
    std::uint64_t hash_ = 0xcbf29ce484222325;
};

}  // namespace

std::string_view entry_type_word(EntryType type) {
    return kEntryWords[static_cast<std::size_t>(type)];
}

std::optional<EntryType> entry_type_of(std::string_view word) {
    for (std::size_t i = 0; i < kEntryWords.size(); i++) {
        if (kEntryWords[i] == word) {
            return static_cast<EntryType>(i);
        }
    }
    return std::nullopt;
}

std::string_view verdict_word(Verdict verdict) {
    switch (verdict) {
        case Verdict::kImproved:
            return "improved";
        case Verdict::kWorse:
            return "worse";
        case Verdict::kNoEffect:
            break;
    }
    return "no-effect";
}

bool outlasts_the_moment(RefusalReason reason) {
    switch (reason) {
        case RefusalReason::kKnobOff:
        case RefusalReason::kKnobAdviceOnly:
        case RefusalReason::kGroupNameUnusable:
        case RefusalReason::kGroupProtected:
        case RefusalReason::kForAUser:
        case RefusalReason::kNotDelegated:
        case RefusalReason::kNoSiblings:
        case RefusalReason::kIoWeightWithoutEffect:
        case RefusalReason::kTriedInVain:
        case RefusalReason::kFrozen:
        case RefusalReason::kOtherTuner:
        case RefusalReason::kGoal:
        case RefusalReason::kQuarantined:
            return true;
        default:
            return false;
    }
}

std::string_view refusal_words(RefusalReason reason) {
    switch (reason) {
#define LLAMUX_CASE(id, words) \
    case RefusalReason::k##id: \
        return words;
        LLAMUX_REFUSALS(LLAMUX_CASE)
#undef LLAMUX_CASE
    }
    return "";
}

std::string_view refusal_name(RefusalReason reason) {
    switch (reason) {
#define LLAMUX_CASE(id, words) \
    case RefusalReason::k##id: \
        return #id;
        LLAMUX_REFUSALS(LLAMUX_CASE)
#undef LLAMUX_CASE
    }
    return "";
}

std::string Refusal::text() const {
    std::string words(refusal_words(reason));
    return detail.empty() ? words : words + " (" + detail + ")";
}

std::string_view step_word(Step step) {
    switch (step) {
#define LLAMUX_CASE(id, word) \
    case Step::k##id:         \
        return word;
        LLAMUX_STEPS(LLAMUX_CASE)
#undef LLAMUX_CASE
    }
    return "";
}

std::string_view ranked_by_word(std::uint32_t ranked_by) {
    switch (ranked_by) {
        case LLAMUX_RANKED_BY_RULES:
            return "rules";
        case LLAMUX_RANKED_BY_MODEL:
            return "model";
        default:
            return "nothing";
    }
}

std::string suggestion_id(const Candidate& candidate) {
    Fnv1a hash;
    const ActionRow* row = action_row(candidate.kind);
    hash.add(row ? row->name : "");
    hash.add(candidate.cgroup_path);
    hash.add(direction_word(candidate.direction));
    hash.add(std::to_string(candidate.value_new));
    std::array<char, 17> hex{};
    std::snprintf(hex.data(), hex.size(), "%016llx", static_cast<unsigned long long>(hash.hash()));
    return std::string(hex.data(), 12);
}

}  // namespace llamux
