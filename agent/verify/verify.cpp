// SPDX-License-Identifier: GPL-2.0-only
//
// See verify.hpp for the test and its sources.
#include "verify/verify.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iterator>
#include <optional>

namespace llamux {
namespace {

constexpr double kMedianError = 1.2533 * 1.4826;
constexpr double kErrors = 3;

// How much the MAD of a small sample falls short; Croux and Rousseeuw,
// "Time-efficient algorithms for two highly robust estimators of scale", 1992.
double mad_correction(std::size_t n) {
    constexpr double kFactors[] = {1.49, 1.363, 1.206, 1.200, 1.140, 1.129, 1.107};
    const double size = static_cast<double>(n);
    return n - kMinWindows < std::size(kFactors) ? kFactors[n - kMinWindows] : size / (size - 0.8);
}
constexpr double kSevereRisePermille = 100;
// Of what a change took away. Not all of it is back at once: queues fill slowly.
constexpr double kCameBack = 0.25;

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    const std::size_t middle = values.size() / 2;
    return values.size() % 2 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

bool is_below(const Window& window, std::uint64_t id, std::uint64_t ancestor) {
    for (std::size_t depth = 0; id != 0 && depth < window.groups.size() + 1; depth++) {
        if (id == ancestor) {
            return true;
        }
        const Readings* readings = window.find(id);
        id = readings ? readings->parent_id : 0;
    }
    return ancestor == 0;
}

// The groups that are to wait longer: the cause, and what a change lowers.
std::vector<std::uint64_t> slowed_by(const Plan& plan) {
    std::vector<std::uint64_t> slowed;
    if (plan.fact.culprit_id != 0) {
        slowed.push_back(plan.fact.culprit_id);
    }
    if (plan.direction == LLAMUX_LOWER && plan.target.cgroup_id != 0) {
        slowed.push_back(plan.target.cgroup_id);
    }
    return slowed;
}

// Time in which a group waited for the resource at all: only then it can have been
// the reason that the system did.
Metric some_of(Metric pressure) {
    switch (pressure) {
        case Metric::kPsiMemoryFull:
            return Metric::kPsiMemorySome;
        case Metric::kPsiIoFull:
            return Metric::kPsiIoSome;
        default:
            return pressure;
    }
}

// What the plan's windows tell of a group, or of the system (0), but for what
// the slowed groups below it felt: they are meant to.
class Felt {
  public:
    Felt(const Plan& plan, const Window& window, std::uint64_t id) : window_(window), id_(id) {
        for (const std::uint64_t group : slowed_by(plan)) {
            if (group != id && is_below(window, group, id)) {
                slowed_.push_back(group);
            }
        }
    }

    std::optional<double> of(Metric metric) const {
        const std::optional<double> all = value(id_, metric);
        if (slowed_.empty() || !all) {
            return all;
        }
        switch (metric_row(metric).sum) {
            case Sum::kTime:
                return time_without(*all, metric);
            case Sum::kParts:  // a group's own do not contain those below it
                return id_ == 0 ? std::max(*all - parts(metric), 0.0) : *all;
            case Sum::kNone:
                break;
        }
        return id_ == 0 ? std::nullopt : all;
    }

  private:
    std::optional<double> value(std::uint64_t id, Metric metric) const {
        const Readings* readings = window_.find(id);
        return readings ? readings->of(metric) : std::nullopt;
    }
    bool is_slowed(std::uint64_t id) const {
        return std::any_of(slowed_.begin(), slowed_.end(),
                           [&](std::uint64_t group) { return is_below(window_, id, group); });
    }
    bool has_slowed(std::uint64_t id) const {
        return std::any_of(slowed_.begin(), slowed_.end(),
                           [&](std::uint64_t group) { return is_below(window_, group, id); });
    }
    double parts(Metric metric) const {
        double sum = 0;
        for (const Readings& group : window_.groups) {
            sum += is_slowed(group.cgroup_id) ? group.of(metric).value_or(0) : 0;
        }
        return sum;
    }
    // The others waited at least while somebody waited and the slowed group did not,
    // and as long as the one of them who waited longest.
    double time_without(double all, Metric metric) const {
        double slowed = 0;
        double others = 0;
        for (const Readings& group : window_.groups) {
            const std::uint64_t id = group.cgroup_id;
            if (is_slowed(id)) {
                slowed = std::max(slowed, group.of(some_of(metric)).value_or(0));
            } else if (id != id_ && is_below(window_, id, id_) && !has_slowed(id)) {
                others = std::max(others, group.of(metric).value_or(0));
            }
        }
        return std::max(all - slowed, others);
    }

    const Window& window_;
    std::uint64_t id_;
    std::vector<std::uint64_t> slowed_;
};

struct Sample {
    std::size_t n = 0;
    double median = 0;
    double error = 0;  // standard error of the median
};

std::vector<double> values_of(const Plan& plan, const std::vector<Window>& windows,
                              std::uint64_t cgroup_id, Metric metric) {
    std::vector<double> values;
    for (const Window& window : windows) {
        if (const auto value = Felt(plan, window, cgroup_id).of(metric)) {
            values.push_back(*value);
        }
    }
    return values;
}

std::optional<Sample> sample_of(const Plan& plan, const std::vector<Window>& windows,
                                std::uint64_t cgroup_id, Metric metric) {
    std::vector<double> values = values_of(plan, windows, cgroup_id, metric);
    if (values.size() < kMinWindows) {
        return std::nullopt;
    }
    Sample sample;
    sample.n = values.size();
    sample.median = median(values);
    for (double& value : values) {
        value = std::abs(value - sample.median);
    }
    sample.error = kMedianError * mad_correction(sample.n) * median(values) /
                   std::sqrt(static_cast<double>(sample.n));
    return sample;
}

struct Comparison {
    Sample before;
    Sample after;
    double margin = 0;

    double rise() const { return after.median - before.median; }
};

std::optional<Comparison> compare(const Plan& plan, const std::vector<Window>& before,
                                  const std::vector<Window>& after, std::uint64_t cgroup_id,
                                  Metric metric, double minimum_effect) {
    const auto sample_before = sample_of(plan, before, cgroup_id, metric);
    const auto sample_after = sample_of(plan, after, cgroup_id, metric);
    if (!sample_before || !sample_after) {
        return std::nullopt;
    }
    Comparison comparison{*sample_before, *sample_after, 0};
    comparison.margin = std::max({metric_row(metric).floor, minimum_effect * sample_before->median,
                                  kErrors * std::hypot(sample_before->error, sample_after->error)});
    return comparison;
}

std::string number_text(double value) {
    char text[32];
    std::snprintf(text, sizeof(text), value < 10 ? "%.1f" : "%.0f", value);
    return text;
}

Effect make_effect(Verdict verdict, Metric metric, std::uint64_t cgroup_id,
                   const Comparison& comparison, const char* ending) {
    Effect effect;
    effect.verdict = verdict;
    effect.metric = metric;
    effect.cgroup_id = cgroup_id;
    effect.before = comparison.before.median;
    effect.after = comparison.after.median;
    effect.margin = comparison.margin;
    effect.windows_before = static_cast<int>(comparison.before.n);
    effect.windows_after = static_cast<int>(comparison.after.n);
    const MetricRow& row = metric_row(metric);
    effect.why = std::string(row.words) + " went from " + number_text(effect.before) + " to " +
                 number_text(effect.after) + " " + std::string(row.unit) + ending;
    return effect;
}

// Groups whose own waiting may rise as intended: the one that was changed and
// the one that caused the trouble, all below them, and all above them, whose
// pressure includes theirs.
bool may_wait_longer(const Plan& plan, const Window& window, std::uint64_t id) {
    for (const std::uint64_t slowed : {plan.target.cgroup_id, plan.fact.culprit_id}) {
        if (slowed != 0 && (is_below(window, id, slowed) || is_below(window, slowed, id))) {
            return true;
        }
    }
    return false;
}

std::optional<Effect> find_harm(const Plan& plan, const std::vector<Window>& before,
                                const std::vector<Window>& after) {
    std::vector<std::uint64_t> ids = {0};
    for (const Readings& readings : after.back().groups) {
        if (!may_wait_longer(plan, after.back(), readings.cgroup_id)) {
            ids.push_back(readings.cgroup_id);
        }
    }
    for (const std::uint64_t id : ids) {
        for (const Metric metric :
             {Metric::kPsiCpuSome, Metric::kPsiMemoryFull, Metric::kPsiIoFull}) {
            // The system's CPU pressure includes the slowed group's.
            if (id == 0 && metric == Metric::kPsiCpuSome) {
                continue;
            }
            const auto comparison = compare(plan, before, after, id, metric, 1.0);
            if (comparison && comparison->rise() > comparison->margin &&
                comparison->rise() > kSevereRisePermille) {
                return make_effect(Verdict::kWorse, metric, id, *comparison,
                                   id == 0 ? " for the whole system" : " for another group");
            }
        }
    }
    return std::nullopt;
}

// Whose metric tells: the victim's, but who grows is the cause.
std::uint64_t subject_of(Metric metric, const Fact& fact) {
    return metric == Metric::kMemoryGrowthKib ? fact.culprit_id : fact.victim_id;
}

}  // namespace

std::vector<Metric> metrics_of(std::uint32_t cause) {
    switch (cause) {
        case LLAMUX_CAUSE_CPU_QUOTA:
            return {Metric::kThrottledPermille, Metric::kPsiCpuSome};
        case LLAMUX_CAUSE_MEMORY_LEAK:
            return {Metric::kDirectReclaimUs, Metric::kPsiMemorySome, Metric::kMemoryGrowthKib};
        case LLAMUX_CAUSE_MEMORY_RECLAIM:
            return {Metric::kDirectReclaimUs, Metric::kPsiMemorySome};
        case LLAMUX_CAUSE_MEMORY_THRASH:
            return {Metric::kRefaults, Metric::kPsiMemorySome};
        case LLAMUX_CAUSE_MEMORY_LIMIT:
            return {Metric::kMemoryHighEvents, Metric::kPsiMemorySome};
        case LLAMUX_CAUSE_SWAP_THRASH:
            // Fast swap costs a group little waiting, but much work.
            return {Metric::kRefaults, Metric::kPsiMemorySome};
        case LLAMUX_CAUSE_DIRTY_STALL:
            return {Metric::kPsiIoFull, Metric::kPsiIoSome};
        case LLAMUX_CAUSE_IO_CONTENTION:
            return {Metric::kPsiIoSome, Metric::kBlockIoMeanUs};
        default:
            // Pressure may rise while waiting falls: who gets more CPU runs more tasks at once.
            return {Metric::kRunqWaitPermille, Metric::kPsiCpuSome};
    }
}

Effect judge(const Plan& plan, const std::vector<Window>& before, const std::vector<Window>& after,
             const MeasureLimits& limits) {
    const double minimum_effect = limits.minimum_effect_permille / 1000.0;
    std::optional<Effect> effect;
    for (const Metric metric : metrics_of(plan.fact.cause)) {
        const std::uint64_t whose = subject_of(metric, plan.fact);
        const auto comparison = compare(plan, before, after, whose, metric, minimum_effect);
        if (!comparison) {
            continue;
        }
        if (comparison->rise() > comparison->margin) {
            return make_effect(Verdict::kWorse, metric, whose, *comparison, "");
        }
        if (-comparison->rise() > comparison->margin) {
            effect = make_effect(Verdict::kImproved, metric, whose, *comparison, "");
            break;
        }
        if (!effect) {
            effect = make_effect(Verdict::kNoEffect, metric, whose, *comparison,
                                 ": not enough to tell from chance");
        }
    }
    if (!after.empty()) {
        if (std::optional<Effect> harm = find_harm(plan, before, after)) {
            return *harm;
        }
    }
    if (effect) {
        return *effect;
    }
    Effect unknown;
    unknown.cgroup_id = plan.fact.victim_id;
    unknown.why = "the effect could not be measured";
    return unknown;
}

Effect confirm(const Plan& plan, Effect effect, const std::vector<Window>& returned) {
    const std::vector<double> values = values_of(plan, returned, effect.cgroup_id, effect.metric);
    if (values.empty()) {
        effect.verdict = Verdict::kNoEffect;
        effect.why += "; with the old value back it could not be measured";
        return effect;
    }
    effect.returned = median(values);
    const bool came_back =
        *effect.returned > effect.after + kCameBack * (effect.before - effect.after);
    if (!came_back) {
        effect.verdict = Verdict::kNoEffect;
    }
    effect.why += std::string(came_back ? ", and was " : ", but was ") +
                  number_text(*effect.returned) + " with the old value back";
    return effect;
}

}  // namespace llamux
