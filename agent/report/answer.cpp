// SPDX-License-Identifier: GPL-2.0-only
#include "report/answer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace llamux {
namespace {

// Ranking margins at which the word changes (permille of probability).
constexpr std::uint32_t kSureMargin = 500;
constexpr std::uint32_t kLikelyMargin = 150;

constexpr std::array<std::string_view, 4> kLevels = {"", "some", "high", "severe"};

std::string level_word(std::uint32_t level) {
    return std::string(kLevels[std::min<std::size_t>(level, kLevels.size() - 1)]);
}

std::string window_words(std::uint64_t window_ns) {
    return window_ns == 0 ? "since boot"
                          : fmt::format("last {:.1f} s", static_cast<double>(window_ns) / 1e9);
}

std::string evidence_line(const Evidence& evidence, std::uint64_t window_ns) {
    const SourceRow& row = source_row(evidence.source);
    const std::string normal = evidence.normal == LLAMUX_UNKNOWN
                                   ? "usual value not known yet"
                                   : "usually " + format_measure(evidence.normal, row.unit);
    const std::string whose =
        evidence.cgroup_path.empty() ? "" : ", " + group_name(evidence.cgroup_path);
    return fmt::format("{}{}: {} ({}, counts from {}; {}; {})", row.words, whose,
                       format_measure(evidence.value, row.unit), normal,
                       format_measure(evidence.threshold, row.unit), window_words(window_ns),
                       row.origin);
}

std::string metric_text(double value, std::string_view unit) {
    return fmt::format("{:.{}f} {}", value, value < 10 ? 1 : 0, unit);
}

}  // namespace

std::string group_name(const std::string& path) {
    return path.empty() ? "the system" : printable(path);
}

std::vector<std::string> lettered_names(const Suggestion& suggestion) {
    std::vector<std::uint64_t> ids;
    std::vector<std::string> names;
    const auto add = [&](std::uint64_t id, const std::string& path) {
        if (id != 0 && std::find(ids.begin(), ids.end(), id) == ids.end()) {
            ids.push_back(id);
            names.push_back(path);
        }
    };
    for (const Fact& fact : suggestion.facts) {
        add(fact.victim_id, fact.victim_path);
        add(fact.culprit_id, fact.culprit_path);
    }
    return names;
}

std::string verdict_line(const Suggestion& suggestion) {
    if (suggestion.facts.empty()) {
        return "Nothing is wrong that Llamux can see.";
    }
    const Fact& fact = suggestion.facts.front();
    std::string line = fmt::format("{} ({})", cause_words(fact.cause), level_word(fact.level));
    if (!fact.victim_path.empty()) {
        line = fmt::format("{} is slow: {}", group_name(fact.victim_path), line);
    }
    if (!fact.culprit_path.empty()) {
        line += fmt::format("; it is {}", group_name(fact.culprit_path));
    }
    return line + ".";
}

std::vector<std::string> evidence_lines(const Suggestion& suggestion, std::size_t most) {
    std::vector<std::string> lines;
    for (const Fact& fact : suggestion.facts) {
        for (const Evidence& evidence : fact.evidence) {
            if (lines.size() == most) {
                return lines;
            }
            lines.push_back(evidence_line(evidence, suggestion.window_ns));
        }
    }
    return lines;
}

std::vector<std::string> diff_lines(const Candidate& candidate) {
    const ActionRow* row = action_row(candidate.kind);
    if (row == nullptr || !candidate.is_change()) {
        return {};
    }
    const std::string where =
        candidate.cgroup_path.empty() ? "" : " of " + group_name(candidate.cgroup_path);
    const auto line = [&](char sign, std::uint64_t value) {
        return fmt::format("{} {}{}: {}", sign, row->knob(), where, format_value(row->kind, value));
    };
    if (candidate.kind == LLAMUX_ACTION_MEMORY_RECLAIM) {
        return {line('+', candidate.value_new)};
    }
    return {line('-', candidate.value_old), line('+', candidate.value_new)};
}

std::vector<std::string> experience_lines(const Suggestion& suggestion) {
    std::vector<std::string> lines;
    for (const Candidate& candidate : suggestion.candidates) {
        const Outcomes& here = candidate.here;
        if (here.tried > 0) {
            const std::string harm =
                here.worse > 0 ? fmt::format(", made it worse {}", here.worse) : "";
            lines.push_back(
                fmt::format("{}: helped {} of {} times here, for this cause{}; counts {}",
                            printable(candidate.phrase), here.helped, here.tried, harm,
                            format_measure(here.weight_permille(), "permille")));
        }
    }
    return lines;
}

std::string_view risk_words(std::uint32_t kind) {
    switch (kind) {
        case LLAMUX_ACTION_CPU_WEIGHT:
        case LLAMUX_ACTION_IO_WEIGHT:
            return "only shares move, and only while there is contention; nothing is capped";
        case LLAMUX_ACTION_CPU_MAX:
            return "the group may use more of the cpu than before";
        case LLAMUX_ACTION_CPU_IDLE:
            return "the group runs only when nothing else wants to";
        case LLAMUX_ACTION_MEMORY_HIGH:
            return "the group is slowed down when it passes the limit";
        case LLAMUX_ACTION_MEMORY_LOW:
            return "the others are reclaimed first";
        case LLAMUX_ACTION_MEMORY_RECLAIM:
            return "pages that are needed again are read back; cannot be undone";
        case LLAMUX_ACTION_SWAPPINESS:
            return "the balance between page cache and program memory moves";
        case LLAMUX_ACTION_DIRTY_RATIO:
            return "writers are slowed down earlier or later; data at risk in a crash changes";
        case LLAMUX_ACTION_WATERMARK_SCALE:
            return "a little more memory is kept free";
        default:
            return "";
    }
}

std::string confidence_line(const Suggestion& suggestion) {
    switch (suggestion.ranked_by) {
        case LLAMUX_RANKED_BY_MODEL: {
            const std::string_view word = suggestion.margin_permille >= kSureMargin     ? "sure"
                                          : suggestion.margin_permille >= kLikelyMargin ? "likely"
                                                                                        : "a guess";
            return fmt::format("{} (ranked by the model, {} ahead of the next choice)", word,
                               format_measure(suggestion.margin_permille, "permille"));
        }
        case LLAMUX_RANKED_BY_RULES:
            return "by rule (the model did not take part)";
        default:
            return "by measurement (there was nothing to choose)";
    }
}

std::string not_checked_line(const llamux_snapshot& snapshot) {
    std::vector<std::string_view> missing;
    if ((snapshot.flags & LLAMUX_SNAPSHOT_NO_MAPS) != 0) {
        missing.push_back("scheduler and memory events (the BPF maps are not bound)");
    }
    if ((snapshot.flags & LLAMUX_SNAPSHOT_NO_SIGNALS) != 0) {
        missing.push_back("pressure and limits of the groups");
    }
    if (snapshot.signals.psi.cpu.some_us == LLAMUX_UNKNOWN) {
        missing.push_back("pressure (PSI is off)");
    }
    if ((snapshot.flags & LLAMUX_SNAPSHOT_FIRST) != 0) {
        missing.push_back("change over time (this is the first reading)");
    }
    if ((snapshot.flags & LLAMUX_SNAPSHOT_LOST) != 0) {
        missing.push_back("some events (more came than the maps could take)");
    }
    if (snapshot.signals.cpu_mhz_permille == LLAMUX_UNKNOWN) {
        missing.push_back("the cpu clock");
    }
    return fmt::format("{}", fmt::join(missing, "; "));
}

std::string answer_text(const Suggestion& suggestion, const llamux_snapshot& snapshot,
                        const Style& style, std::size_t columns) {
    std::string out;
    const auto section = [&](std::string_view title) { out += style.bold(title) + '\n'; };
    const auto item = [&](std::string_view line) { out += wrap(line, columns, "  ") + '\n'; };
    if (!suggestion.facts.empty()) {
        section("Evidence");
        for (const std::string& line : evidence_lines(suggestion)) {
            item(line);
        }
    }
    if (const Candidate* change = suggestion.change(); change != nullptr) {
        section("Proposed change " + suggestion.id);
        const std::vector<std::string> diff = diff_lines(*change);
        for (const std::string& line : diff) {
            out += "  " + (line.front() == '+' ? style.good(line) : style.bad(line)) + '\n';
        }
        item(fmt::format("risk: {}", risk_words(change->kind)));
        item(fmt::format("do:   llamux-agent apply {}", suggestion.id));
        item(fmt::format("undo: llamux-agent rollback {}", suggestion.id));
    } else {
        section("Proposed change");
        item("none");
    }
    if (const std::vector<std::string> known = experience_lines(suggestion); !known.empty()) {
        section("Tried here");
        for (const std::string& line : known) {
            item(line);
        }
    }
    section("Confidence");
    item(confidence_line(suggestion));
    if (const std::string missing = not_checked_line(snapshot); !missing.empty()) {
        section("Not checked");
        item(missing);
    }
    return out;
}

std::string effect_line(const Change& change) {
    if (!change.effect || change.effect->metric == Metric::kCount) {
        return {};
    }
    const Effect& effect = *change.effect;
    const MetricRow& row = metric_row(effect.metric);
    std::string whose;
    if (effect.cgroup_id != 0) {
        whose = effect.cgroup_id == change.plan.fact.victim_id
                    ? " of " + group_name(change.plan.fact.victim_path)
                    : " of another group";
    }
    return fmt::format("{}{}: {} -> {}", row.words, whose, metric_text(effect.before, row.unit),
                       metric_text(effect.after, row.unit));
}

}  // namespace llamux
