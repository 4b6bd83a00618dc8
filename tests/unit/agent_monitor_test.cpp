// SPDX-License-Identifier: GPL-2.0-only
//
// Catches: a monitor that does not fit a terminal, shows a number that is not
// known, obeys a hostile name, or hides what is in force.
#include <gtest/gtest.h>

#include "report/monitor.hpp"
#include "report/text.hpp"
#include "sense/files_only.hpp"
#include "support/fake_machine.hpp"
#include "support/snapshots.hpp"

namespace llamux {
namespace {

MonitorView busy_view() {
    MonitorView view;
    const test::SnapshotBuilder built = test::SnapshotBuilder::noisy_neighbour();
    CgroupTree tree;
    tree.nodes = {{20, 0, "/web.slice", 1}, {30, 0, "/batch.slice", 1}};
    show_snapshot(*built.get(), tree, view);
    view.wall_ns = 1'600'000'000 * kNsPerSecond;
    view.machine = "Linux 6.12  service running";
    view.verdict = "/web.slice is slow";
    view.model = MonitorModel{"pilot", 120, 30, 2, 3};
    return view;
}

Change weight_change(std::uint64_t number) {
    Change change;
    change.number = number;
    change.plan.target = {LLAMUX_ACTION_CPU_WEIGHT, "/batch.slice", 30};
    change.plan.value_old = 100;
    change.plan.value_new = 50;
    change.state = EntryType::kKept;
    change.planned_wall_ns = 1'599'999'990 * kNsPerSecond;
    return change;
}

std::string text_of(const MonitorView& view, std::size_t columns = 80, std::size_t rows = 24,
                    const MonitorCursor& cursor = {}) {
    std::string text;
    for (const MonitorLine& line : monitor_lines(view, cursor, columns, rows)) {
        text += line.text + "\n";
    }
    return text;
}

TEST(MonitorTest, AnOrdinaryTerminalShowsAllOfIt) {
    MonitorView view = busy_view();
    view.changes = {weight_change(7)};
    const std::string text = text_of(view);
    for (const char* part :
         {"Linux 6.12  service running  2020-09-13 12:26:40 UTC", "/web.slice is slow",
          "cpu        90.0 %        -", "longest waits for a cpu (99 of 100): 16.4 ms",
          "model: prompt 120 tokens/s, answer 30 tokens/s", "queue: 2 waiting, 3 sessions",
          "/web.slice", "20.0 %   32.8 ms", "/batch.slice", "256 MiB", "CHANGES IN FORCE: 1",
          ">   7  /batch.slice cpu.weight  100 -> 50  kept, 10 s ago",
          "up, down: choose   u undo   U undo all   q quit"}) {
        EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
    }
}

TEST(MonitorTest, FitsWhateverTheTerminalIs) {
    MonitorView view = busy_view();
    for (int i = 0; i < 60; i++) {
        view.groups.push_back(view.groups[0]);
        view.groups.back().path = std::string("/") + std::string(200, 'x') + std::to_string(i);
        view.changes.push_back(weight_change(static_cast<std::uint64_t>(i) + 1));
    }
    for (std::size_t rows = 0; rows < 60; rows++) {
        for (const std::size_t columns : {1u, 20u, 54u, 80u, 200u}) {
            const std::vector<MonitorLine> lines = monitor_lines(view, {59, 0}, columns, rows);
            ASSERT_LE(lines.size(), rows);
            for (const MonitorLine& line : lines) {
                ASSERT_LE(width(line.text), columns) << line.text;
            }
        }
    }
    const std::string text = text_of(view, 80, 24, {59, std::nullopt});
    EXPECT_NE(text.find(">  60  /batch"), std::string::npos) << "the chosen one is shown\n" << text;
    EXPECT_NE(text.find("~xxx"), std::string::npos) << "the end of a path tells more";
    EXPECT_NE(text_of(view, 80, 24, {0, 0}).find("Take back all of them?"), std::string::npos);
}

TEST(MonitorTest, WhatIsNotKnownIsNoNumber) {
    FakeMachine machine;
    machine.add_group("/web");
    Sense sense(CgroupFs(machine.roots.cgroup), ProcFs(machine.roots), {});
    const Result<Sensed> before = sense.read();
    ASSERT_TRUE(before);
    MonitorView view;
    show_snapshot(*snapshot_of_files(nullptr, *before, 0), before->tree, view);
    EXPECT_FALSE(view.pressure[0].some_permille);
    EXPECT_NE(text_of(view).find("cpu             -        -"), std::string::npos) << text_of(view);
    EXPECT_NE(text_of(view).find("Not judged: that needs the module"), std::string::npos);
    EXPECT_NE(text_of(view).find("module: not loaded"), std::string::npos);
    machine.write("proc/pressure/cpu", FakeMachine::pressure(250'000, 0));
    machine.set_group_file("/web", "memory.pressure", FakeMachine::pressure(100'000, 0));
    const Result<Sensed> now = sense.read();
    ASSERT_TRUE(now);
    MonitorView later;
    show_snapshot(*snapshot_of_files(&*before, *now, kNsPerSecond), now->tree, later);
    EXPECT_EQ(later.pressure[0].some_permille, 250u);
    ASSERT_EQ(later.groups.size(), 1u);
    EXPECT_EQ(later.groups[0].memory_some_permille, 100u);
    EXPECT_FALSE(later.groups[0].cpu_permille) << "only the maps tell";
}

TEST(MonitorTest, NamesAreData) {
    MonitorView view = busy_view();
    view.groups[0].path = "/\x1b[2J\xff";
    Change change = weight_change(1);
    change.plan.target.cgroup_path = "/a\nb";
    view.changes = {change};
    for (const char c : text_of(view)) {
        EXPECT_TRUE(c == '\n' || static_cast<unsigned char>(c) >= ' ') << static_cast<int>(c);
    }
    EXPECT_EQ(monitor_lines(view, {}, 80, 24).size(), static_cast<std::size_t>(16));
}

}  // namespace
}  // namespace llamux
