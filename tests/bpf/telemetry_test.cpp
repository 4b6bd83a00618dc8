// SPDX-License-Identifier: GPL-2.0-only
// Catches: telemetry that counts wrongly, or for the wrong cgroup. Each load is
// of a known size, and the expected number comes from the load itself or from
// the kernel's own accounting (cpu.stat, memory.stat, memory.events, rusage).
// Runs as root in a guest.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/utsname.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "counters.hpp"
#include "kernel/bpf_source.hpp"
#include "load.hpp"

namespace llamux::test {
namespace {

using namespace std::chrono_literals;

constexpr const char* kPins = "/sys/fs/bpf/llamux_telemetry_test";
constexpr const char* kDisk = "/dev/vda";
constexpr int kCpu = 1;  // where loads compete; the test itself stays off it
constexpr std::size_t kPage = 4096;

class Telemetry : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        use_cpu(0);
        ASSERT_EQ(std::system("modprobe virtio_blk"), 0);
        ASSERT_EQ(access(kDisk, R_OK), 0) << "no scratch disk";
        BpfOptions options;
        options.pin_directory = kPins;
        Result<BpfSource> started = BpfSource::ensure(options);
        ASSERT_TRUE(started) << started.error().message;
        source_ = std::make_unique<BpfSource>(std::move(*started));
    }
    static void TearDownTestSuite() {
        source_.reset();
        EXPECT_TRUE(BpfSource::unload(kPins));
        EXPECT_NE(access(kPins, F_OK), 0);
    }
    void SetUp() override { ASSERT_NE(source_, nullptr); }

    static llamux_cgroup_record of(const Group& group) {
        return cgroup_record(source_->cgroups_fd(), group.id());
    }
    static llamux_system_record system() { return system_record(source_->system_fd()); }

    static std::unique_ptr<BpfSource> source_;
};

std::unique_ptr<BpfSource> Telemetry::source_;

nlohmann::json bpftool_dump(const char* map) {
    const std::string command = std::string("bpftool -j map dump pinned ") + kPins + "/" + map;
    std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
    std::string text;
    char part[4096];
    std::size_t n = 0;
    while (pipe && (n = fread(part, 1, sizeof(part), pipe.get())) > 0) {
        text.append(part, n);
    }
    return nlohmann::json::parse(text, nullptr, false);
}

TEST_F(Telemetry, EveryProbeIsActiveOnTheseKernels) {
    EXPECT_GE(source_->probes().size(), 14u);
    for (const Probe& probe : source_->probes()) {
        EXPECT_TRUE(probe.active) << probe.line();
    }
}

TEST_F(Telemetry, ForksAreExact) {
    Group a("bpf_forks_a"), b("bpf_forks_b");
    const auto before = system();
    EXPECT_EQ(run_in(a, [] { fork_times(23); }), 0);
    EXPECT_EQ(run_in(b, [] { fork_times(17); }), 0);
    EXPECT_EQ(of(a).forks, 23u);
    EXPECT_EQ(of(b).forks, 17u);
    EXPECT_GE(system().total.forks - before.total.forks, 23u + 17u);
}

TEST_F(Telemetry, BpftoolNamesEveryField) {
    Group group("bpf_named");
    EXPECT_EQ(run_in(group, [] { fork_times(13); }), 0);
    const llamux_cgroup_record record = of(group);
    const nlohmann::json dump = bpftool_dump(LLAMUX_MAP_CGROUPS);
    ASSERT_TRUE(dump.is_array());
    std::uint64_t forks = 0, switches = 0, waits = 0;
    std::size_t n_found = 0;
    for (const auto& entry : dump) {
        const auto& named = entry.at("formatted");
        if (named.at("key").at("cgroup_id") != group.id()) {
            continue;
        }
        n_found++;
        for (const auto& cpu : named.at("values")) {
            forks += cpu.at("value").at("forks").get<std::uint64_t>();
            switches += cpu.at("value").at("switches").get<std::uint64_t>();
            for (const auto& slot : cpu.at("value").at("runq_wait_hist")) {
                waits += slot.get<std::uint64_t>();
            }
        }
    }
    EXPECT_EQ(n_found, 1u);
    EXPECT_EQ(forks, 13u);
    EXPECT_EQ(switches, record.switches);
    EXPECT_EQ(waits, record.runq_wait_count) << "the histogram counts every wait once";

    const nlohmann::json system_dump = bpftool_dump(LLAMUX_MAP_SYSTEM);
    const auto& value = system_dump.at(0).at("formatted").at("values").at(0).at("value");
    EXPECT_TRUE(value.at("total").contains("preempted_by_other"));
    EXPECT_TRUE(value.contains("dropped_wakeups"));
}

// Regression guard: a task that is alone on its CPU never switches.
TEST_F(Telemetry, RunTimeOfAHogIsSeenWhileItRuns) {
    Group group("bpf_hog");
    Child hog(group, [] {
        use_cpu(kCpu);
        spin(60s);
    });
    ASSERT_TRUE(hog.moved());
    std::this_thread::sleep_for(300ms);
    for (int i = 0; i < 3; i++) {
        // cpu.stat flushes the running task's time when it is read
        const std::int64_t usage_before_us = group.value("cpu.stat", "usage_usec");
        const std::uint64_t ran_before = of(group).run_ns;
        std::this_thread::sleep_for(400ms);
        const std::int64_t usage_us = group.value("cpu.stat", "usage_usec") - usage_before_us;
        const std::uint64_t ran_us = (of(group).run_ns - ran_before) / 1000;
        ASSERT_GT(usage_us, 50'000);
        // one tick of 4 ms at either end, and the time between the two reads
        EXPECT_NEAR(static_cast<double>(ran_us), static_cast<double>(usage_us),
                    0.10 * static_cast<double>(usage_us) + 20'000.0);
    }
}

TEST_F(Telemetry, RunTimeAgreesWithCpuStat) {
    Group group("bpf_run_time");
    EXPECT_EQ(run_in(group,
                     [] {
                         use_cpu(kCpu);
                         for (int i = 0; i < 30; i++) {
                             spin(7ms);
                             std::this_thread::sleep_for(3ms);
                         }
                     }),
              0);
    const auto usage_us = static_cast<double>(group.value("cpu.stat", "usage_usec"));
    EXPECT_NEAR(static_cast<double>(of(group).run_ns) / 1000, usage_us, 0.1 * usage_us + 2'000);
}

TEST_F(Telemetry, WhoTookTheCpuFromWhom) {
    constexpr unsigned kWakeups = 53;
    Group hog_group("bpf_noisy"), sleeper_group("bpf_quiet");
    const llamux_system_record before = system();
    {
        Child hog(hog_group, [] {
            use_cpu(kCpu);
            spin(60s);
        });
        ASSERT_TRUE(hog.moved());
        EXPECT_EQ(run_in(sleeper_group,
                         [] {
                             use_cpu(kCpu);
                             for (unsigned i = 0; i < kWakeups; i++) {
                                 std::this_thread::sleep_for(2ms);
                             }
                         }),
                  0);
    }
    const llamux_cgroup_record hog = of(hog_group);
    const llamux_cgroup_record sleeper = of(sleeper_group);
    EXPECT_GE(sleeper.runq_wait_count, kWakeups);
    // It took the CPU from the hog each time that it woke, but for the few when
    // a kernel thread of the root group had it just then, which went to sleep
    // (nothing preempted) or was preempted in the hog's place.
    EXPECT_GE(sleeper.preempted_others, kWakeups * 3 / 4);
    EXPECT_LE(sleeper.preempted_others, sleeper.runq_wait_count);
    EXPECT_GE(hog.preempted_by_other, kWakeups * 3 / 4);
    EXPECT_GT(sleeper.runq_wait_ns, 0u);
    EXPECT_EQ(hog.preempted_by_self, 0u);
    EXPECT_EQ(sleeper.preempted_by_self, 0u);
    EXPECT_LT(sleeper.run_ns, hog.run_ns);
    const llamux_system_record after = system();
    EXPECT_GE(after.total.preempted_by_other - before.total.preempted_by_other,
              hog.preempted_by_other);
}

TEST_F(Telemetry, CompetingWithOneself) {
    Group group("bpf_self");
    const auto load = [] {
        use_cpu(kCpu);
        spin(400ms);
    };
    Child one(group, load), two(group, load);
    ASSERT_TRUE(one.moved() && two.moved());
    EXPECT_EQ(one.wait(), 0);
    EXPECT_EQ(two.wait(), 0);
    const llamux_cgroup_record record = of(group);
    EXPECT_GT(record.preempted_by_self, 5u);
    // Each waited about half of the time in which both ran.
    EXPECT_GT(record.runq_wait_ns, 100'000'000u);
    EXPECT_LT(record.runq_wait_ns, record.run_ns * 2);
}

TEST_F(Telemetry, MigrationsByAffinity) {
    Group group("bpf_migrate");
    EXPECT_EQ(run_in(group,
                     [] {
                         for (int i = 0; i <= 19; i++) {
                             use_cpu(i % 2);
                         }
                     }),
              0);
    // the first use_cpu() may or may not have moved it
    EXPECT_GE(of(group).migrations, 19u);
    EXPECT_LE(of(group).migrations, 24u);
}

TEST_F(Telemetry, ThrottledByItsOwnQuotaIsNotPreempted) {
    Group group("bpf_quota");
    ASSERT_TRUE(group.set("cpu.max", "10000 100000"));
    EXPECT_EQ(run_in(group,
                     [] {
                         use_cpu(kCpu);
                         spin(700ms);
                     }),
              0);
    const llamux_cgroup_record record = of(group);
    EXPECT_GE(group.value("cpu.stat", "nr_throttled"), 3);
    EXPECT_GE(record.throttled_count, 3u);
    // Whoever came when it was throttled did not take the CPU from it.
    EXPECT_LT(record.preempted_by_other, record.throttled_count + 10);
}

TEST_F(Telemetry, DirectReadsAreCountedOneByOne) {
    Group group("bpf_direct_io");
    EXPECT_EQ(run_in(group,
                     [] {
                         const int fd = open(kDisk, O_RDONLY | O_DIRECT);
                         void* buffer = aligned_alloc(kPage, kPage);
                         for (int i = 0; i < 23; i++) {
                             // far apart, so that none is merged
                             if (pread(fd, buffer, kPage, i * 64 * 4096L) != kPage) {
                                 _exit(1);
                             }
                         }
                     }),
              0);
    const llamux_cgroup_record record = of(group);
    EXPECT_EQ(record.block_io_count, 23u);
    EXPECT_EQ(record.block_io_bytes, 23u * kPage);
    EXPECT_GT(record.block_io_ns, 0u);
    std::uint64_t in_histogram = 0;
    for (std::uint64_t n : system().block_io_hist) {
        in_histogram += n;
    }
    EXPECT_EQ(in_histogram, system().total.block_io_count);
}

void read_whole(int fd, std::size_t bytes) {
    std::vector<char> buffer(1 << 16);
    for (std::size_t at = 0; at < bytes; at += buffer.size()) {
        if (pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(at)) <= 0) {
            _exit(1);
        }
    }
}

TEST_F(Telemetry, RefaultsAndReclaimAtALimit) {
    Group group("bpf_refault");
    ASSERT_TRUE(group.set("memory.high", "16M"));
    EXPECT_EQ(run_in(group,
                     [] {
                         const int fd = open(kDisk, O_RDONLY);
                         for (int i = 0; i < 3; i++) {
                             read_whole(fd, 32u << 20);
                         }
                     }),
              0);
    const llamux_cgroup_record record = of(group);
    const std::int64_t refaults = group.value("memory.stat", "workingset_refault_file");
    EXPECT_GT(group.value("memory.events", "high"), 0);
    EXPECT_GT(record.direct_reclaim_count, 0u);
    EXPECT_GT(record.direct_reclaim_ns, 0u);
    EXPECT_GT(refaults, 1000);
    // With the multi-generational LRU the kernel leaves out old shadows.
    EXPECT_GE(record.refaults_file, static_cast<std::uint64_t>(refaults));
    EXPECT_LE(record.refaults_file, 3u * (32u << 20) / kPage);
    EXPECT_EQ(record.refaults_anon, 0u);
    EXPECT_EQ(record.oom_victims, 0u);
}

TEST_F(Telemetry, MajorFaultsAgreeWithRusage) {
    Group group("bpf_major");
    Child child(group, [] {
        const int fd = open(kDisk, O_RDONLY);
        const std::size_t bytes = 64u << 20;
        const char* map =
            static_cast<const char*>(mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd, 0));
        if (map == MAP_FAILED || madvise(const_cast<char*>(map), bytes, MADV_RANDOM) != 0 ||
            posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0) {
            _exit(1);
        }
        unsigned sum = 0;
        for (std::size_t i = 1; i <= 31; i++) {
            sum += static_cast<unsigned char>(map[i << 20]);
        }
        _exit(sum == 1'000'000 ? 2 : 0);
    });
    ASSERT_TRUE(child.moved());
    EXPECT_EQ(child.wait(), 0);
    const llamux_cgroup_record record = of(group);
    EXPECT_GE(child.usage().ru_majflt, 31);
    // What it had before it came into the group is counted elsewhere.
    EXPECT_LE(record.major_faults, static_cast<std::uint64_t>(child.usage().ru_majflt));
    EXPECT_GE(record.major_faults, 31u);
}

TEST_F(Telemetry, OomVictimIsCountedForItsGroup) {
    Group group("bpf_oom");
    ASSERT_TRUE(group.set("memory.max", "16M"));
    ASSERT_TRUE(group.set("memory.swap.max", "0"));
    const int status = run_in(group, [] {
        std::vector<char> memory(64u << 20, 'x');
        _exit(memory[12345] == 'x' ? 0 : 1);
    });
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
    EXPECT_EQ(group.value("memory.events", "oom_kill"), 1);
    EXPECT_EQ(of(group).oom_victims, 1u);
}

TEST_F(Telemetry, TotalIsTheSumOfTheGroups) {
    const llamux_system_record before = system();
    Group a("bpf_sum_a"), b("bpf_sum_b");
    EXPECT_EQ(run_in(a, [] { fork_times(7); }), 0);
    EXPECT_EQ(run_in(b, [] { fork_times(11); }), 0);
    llamux_cgroup_record sum = {};
    std::uint64_t key = 0;
    std::uint64_t next = 0;
    bool first = true;
    while (bpf_map_get_next_key(source_->cgroups_fd(), first ? nullptr : &key, &next) == 0) {
        const llamux_cgroup_record record = cgroup_record(source_->cgroups_fd(), next);
        sum.forks += record.forks;
        sum.oom_victims += record.oom_victims;
        sum.block_io_count += record.block_io_count;
        key = next;
        first = false;
    }
    const llamux_system_record after = system();
    EXPECT_EQ(after.total.forks, sum.forks);
    EXPECT_EQ(after.total.oom_victims, sum.oom_victims);
    EXPECT_EQ(after.total.block_io_count, sum.block_io_count);
    EXPECT_GE(after.total.forks - before.total.forks, 18u);
}

TEST_F(Telemetry, HardlyAnythingIsDropped) {
    const llamux_system_record record = system();
    EXPECT_EQ(record.dropped_records, 0u);
    // 6.1 gives up a task's storage whose lock is busy on this CPU: docs/TELEMETRY.md.
    utsname kernel{};
    ASSERT_EQ(uname(&kernel), 0);
    const bool gives_up = std::string_view(kernel.release).starts_with("6.1.");
    EXPECT_LE(record.dropped_wakeups, gives_up ? record.total.runq_wait_count / 100 : 0);
    EXPECT_EQ(record.dropped_block_io, 0u);
    EXPECT_GT(record.softirq_ns, 0u);
    EXPECT_GT(record.idle_ns, 0u);
}

}  // namespace
}  // namespace llamux::test
