// SPDX-License-Identifier: GPL-2.0-only
//
// Catches: a SIGHUP that stops the service, is lost or makes every later wait
// return at once, a stop that is lost behind a SIGHUP, rights that are kept, and
// a load that shows no progress.
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

#include "kernel/process.hpp"
#include "kernel/thread_io.hpp"
#include "support/fake_machine.hpp"

namespace llamux {
namespace {

using std::chrono::milliseconds;

// One process each: the signal that came last is state of the process.
using ProcessDeathTest = testing::Test;

void expect_in_child(void (*body)()) {
    EXPECT_EXIT(
        {
            body();
            ::_exit(testing::Test::HasFailure() ? 1 : 0);
        },
        testing::ExitedWithCode(0), "");
}

TEST_F(ProcessDeathTest, HangUpReloadsOnceAndWaitingGoesOn) {
    expect_in_child([] {
        Result<StopSignals> signals = StopSignals::catch_all(HangUp::kReloads);
        ASSERT_TRUE(signals);
        EXPECT_FALSE(signals->take_reload());
        ::raise(SIGHUP);
        EXPECT_EQ(signals->wait(milliseconds(60'000)), 0) << "returns early, but does not stop";
        EXPECT_TRUE(signals->take_reload());
        EXPECT_FALSE(signals->take_reload());
        SystemClock clock;
        const std::uint64_t before_ns = clock.boot_ns();
        EXPECT_EQ(signals->wait(milliseconds(50)), 0);
        EXPECT_GE(clock.boot_ns() - before_ns, 40'000'000u) << "waits again";
        ::raise(SIGHUP);
        ::raise(SIGTERM);
        EXPECT_EQ(signals->wait(milliseconds(60'000)), SIGTERM);
        EXPECT_TRUE(signals->take_reload());
        EXPECT_EQ(signals->wait(milliseconds(60'000)), SIGTERM) << "a stop stays one";
    });
}

TEST_F(ProcessDeathTest, HangUpStopsACommand) {
    expect_in_child([] {
        Result<StopSignals> signals = StopSignals::catch_all(HangUp::kStops);
        ASSERT_TRUE(signals);
        ::raise(SIGHUP);
        EXPECT_EQ(signals->wait(milliseconds(60'000)), SIGHUP);
        EXPECT_FALSE(signals->take_reload());
    });
}

TEST_F(ProcessDeathTest, RightsAreGivenUpForGood) {
    expect_in_child([] {
        __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
        std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
        ASSERT_EQ(::syscall(SYS_capget, &header, sets.data()), 0);
        const __u32 kept = sets[0].permitted & (1u << CAP_SYS_ADMIN | 1u << CAP_DAC_OVERRIDE);
        ASSERT_TRUE(drop_capabilities());
        ASSERT_EQ(::syscall(SYS_capget, &header, sets.data()), 0);
        for (const auto& set : sets) {
            const __u32 expected = &set == &sets[0] ? kept : 0;
            EXPECT_EQ(set.effective, expected);
            EXPECT_EQ(set.permitted, expected);
            EXPECT_EQ(set.inheritable, 0u);
        }
        EXPECT_EQ(::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
    });
}

TEST(ThreadIo, IsWhatTheKernelCountsForTheThread) {
    FakeMachine machine;
    EXPECT_FALSE(bytes_read_by(7, machine.roots.proc));
    machine.write("proc/self/task/7/io", "rchar: 4711\nwchar: 12\n");
    EXPECT_EQ(bytes_read_by(7, machine.roots.proc), 4711u);
    machine.write("proc/self/task/7/io", "wchar: 12\n");
    EXPECT_FALSE(bytes_read_by(7, machine.roots.proc));
}

}  // namespace
}  // namespace llamux
