// SPDX-License-Identifier: GPL-2.0-only
// Catches: a module that binds maps of the wrong layout, loses its reference to
// them, or reads, subtracts or merges them wrongly. The expected numbers come
// from the loads and from reading the same maps through libbpf. Runs as root in
// a guest, with llamux.ko in $LLAMUX_KO.
#include <gtest/gtest.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>

#include "counters.hpp"
#include "kernel/bpf_source.hpp"
#include "load.hpp"
#include "uapi/llamux.h"

namespace llamux::test {
namespace {

using namespace std::chrono_literals;

constexpr const char* kPins = "/sys/fs/bpf/llamux_snapshot_test";
constexpr int kCpu = 1;

class Device {
  public:
    Device() : fd_(open(LLAMUX_DEVICE, O_RDWR | O_CLOEXEC)) {}
    bool is_open() const { return fd_.is_open(); }

    // 0 or an errno, as all below.
    int bind(int cgroups_fd, int system_fd, unsigned reserved = 0) {
        llamux_bind request = {sizeof(request), cgroups_fd, system_fd, reserved};
        return ioctl(fd_.get(), LLAMUX_IOC_BIND, &request) == 0 ? 0 : errno;
    }
    int bind(const BpfSource& source) { return bind(source.cgroups_fd(), source.system_fd()); }

    int take(const llamux_signals* signals = nullptr) {
        llamux_snapshot_request request = {};
        request.size = sizeof(request);
        request.signals = reinterpret_cast<std::uintptr_t>(signals);
        request.snapshot = reinterpret_cast<std::uintptr_t>(last_.get());
        request.snapshot_size = sizeof(*last_);
        std::memset(last_.get(), 0x5a, sizeof(*last_));
        return ioctl(fd_.get(), LLAMUX_IOC_SNAPSHOT, &request) == 0 ? 0 : errno;
    }
    const llamux_snapshot& last() const { return *last_; }
    const llamux_group_snapshot* group(std::uint64_t id) const {
        for (unsigned i = 0; i < last_->n_groups && i < LLAMUX_MAX_GROUPS; i++) {
            if (last_->groups[i].signals.cgroup_id == id) {
                return &last_->groups[i];
            }
        }
        return nullptr;
    }

  private:
    Fd fd_;
    std::unique_ptr<llamux_snapshot> last_ = std::make_unique<llamux_snapshot>();
};

class SnapshotDevice : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        use_cpu(0);
        if (access(LLAMUX_DEVICE, F_OK) != 0) {
            ASSERT_NE(std::getenv("LLAMUX_KO"), nullptr);
            ASSERT_EQ(std::system("insmod \"$LLAMUX_KO\""), 0);
        }
        BpfOptions options;
        options.pin_directory = kPins;
        Result<BpfSource> started = BpfSource::ensure(options);
        ASSERT_TRUE(started) << started.error().message;
        source_ = std::make_unique<BpfSource>(std::move(*started));
    }
    static void TearDownTestSuite() {
        source_.reset();
        EXPECT_TRUE(BpfSource::unload(kPins));
    }
    void SetUp() override {
        ASSERT_NE(source_, nullptr);
        ASSERT_TRUE(device_.is_open()) << std::strerror(errno);
    }
    void TearDown() override { EXPECT_EQ(device_.bind(-1, -1), 0); }

    static std::unique_ptr<BpfSource> source_;
    Device device_;
};

std::unique_ptr<BpfSource> SnapshotDevice::source_;

TEST_F(SnapshotDevice, WithoutMaps) {
    ASSERT_EQ(device_.take(), 0);
    EXPECT_EQ(device_.last().flags, unsigned{LLAMUX_SNAPSHOT_FIRST | LLAMUX_SNAPSHOT_NO_MAPS |
                                             LLAMUX_SNAPSHOT_NO_SIGNALS});
    EXPECT_EQ(device_.last().n_groups, 0u);
    EXPECT_EQ(device_.last().signals.n_cpus, 2u);
}

TEST_F(SnapshotDevice, MapsOfAnotherLayoutAreRefused) {
    const int cgroups = source_->cgroups_fd();
    const int system = source_->system_fd();
    ASSERT_EQ(device_.bind(cgroups, system), 0);

    const Fd plain(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    const Fd small_record(bpf_map_create(BPF_MAP_TYPE_LRU_PERCPU_HASH, "small_record", 8,
                                         sizeof(llamux_cgroup_record) - 8, LLAMUX_MAX_CGROUPS,
                                         nullptr));
    const Fd small_key(bpf_map_create(BPF_MAP_TYPE_LRU_PERCPU_HASH, "small_key", 4,
                                      sizeof(llamux_cgroup_record), LLAMUX_MAX_CGROUPS, nullptr));
    const Fd many(bpf_map_create(BPF_MAP_TYPE_LRU_PERCPU_HASH, "many", 8,
                                 sizeof(llamux_cgroup_record), LLAMUX_MAX_CGROUPS * 2, nullptr));
    const Fd not_per_cpu(bpf_map_create(BPF_MAP_TYPE_LRU_HASH, "not_per_cpu", 8,
                                        sizeof(llamux_cgroup_record), LLAMUX_MAX_CGROUPS, nullptr));
    const Fd array(
        bpf_map_create(BPF_MAP_TYPE_ARRAY, "array", 4, sizeof(llamux_system_record), 1, nullptr));
    for (const Fd* fd : {&plain, &small_record, &small_key, &many, &not_per_cpu, &array}) {
        ASSERT_TRUE(fd->is_open()) << std::strerror(errno);
        EXPECT_EQ(device_.bind(fd->get(), system), EINVAL);
        EXPECT_EQ(device_.bind(cgroups, fd->get()), EINVAL);
    }
    EXPECT_EQ(device_.bind(system, cgroups), EINVAL);
    EXPECT_EQ(device_.bind(-1, system), EINVAL);
    EXPECT_EQ(device_.bind(cgroups, -1), EINVAL);
    EXPECT_EQ(device_.bind(cgroups, system, 1), EINVAL);
    EXPECT_EQ(device_.bind(12345, system), EBADF);

    ASSERT_EQ(device_.take(), 0);
    EXPECT_FALSE(device_.last().flags & LLAMUX_SNAPSHOT_NO_MAPS) << "the former binding stays";
}

TEST_F(SnapshotDevice, WindowsAreDifferences) {
    Group group("snapshot_windows");
    ASSERT_EQ(device_.bind(*source_), 0);
    EXPECT_EQ(run_in(group, [] { fork_times(23); }), 0);

    ASSERT_EQ(device_.take(), 0);
    EXPECT_EQ(device_.last().flags, unsigned{LLAMUX_SNAPSHOT_FIRST | LLAMUX_SNAPSHOT_NO_SIGNALS});
    EXPECT_EQ(device_.last().sequence, 1u);
    const llamux_group_snapshot* snapshot = device_.group(group.id());
    ASSERT_NE(snapshot, nullptr);
    const llamux_cgroup_record record = cgroup_record(source_->cgroups_fd(), group.id());
    EXPECT_EQ(std::memcmp(&snapshot->record, &record, sizeof(record)), 0)
        << "the group is at rest: the same bytes as through libbpf";
    EXPECT_EQ(snapshot->record.forks, 23u);

    ASSERT_EQ(device_.take(), 0);
    EXPECT_EQ(device_.group(group.id()), nullptr) << "it did nothing";
    EXPECT_EQ(device_.last().flags, unsigned{LLAMUX_SNAPSHOT_NO_SIGNALS});

    EXPECT_EQ(run_in(group, [] { fork_times(17); }), 0);
    ASSERT_EQ(device_.take(), 0);
    ASSERT_NE(device_.group(group.id()), nullptr);
    EXPECT_EQ(device_.group(group.id())->record.forks, 17u);
    EXPECT_GE(device_.last().record.total.forks, 17u);
    EXPECT_EQ(device_.last().sequence, 3u);
    EXPECT_GT(device_.last().window_ns, 0u);
}

TEST_F(SnapshotDevice, SessionsHaveTheirOwnWindows) {
    Group group("snapshot_sessions");
    Device other;
    ASSERT_EQ(device_.bind(*source_), 0);
    ASSERT_EQ(device_.take(), 0);
    ASSERT_EQ(other.take(), 0);
    EXPECT_EQ(run_in(group, [] { fork_times(7); }), 0);
    ASSERT_EQ(device_.take(), 0);
    EXPECT_EQ(run_in(group, [] { fork_times(11); }), 0);
    ASSERT_EQ(device_.take(), 0);
    ASSERT_EQ(other.take(), 0);
    ASSERT_TRUE(device_.group(group.id()) && other.group(group.id()));
    EXPECT_EQ(device_.group(group.id())->record.forks, 11u);
    EXPECT_EQ(other.group(group.id())->record.forks, 18u);
}

TEST_F(SnapshotDevice, HogIsFirstWithItsShare) {
    Group group("snapshot_hog");
    Child hog(group, [] {
        use_cpu(kCpu);
        spin(60s);
    });
    ASSERT_EQ(device_.bind(*source_), 0);
    std::this_thread::sleep_for(100ms);
    ASSERT_EQ(device_.take(), 0);
    const std::int64_t usage_before_us = group.value("cpu.stat", "usage_usec");
    std::this_thread::sleep_for(500ms);
    ASSERT_EQ(device_.take(), 0);
    const std::int64_t usage_us = group.value("cpu.stat", "usage_usec") - usage_before_us;
    EXPECT_EQ(device_.last().groups[0].signals.cgroup_id, group.id());
    const double window_us = static_cast<double>(device_.last().window_ns) / 1000;
    const double expected = 1000.0 * static_cast<double>(usage_us) / (2 * window_us);
    EXPECT_NEAR(device_.last().groups[0].cpu_permille, expected, 60);
    // What is left of two CPUs, by the same accounting: a guest's CPU that the
    // host holds up gives the hog less than a whole one.
    const double idle_us = static_cast<double>(device_.last().record.idle_ns) / 1000;
    EXPECT_LE(idle_us, 2 * window_us - 0.8 * static_cast<double>(usage_us));
}

TEST_F(SnapshotDevice, SignalsAreMerged) {
    Group group("snapshot_signals");
    ASSERT_EQ(device_.bind(*source_), 0);
    auto signals = std::make_unique<llamux_signals>();
    signals->size = sizeof(*signals);
    signals->n_groups = 2;
    signals->groups[0].cgroup_id = group.id();
    signals->groups[0].flags = LLAMUX_GROUP_PROTECTED;
    signals->groups[0].psi.cpu.some_us = 100;
    signals->groups[0].cpu_weight = 250;
    signals->groups[1].cgroup_id = 1ull << 60;  // nobody's
    ASSERT_EQ(device_.take(signals.get()), 0);
    signals->groups[0].psi.cpu.some_us = 142;
    EXPECT_EQ(run_in(group, [] { fork_times(5); }), 0);
    ASSERT_EQ(device_.take(signals.get()), 0);
    const llamux_group_snapshot* snapshot = device_.group(group.id());
    ASSERT_NE(snapshot, nullptr);
    EXPECT_EQ(snapshot->record.forks, 5u);
    EXPECT_EQ(snapshot->signals.flags, unsigned{LLAMUX_GROUP_PROTECTED});
    EXPECT_EQ(snapshot->signals.psi.cpu.some_us, 42u);
    EXPECT_EQ(snapshot->signals.cpu_weight, 250u);
    ASSERT_NE(device_.group(1ull << 60), nullptr);

    const std::uint64_t sequence = device_.last().sequence;
    signals->groups[1].cgroup_id = group.id();
    EXPECT_EQ(device_.take(signals.get()), EINVAL) << "the same group twice";
    signals->n_groups = LLAMUX_MAX_GROUPS + 1;
    EXPECT_EQ(device_.take(signals.get()), EINVAL);
    ASSERT_EQ(device_.take(), 0);
    EXPECT_EQ(device_.last().sequence, sequence + 1) << "a refused one does not count";
}

TEST_F(SnapshotDevice, MapsOutliveTheirPinsAndDescriptors) {
    Group group("snapshot_held");
    {
        BpfOptions options;
        options.pin_directory = std::string(kPins) + "_held";
        const Result<BpfSource> source = BpfSource::ensure(options);
        ASSERT_TRUE(source) << source.error().message;
        ASSERT_EQ(device_.bind(*source), 0);
        EXPECT_EQ(run_in(group, [] { fork_times(13); }), 0);
        ASSERT_TRUE(BpfSource::unload(options.pin_directory));
    }
    ASSERT_EQ(device_.take(), 0);
    ASSERT_NE(device_.group(group.id()), nullptr);
    EXPECT_EQ(device_.group(group.id())->record.forks, 13u);

    ASSERT_EQ(device_.bind(*source_), 0);
    ASSERT_EQ(device_.take(), 0);
    EXPECT_TRUE(device_.last().flags & LLAMUX_SNAPSHOT_FIRST) << "other maps, other counters";
}

// More cgroups than the map holds, made while it is read.
TEST_F(SnapshotDevice, EvictionWhileReading) {
    ASSERT_EQ(device_.bind(*source_), 0);
    Group busy("snapshot_busy");
    Child churn(busy, [] {
        for (;;) {
            fork_times(1);
        }
    });
    std::vector<std::uint64_t> values(
        static_cast<std::size_t>(libbpf_num_possible_cpus()) * sizeof(llamux_cgroup_record) / 8, 1);
    unsigned most_seen = 0;
    for (std::uint64_t i = 0; i < 3 * LLAMUX_MAX_CGROUPS; i++) {
        const llamux_cgroup_key key = {(1ull << 50) + i};
        ASSERT_EQ(bpf_map_update_elem(source_->cgroups_fd(), &key, values.data(), BPF_ANY), 0);
        if (i % 100 == 99) {
            ASSERT_EQ(device_.take(), 0);
            ASSERT_LE(device_.last().n_groups, unsigned{LLAMUX_MAX_GROUPS});
            most_seen =
                std::max(most_seen, device_.last().n_groups + device_.last().n_groups_dropped);
            for (unsigned j = 1; j < device_.last().n_groups; j++) {
                ASSERT_NE(device_.last().groups[j].signals.cgroup_id,
                          device_.last().groups[j - 1].signals.cgroup_id);
            }
        }
    }
    EXPECT_GT(most_seen, 100u) << "dropped ones are counted";
    EXPECT_LE(most_seen, unsigned{LLAMUX_MAX_CGROUPS});
}

}  // namespace
}  // namespace llamux::test
