// SPDX-License-Identifier: GPL-2.0-only
//
// See monitor.hpp.
#include "report/monitor.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "core/clock.hpp"
#include "report/text.hpp"

namespace llamux {
namespace {

constexpr std::size_t kPathColumns = 30;
constexpr std::size_t kMostChanges = 8;

std::optional<std::uint32_t> permille_of(__u64 us, __u64 window_ns) {
    if (us == LLAMUX_UNKNOWN || window_ns == 0) {
        return std::nullopt;
    }
    return static_cast<std::uint32_t>(std::min<__u64>(us * 1'000'000 / window_ns, 1000));
}

std::string share(const std::optional<std::uint32_t>& permille) {
    return permille ? fmt::format("{}.{} %", *permille / 10, *permille % 10) : "-";
}

std::string wait(const std::optional<std::uint32_t>& us) {
    return us ? format_measure(*us, "us") : "-";
}

std::string speed(double tokens_per_second) {
    return tokens_per_second > 0 ? fmt::format("{:.0f} tokens/s", tokens_per_second) : "-";
}

std::string memory(const std::optional<std::uint64_t>& bytes) {
    return bytes ? fmt::format("{} MiB", *bytes >> 20) : "-";
}

// At most @columns characters; what is cut off is shown as "~".
std::string cut(std::string text, std::size_t columns) {
    if (width(text) <= columns) {
        return text;
    }
    while (!text.empty() && width(text) + 1 > columns) {
        // Whole characters: continuation bytes go with their first byte.
        do {
            text.pop_back();
        } while (!text.empty() && (static_cast<unsigned char>(text.back()) & 0xc0) == 0x80);
    }
    return columns == 0 ? "" : text + "~";
}

// The end of a path tells more than its start.
std::string cut_front(const std::string& text, std::size_t columns) {
    std::size_t from = 0;
    while (width(std::string_view(text).substr(from)) + (from > 0 ? 1 : 0) > columns) {
        do {
            from++;
        } while (from < text.size() && (static_cast<unsigned char>(text[from]) & 0xc0) == 0x80);
    }
    return from == 0 ? text : "~" + text.substr(from);
}

std::string padded(const std::string& text, std::size_t columns) {
    return text + std::string(columns - std::min(columns, width(text)), ' ');
}

class Page {
  public:
    Page(std::size_t columns, std::size_t rows) : columns_(columns), rows_(rows) {}

    void add(const std::string& text, Tone tone = Tone::kPlain) {
        if (lines_.size() < rows_) {
            lines_.push_back({cut(text, columns_), tone});
        }
    }
    std::size_t size() const { return lines_.size(); }
    std::vector<MonitorLine> take() { return std::move(lines_); }

  private:
    std::size_t columns_;
    std::size_t rows_;
    std::vector<MonitorLine> lines_;
};

// Beside the pressure, line by line.
std::vector<std::string> side_lines(const MonitorView& view) {
    const bool has_model = view.model && !view.model->name.empty();
    return {fmt::format("longest waits for a cpu (99 of 100): {}", wait(view.runq_wait_p99_us)),
            fmt::format("longest disk requests (99 of 100): {}", wait(view.block_io_p99_us)),
            has_model    ? fmt::format("model: prompt {}, answer {}",
                                       speed(view.model->prompt_tokens_per_second),
                                       speed(view.model->generated_tokens_per_second))
            : view.model ? "model: none loaded, rules decide"
                         : "module: not loaded",
            view.model ? fmt::format("queue: {} waiting, {} sessions", view.model->n_queued,
                                     view.model->n_sessions)
                       : ""};
}

void add_pressure(const MonitorView& view, Page& page) {
    const std::vector<std::string> side = side_lines(view);
    page.add(fmt::format("{:<8}{:>9}{:>9}    {}", "PRESSURE", "some", "full", side[0]),
             Tone::kPlain);
    for (std::size_t i = 0; i < view.pressure.size(); i++) {
        const MonitorPressure& row = view.pressure[i];
        const bool is_high = row.some_permille.value_or(0) >= 200;
        page.add(fmt::format("{:<8}{:>9}{:>9}    {}", row.resource, share(row.some_permille),
                             share(row.full_permille), i + 1 < side.size() ? side[i + 1] : ""),
                 is_high ? Tone::kBad : Tone::kPlain);
    }
}

std::string group_line(const MonitorGroup& group, std::size_t path_columns) {
    return padded(cut_front(printable(group.path), path_columns), path_columns) +
           fmt::format("{:>8}{:>10}{:>9}{:>8}{:>8}{:>10}", share(group.cpu_permille),
                       wait(group.runq_wait_p99_us), share(group.cpu_some_permille),
                       share(group.memory_some_permille), share(group.io_some_permille),
                       memory(group.memory_bytes));
}

std::string change_line(const Change& change, std::uint64_t wall_ns) {
    const Plan& plan = change.plan;
    const std::uint64_t age_ns =
        wall_ns > change.planned_wall_ns ? wall_ns - change.planned_wall_ns : 0;
    return fmt::format("{:>4}  {}  {} -> {}  {}, {}", change.number,
                       printable(knob_name(plan.target)),
                       format_value(plan.target.kind, plan.value_old),
                       format_value(plan.target.kind, plan.value_new),
                       entry_type_word(change.state), format_age(age_ns / kNsPerSecond));
}

std::string last_line(const MonitorView& view, const MonitorCursor& cursor) {
    if (cursor.asked_for) {
        return *cursor.asked_for == 0
                   ? "Take back all of them? y yes, any other key no"
                   : fmt::format("Take back change {}? y yes, any other key no", *cursor.asked_for);
    }
    return view.changes.empty() ? "q quit" : "up, down: choose   u undo   U undo all   q quit";
}

std::size_t first_shown(std::size_t chosen, std::size_t n_shown) {
    return chosen < n_shown ? 0 : chosen + 1 - n_shown;
}

}  // namespace

void show_snapshot(const llamux_snapshot& snapshot, const CgroupTree& tree, MonitorView& view) {
    const bool has_window = snapshot.window_ns > 0 && !(snapshot.flags & LLAMUX_SNAPSHOT_FIRST);
    const bool has_maps = has_window && !(snapshot.flags & LLAMUX_SNAPSHOT_NO_MAPS);
    const __u64 window_ns = has_window ? snapshot.window_ns : 0;
    const llamux_pressure& psi = snapshot.signals.psi;
    view.pressure = {
        {"cpu", permille_of(psi.cpu.some_us, window_ns), std::nullopt},
        {"memory", permille_of(psi.memory.some_us, window_ns),
         permille_of(psi.memory.full_us, window_ns)},
        {"io", permille_of(psi.io.some_us, window_ns), permille_of(psi.io.full_us, window_ns)}};
    if (has_maps) {
        view.runq_wait_p99_us = snapshot.runq_wait_p99_us;
        view.block_io_p99_us = snapshot.block_io_p99_us;
    }
    for (std::uint32_t i = 0; i < snapshot.n_groups && i < LLAMUX_MAX_GROUPS; i++) {
        const llamux_group_snapshot& group = snapshot.groups[i];
        MonitorGroup shown;
        shown.path = tree.name_of(group.signals.cgroup_id);
        if (has_maps) {
            shown.cpu_permille = group.cpu_permille;
            shown.runq_wait_p99_us = group.runq_wait_p99_us;
        }
        shown.cpu_some_permille = permille_of(group.signals.psi.cpu.some_us, window_ns);
        shown.memory_some_permille = permille_of(group.signals.psi.memory.some_us, window_ns);
        shown.io_some_permille = permille_of(group.signals.psi.io.some_us, window_ns);
        if (group.signals.memory_current_bytes != LLAMUX_UNKNOWN) {
            shown.memory_bytes = group.signals.memory_current_bytes;
        }
        view.groups.push_back(std::move(shown));
    }
}

std::vector<MonitorLine> monitor_lines(const MonitorView& view, const MonitorCursor& cursor,
                                       std::size_t columns, std::size_t rows) {
    if (rows == 0) {
        return {};
    }
    Page page(columns, rows - 1);
    const auto seconds = static_cast<std::time_t>(view.wall_ns / kNsPerSecond);
    page.add(fmt::format("Llamux  {}  {:%Y-%m-%d %H:%M:%S} UTC", printable(view.machine),
                         fmt::gmtime(seconds)),
             Tone::kBold);
    page.add(view.verdict.empty() ? "Not judged: that needs the module" : view.verdict,
             view.verdict.empty() ? Tone::kDim
             : view.is_healthy    ? Tone::kGood
                                  : Tone::kBad);
    page.add("");
    add_pressure(view, page);
    page.add("");

    // Changes have their place; groups get what is left.
    const std::size_t n_changes = std::min(view.changes.size(), kMostChanges);
    const std::size_t below =
        4 + std::max<std::size_t>(n_changes, 1);  // blank, title, message, keys
    const std::size_t above = page.size() + 1;
    const std::size_t n_groups =
        std::min(view.groups.size(), rows > above + below ? rows - above - below : 0);
    const std::size_t path_columns = std::max<std::size_t>(columns > 53 ? columns - 53 : 0, 8);
    page.add(padded("GROUP", path_columns) + fmt::format("{:>8}{:>10}{:>9}{:>8}{:>8}{:>10}", "cpu",
                                                         "cpu wait", "cpu psi", "mem psi", "io psi",
                                                         "memory"));
    for (std::size_t i = 0; i < n_groups; i++) {
        page.add(group_line(view.groups[i], path_columns));
    }
    page.add("");
    page.add(fmt::format("CHANGES IN FORCE: {}", view.changes.size()));
    if (view.changes.empty()) {
        page.add("      none", Tone::kDim);
    }
    const std::size_t first = first_shown(cursor.chosen, n_changes);
    for (std::size_t i = first; i < first + n_changes && i < view.changes.size(); i++) {
        page.add((i == cursor.chosen ? ">" : " ") + change_line(view.changes[i], view.wall_ns),
                 i == cursor.chosen ? Tone::kChosen : Tone::kPlain);
    }
    page.add(printable(view.message), Tone::kDim);
    std::vector<MonitorLine> lines = page.take();
    lines.push_back(
        {cut(last_line(view, cursor), columns), cursor.asked_for ? Tone::kBold : Tone::kDim});
    return lines;
}

Json to_json(const MonitorView& view) {
    const auto number = [](const auto& value) { return value ? Json(*value) : Json("unknown"); };
    Json pressure = Json::object();
    for (const MonitorPressure& row : view.pressure) {
        pressure[row.resource] = {{"some_permille", number(row.some_permille)},
                                  {"full_permille", number(row.full_permille)}};
    }
    Json groups = Json::array();
    for (const MonitorGroup& group : view.groups) {
        groups.push_back({{"cgroup", group.path},
                          {"cpu_permille", number(group.cpu_permille)},
                          {"runq_wait_p99_us", number(group.runq_wait_p99_us)},
                          {"cpu_some_permille", number(group.cpu_some_permille)},
                          {"memory_some_permille", number(group.memory_some_permille)},
                          {"io_some_permille", number(group.io_some_permille)},
                          {"memory_bytes", number(group.memory_bytes)}});
    }
    Json changes = Json::array();
    for (const Change& change : view.changes) {
        changes.push_back(to_json(change));
    }
    Json json = {{"wall_ns", view.wall_ns},
                 {"machine", view.machine},
                 {"verdict", view.verdict},
                 {"healthy", view.is_healthy},
                 {"pressure", std::move(pressure)},
                 {"runq_wait_p99_us", number(view.runq_wait_p99_us)},
                 {"block_io_p99_us", number(view.block_io_p99_us)},
                 {"groups", std::move(groups)},
                 {"in_force", std::move(changes)}};
    if (view.model) {
        json["model"] = {{"name", view.model->name},
                         {"prompt_tokens_per_second", view.model->prompt_tokens_per_second},
                         {"generated_tokens_per_second", view.model->generated_tokens_per_second},
                         {"queued", view.model->n_queued},
                         {"sessions", view.model->n_sessions}};
    }
    return json;
}

}  // namespace llamux
