// SPDX-License-Identifier: GPL-2.0-only
//
// Catches: a file misread into the signals, a missing file taken for a zero,
// and a group that must not be tightened but is not marked so.
#include <gtest/gtest.h>

#include "sense/sense.hpp"
#include "support/fake_machine.hpp"

namespace llamux {
namespace {

class SenseTest : public testing::Test {
  protected:
    Sensed read() {
        Sense sense(CgroupFs(machine.roots.cgroup), ProcFs(machine.roots), marks);
        Result<Sensed> sensed = sense.read();
        EXPECT_TRUE(sensed) << sensed.error().message;
        return std::move(*sensed);
    }
    static const llamux_group_signals* group(const Sensed& sensed, const std::string& path) {
        const CgroupNode* node = sensed.tree.find_path(path);
        for (std::uint32_t i = 0; node && i < sensed.signals->n_groups; i++) {
            if (sensed.signals->groups[i].cgroup_id == node->id) {
                return &sensed.signals->groups[i];
            }
        }
        return nullptr;
    }
    std::uint32_t flags(const Sensed& sensed, const std::string& path) {
        const llamux_group_signals* signals = group(sensed, path);
        EXPECT_TRUE(signals) << path;
        return signals ? signals->flags : ~0u;
    }

    FakeMachine machine;
    GroupMarks marks;
};

TEST_F(SenseTest, ReadsEveryFieldOfAGroup) {
    const std::uint64_t id = machine.add_group("/demo/web");
    machine.add_group("/demo/hog");
    machine.set_group_file("/demo/web", "cpu.pressure", FakeMachine::pressure(11, 12));
    machine.set_group_file("/demo/web", "memory.pressure", FakeMachine::pressure(13, 14));
    machine.set_group_file("/demo/web", "io.pressure", FakeMachine::pressure(15, 16));
    machine.set_group_file("/demo/web", "cpu.stat",
                           "usage_usec 9\nnr_periods 21\nnr_throttled 22\nthrottled_usec 23");
    machine.set_group_file("/demo/web", "memory.current", "24");
    machine.set_group_file("/demo/web", "memory.swap.current", "25");
    machine.set_group_file("/demo/web", "memory.events", "low 1\nhigh 26\nmax 2");
    machine.set_group_file("/demo/web", "cpu.weight", "27");
    machine.set_group_file("/demo/web", "cpu.idle", "1");
    machine.set_group_file("/demo/web", "cpu.max", "28 29");
    machine.set_group_file("/demo/web", "memory.low", "30");
    machine.set_group_file("/demo/web", "io.weight", "8:0 1\ndefault 31");
    const Sensed sensed = read();
    const llamux_group_signals* web = group(sensed, "/demo/web");
    ASSERT_TRUE(web);
    EXPECT_EQ(web->cgroup_id, id);
    EXPECT_EQ(web->parent_id, machine.id_of("/demo"));
    EXPECT_EQ(web->psi.cpu.some_us, 11u);
    EXPECT_EQ(web->psi.cpu.full_us, 12u);
    EXPECT_EQ(web->psi.memory.some_us, 13u);
    EXPECT_EQ(web->psi.io.full_us, 16u);
    EXPECT_EQ(web->periods_count, 21u);
    EXPECT_EQ(web->throttled_count, 22u);
    EXPECT_EQ(web->throttled_us, 23u);
    EXPECT_EQ(web->memory_current_bytes, 24u);
    EXPECT_EQ(web->memory_swap_bytes, 25u);
    EXPECT_EQ(web->memory_high_events, 26u);
    EXPECT_EQ(web->cpu_weight, 27u);
    EXPECT_EQ(web->cpu_idle, 1u);
    EXPECT_EQ(web->cpu_max_quota_us, 28u);
    EXPECT_EQ(web->cpu_max_period_us, 29u);
    EXPECT_EQ(web->memory_low_bytes, 30u);
    EXPECT_EQ(web->memory_high_bytes, LLAMUX_NO_LIMIT);
    EXPECT_EQ(web->io_weight, 31u);
    EXPECT_EQ(web->reserved, 0u);
    EXPECT_EQ(sensed.tree.find_path("/demo/web")->n_siblings, 1u);
    EXPECT_EQ(sensed.tree.find_path("/demo")->parent_id, 0u);
}

TEST_F(SenseTest, ReadsTheSystem) {
    machine.write("proc/pressure/cpu", FakeMachine::pressure(1, 2));
    machine.write("cgroup/io.cost.qos", "8:0 enable=1 ctrl=auto");
    machine.write("proc/swaps", "Filename\n/dev/zram0 partition 1 1 1");
    machine.write("sys/kernel/mm/lru_gen/enabled", "0x0007");
    machine.write("sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "1500000");
    machine.write("sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq", "3000000");
    const Sensed sensed = read();
    const llamux_system_signals& system = sensed.signals->system;
    EXPECT_TRUE(sensed.has_pressure);
    EXPECT_EQ(sensed.signals->size, sizeof(llamux_signals));
    EXPECT_EQ(system.n_cpus, 2u);
    EXPECT_EQ(system.psi.cpu.some_us, 1u);
    EXPECT_EQ(system.memory_total_bytes, 1073741824u);
    EXPECT_EQ(system.memory_dirty_bytes, 102400u);
    EXPECT_EQ(system.swap_in_pages, 5u);
    EXPECT_EQ(system.swap_out_pages, 7u);
    EXPECT_EQ(system.allocstalls, 7u);
    EXPECT_EQ(system.vm_swappiness, 60u);
    EXPECT_EQ(system.vm_dirty_ratio, 20u);
    EXPECT_EQ(system.vm_watermark_scale_factor, 10u);
    EXPECT_EQ(system.cpu_mhz_permille, 500u);
    EXPECT_EQ(system.flags, LLAMUX_SIGNAL_FLAGS);
}

TEST_F(SenseTest, WhatIsMissingIsUnknownNotZero) {
    std::filesystem::create_directories(machine.roots.cgroup + "/bare");
    std::filesystem::remove_all(machine.roots.proc + "/pressure");
    std::filesystem::remove(machine.roots.proc + "/vmstat");
    std::filesystem::remove(machine.roots.proc + "/sys/vm/swappiness");
    const Sensed sensed = read();
    EXPECT_FALSE(sensed.has_pressure);
    EXPECT_EQ(sensed.signals->system.psi.cpu.some_us, LLAMUX_UNKNOWN);
    EXPECT_EQ(sensed.signals->system.allocstalls, LLAMUX_UNKNOWN);
    EXPECT_EQ(sensed.signals->system.vm_swappiness, LLAMUX_UNKNOWN);
    EXPECT_EQ(sensed.signals->system.flags, 0u);
    const llamux_group_signals* bare = group(sensed, "/bare");
    ASSERT_TRUE(bare);
    for (const __u64 value :
         {bare->psi.cpu.some_us, bare->psi.io.full_us, bare->throttled_us, bare->throttled_count,
          bare->periods_count, bare->memory_current_bytes, bare->memory_swap_bytes,
          bare->memory_high_events, bare->cpu_weight, bare->cpu_idle, bare->cpu_max_quota_us,
          bare->cpu_max_period_us, bare->memory_low_bytes, bare->memory_high_bytes,
          bare->io_weight}) {
        EXPECT_EQ(value, LLAMUX_UNKNOWN);
    }
}

TEST_F(SenseTest, ProtectsTheWayInAndAllAboveIt) {
    for (const char* path :
         {"/init.scope", "/system.slice/ssh.service", "/system.slice/web.service",
          "/user.slice/user-0.slice/session-1.scope", "/batch.slice/job", "/llamux-agent",
          "/system.slice/ssh.service.d"}) {
        machine.add_group(path);
    }
    marks.protect = {"/system.slice/web*"};
    marks.background = {"/batch.slice/*"};
    marks.latency = {"*web.service"};
    const Sensed sensed = read();
    EXPECT_EQ(flags(sensed, "/init.scope"), LLAMUX_GROUP_PROTECTED);
    EXPECT_EQ(flags(sensed, "/system.slice/ssh.service"), LLAMUX_GROUP_PROTECTED);
    EXPECT_EQ(flags(sensed, "/system.slice/ssh.service.d"), 0u);
    EXPECT_EQ(flags(sensed, "/system.slice"), LLAMUX_GROUP_PROTECTED);
    EXPECT_EQ(flags(sensed, "/system.slice/web.service"),
              LLAMUX_GROUP_PROTECTED | LLAMUX_GROUP_LATENCY);
    EXPECT_EQ(flags(sensed, "/user.slice"), LLAMUX_GROUP_PROTECTED);
    EXPECT_EQ(flags(sensed, "/user.slice/user-0.slice/session-1.scope"), LLAMUX_GROUP_PROTECTED);
    EXPECT_EQ(flags(sensed, "/batch.slice"), 0u);
    EXPECT_EQ(flags(sensed, "/batch.slice/job"), LLAMUX_GROUP_BACKGROUND);
    EXPECT_EQ(flags(sensed, "/llamux-agent"), LLAMUX_GROUP_SELF);
}

TEST_F(SenseTest, OfManyGroupsTheBusiestAreReported) {
    for (int i = 0; i < 80; i++) {
        machine.add_group("/g" + std::to_string(i));
    }
    machine.add_group("/quiet-but-marked");
    marks.latency = {"/quiet-but-marked"};
    Sense sense(CgroupFs(machine.roots.cgroup), ProcFs(machine.roots), marks);
    ASSERT_TRUE(sense.read());
    machine.set_group_file("/g7", "cpu.stat", "usage_usec 900000");
    machine.set_group_file("/g9", "memory.current", "900000000");
    const Result<Sensed> sensed = sense.read();
    ASSERT_TRUE(sensed);
    EXPECT_EQ(sensed->signals->n_groups, LLAMUX_MAX_GROUPS);
    EXPECT_EQ(sensed->tree.nodes.size(), 81u);
    EXPECT_TRUE(group(*sensed, "/g7"));
    EXPECT_TRUE(group(*sensed, "/g9"));
    EXPECT_TRUE(group(*sensed, "/quiet-but-marked"));
}

TEST_F(SenseTest, NoCgroupTreeIsAnError) {
    std::filesystem::remove_all(machine.roots.cgroup);
    Sense sense(CgroupFs(machine.roots.cgroup), ProcFs(machine.roots), marks);
    EXPECT_FALSE(sense.read().ok());
}

TEST_F(SenseTest, ProcessesAreKnownByTheirStartNotOnlyTheirNumber) {
    const ProcFs proc(machine.roots);
    machine.write("proc/77/stat", FakeMachine::stat_line(500));
    EXPECT_TRUE(proc.is_alive({77, 500}));
    EXPECT_FALSE(proc.is_alive({77, 501}));
    EXPECT_FALSE(proc.is_alive({78, 500}));
}

}  // namespace
}  // namespace llamux
