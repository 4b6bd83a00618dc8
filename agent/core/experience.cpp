// SPDX-License-Identifier: GPL-2.0-only
//
// See experience.hpp.
#include "core/experience.hpp"

#include <algorithm>

#include "core/change.hpp"
#include "core/clock.hpp"

namespace llamux {
namespace {

constexpr std::uint64_t kFadesAfterNs = 7 * 86400 * kNsPerSecond;

// @times: at most 31.
Outcomes halved(const Outcomes& outcomes, std::uint64_t times) {
    return {outcomes.tried >> times, outcomes.helped >> times, outcomes.worse >> times};
}

Outcomes as_of(const Lesson& lesson, std::uint64_t now_wall_ns) {
    const std::uint64_t age_ns = now_wall_ns - std::min(now_wall_ns, lesson.wall_ns);
    return halved(lesson.outcomes, std::min<std::uint64_t>(age_ns / kFadesAfterNs, 31));
}

// @experience: const or not.
template <class Lessons>
auto find_lesson(Lessons& experience, std::uint32_t cause, std::uint32_t kind,
                 std::uint32_t direction) {
    return std::find_if(experience.begin(), experience.end(), [&](const Lesson& lesson) {
        return lesson.cause == cause && lesson.kind == kind && lesson.direction == direction;
    });
}

}  // namespace

std::uint32_t Outcomes::weight_permille() const {
    return 1000 * (helped + 2) / (tried + worse + 2);
}

bool teaches(const Change& change) {
    if (!change.plan.goal.empty() || change.plan.fact.level == 0 || !change.effect ||
        change.effect->metric == Metric::kCount) {
        return false;
    }
    const bool is_taken_back =
        change.state == EntryType::kUndone ||
        (change.state == EntryType::kGone && !change.plan.reversible);  // as far as it can be
    return change.effect->verdict == Verdict::kImproved ? change.kept() : is_taken_back;
}

void learn(Experience& experience, const Change& change) {
    const Plan& plan = change.plan;
    auto lesson = find_lesson(experience, plan.fact.cause, plan.target.kind, plan.direction);
    if (lesson == experience.end()) {
        lesson = experience.insert(lesson, Lesson{plan.fact.cause,
                                                  static_cast<std::uint32_t>(plan.target.kind),
                                                  plan.direction,
                                                  {},
                                                  change.last_wall_ns});
    }
    Outcomes outcomes = as_of(*lesson, change.last_wall_ns);
    outcomes.tried++;
    outcomes.helped += change.effect->verdict == Verdict::kImproved;
    outcomes.worse += change.effect->verdict == Verdict::kWorse;
    lesson->outcomes = outcomes.tried > kMostTries ? halved(outcomes, 1) : outcomes;
    lesson->wall_ns = change.last_wall_ns;
}

Outcomes outcomes_of(const Experience& experience, std::uint32_t cause, std::uint32_t kind,
                     std::uint32_t direction, std::uint64_t now_wall_ns) {
    const auto lesson = find_lesson(experience, cause, kind, direction);
    return lesson == experience.end() ? Outcomes{} : as_of(*lesson, now_wall_ns);
}

}  // namespace llamux
