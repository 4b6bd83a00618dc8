// SPDX-License-Identifier: GPL-2.0-only
//
// Catches: a SIGHUP that stops the service, is lost or makes every later wait
// return at once, and a stop that is lost behind a SIGHUP.
#include <gtest/gtest.h>
#include <signal.h>

#include "kernel/process.hpp"

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

}  // namespace
}  // namespace llamux
