// SPDX-License-Identifier: GPL-2.0-only
// Catches: a kernel without a hook, or without BTF, that is not recognised
// before anything is loaded. Needs no privileges: the kernel is a BTF file made
// here.
#include <bpf/btf.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <initializer_list>
#include <string>
#include <vector>

#include "kernel/bpf_source.hpp"

namespace llamux {
namespace {

const std::vector<std::string> kTracepoints = {"task_newtask",
                                               "sched_wakeup",
                                               "sched_wakeup_new",
                                               "sched_switch",
                                               "sched_migrate_task",
                                               "softirq_entry",
                                               "softirq_exit",
                                               "mark_victim",
                                               "block_rq_issue",
                                               "block_rq_complete",
                                               "mm_compaction_begin",
                                               "mm_compaction_end",
                                               "mm_vmscan_direct_reclaim_begin",
                                               "mm_vmscan_direct_reclaim_end",
                                               "mm_vmscan_memcg_reclaim_begin",
                                               "mm_vmscan_memcg_reclaim_end",
                                               "mm_vmscan_kswapd_wake",
                                               "mm_vmscan_kswapd_sleep"};

// A kernel that has all tracepoints but @lacks, and these functions.
class FakeKernel {
  public:
    FakeKernel(const std::string& lacks, const std::vector<std::string>& functions)
        : path_(testing::TempDir() + "llamux_probes_test.btf") {
        btf* types = btf__new_empty();
        const int number = btf__add_int(types, "int", 4, BTF_INT_SIGNED);
        const int prototype = btf__add_func_proto(types, 0);
        for (const std::string& name : kTracepoints) {
            if (name != lacks) {
                btf__add_typedef(types, ("btf_trace_" + name).c_str(), number);
            }
        }
        for (const std::string& name : functions) {
            btf__add_func(types, name.c_str(), BTF_FUNC_GLOBAL, prototype);
        }
        unsigned size = 0;
        const void* bytes = btf__raw_data(types, &size);
        std::ofstream(path_, std::ios::binary).write(static_cast<const char*>(bytes), size);
        btf__free(types);
    }
    ~FakeKernel() { std::remove(path_.c_str()); }
    FakeKernel(const FakeKernel&) = delete;
    FakeKernel& operator=(const FakeKernel&) = delete;

    Result<std::vector<Probe>> survey() const {
        BpfOptions options;
        options.kernel_btf = path_;
        return BpfSource::survey(options);
    }
    // Lines of the probes that are not active.
    std::vector<std::string> complaints() const {
        const Result<std::vector<Probe>> probes = survey();
        EXPECT_TRUE(probes);
        std::vector<std::string> lines;
        for (const Probe& probe : *probes) {
            if (!probe.active) {
                lines.push_back(probe.line());
            }
        }
        return lines;
    }

  private:
    std::string path_;
};

TEST(Probes, NewerAndOlderNamesOfTheTick) {
    EXPECT_TRUE(FakeKernel("", {"sched_tick", "throttle_cfs_rq", "workingset_refault"})
                    .complaints()
                    .empty());
    EXPECT_TRUE(FakeKernel("", {"scheduler_tick", "throttle_cfs_rq", "workingset_refault"})
                    .complaints()
                    .empty());
    EXPECT_EQ(FakeKernel("", {"throttle_cfs_rq", "workingset_refault"}).complaints(),
              std::vector<std::string>{
                  "probe tick: not active (this kernel has no fentry/sched_tick, "
                  "fentry/scheduler_tick); missing: run time of a task that never leaves its "
                  "CPU, until it does"});
}

TEST(Probes, HalfOfAPairIsNoProbe) {
    EXPECT_EQ(
        FakeKernel("mm_compaction_end", {"sched_tick", "throttle_cfs_rq", "workingset_refault"})
            .complaints(),
        std::vector<std::string>{"probe compaction: not active (this kernel has no "
                                 "tp_btf/mm_compaction_end); missing: compaction"});
}

TEST(Probes, RequiredHookIsMissing) {
    const FakeKernel kernel("sched_switch", {"sched_tick"});
    BpfOptions options;
    options.kernel_btf = testing::TempDir() + "llamux_probes_test.btf";
    options.pin_directory = testing::TempDir() + "llamux_probes_test_pins";
    const Result<BpfSource> source = BpfSource::ensure(options);
    ASSERT_FALSE(source);
    if (source.error().code == EPERM) {
        GTEST_SKIP() << "not root: " << source.error().message;
    }
    EXPECT_EQ(source.error().code, ENOTSUP);
    EXPECT_EQ(source.error().message,
              "BPF telemetry cannot start: probe context switches: this kernel has no "
              "tp_btf/sched_switch");
}

TEST(Probes, NoBtf) {
    BpfOptions options;
    options.kernel_btf = "/nonexistent/vmlinux";
    const Result<std::vector<Probe>> probes = BpfSource::survey(options);
    ASSERT_FALSE(probes);
    EXPECT_EQ(probes.error().code, ENOTSUP);
    EXPECT_EQ(probes.error().message,
              "no type information of the kernel in /nonexistent/vmlinux: No such file or "
              "directory (the kernel needs CONFIG_DEBUG_INFO_BTF)");
}

TEST(Probes, BtfThatIsNone) {
    const std::string path = testing::TempDir() + "llamux_probes_test.txt";
    std::ofstream(path) << "not BTF";
    BpfOptions options;
    options.kernel_btf = path;
    EXPECT_FALSE(BpfSource::survey(options));
    std::remove(path.c_str());
}

}  // namespace
}  // namespace llamux
