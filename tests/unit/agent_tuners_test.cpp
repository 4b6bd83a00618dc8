// SPDX-License-Identifier: GPL-2.0-only
//
// Catches: another tuner that is overlooked, one that is seen because an
// unprivileged process took its name, and a knob that both write.
#include <gtest/gtest.h>

#include <limits>

#include "kernel/tuners.hpp"
#include "support/fake_machine.hpp"

namespace llamux {
namespace {

constexpr unsigned kAnybody = std::numeric_limits<unsigned>::max();

class TunersTest : public testing::Test {
  protected:
    std::vector<std::string> here(unsigned first_user_id = kAnybody) {
        std::vector<std::string> names;
        for (const Tuner& tuner : find_tuners(machine.roots, first_user_id)) {
            if (tuner.is_here) {
                names.emplace_back(tuner.name);
            }
        }
        return names;
    }
    std::vector<std::string> knobs_left() {
        std::vector<std::string> knobs;
        for (const Hold& hold : holds_of(find_tuners(machine.roots, kAnybody))) {
            knobs.push_back(hold.by + " " + hold_name(hold.target));
        }
        return knobs;
    }

    FakeMachine machine;
};

TEST_F(TunersTest, NoneOnAMachineWithoutAny) {
    machine.write("proc/77/comm", "untuned");
    machine.write("proc/78/comm", "tunedd");
    machine.write("sys/kernel/sched_ext/state", "disabled");
    EXPECT_TRUE(here().empty());
    EXPECT_TRUE(knobs_left().empty());
}

TEST_F(TunersTest, EachIsFound) {
    machine.write("proc/10/comm", "tuned");
    machine.write("proc/11/comm", "power-profiles-");  // cut by the kernel
    machine.write("proc/12/comm", "ananicy-cpp");
    machine.write("proc/13/comm", "bpftune");
    machine.write("proc/14/comm", "systemd-oomd");
    machine.write("run/tlp/last_pwr", "0");
    machine.write("sys/kernel/sched_ext/state", "enabled");
    EXPECT_EQ(here(), (std::vector<std::string>{"tuned", "power-profiles-daemon", "ananicy-cpp",
                                                "bpftune", "systemd-oomd", "tlp", "sched_ext"}));
}

TEST_F(TunersTest, WhatTheyWriteIsLeftToThem) {
    machine.write("proc/10/comm", "tuned");
    EXPECT_EQ(knobs_left(),
              (std::vector<std::string>{"tuned vm.swappiness", "tuned vm.dirty_ratio"}));
    machine.write("proc/10/comm", "bpftune");
    EXPECT_TRUE(knobs_left().empty());
    machine.write("proc/10/comm", "systemd-oomd");
    EXPECT_EQ(knobs_left(),
              (std::vector<std::string>{"systemd-oomd memory.high of every group",
                                        "systemd-oomd memory.reclaim of every group"}));
}

TEST_F(TunersTest, ANameThatAUserTookDoesNotCount) {
    machine.write("proc/10/comm", "tuned");
    EXPECT_TRUE(here(/*first_user_id=*/0).empty());
}

}  // namespace
}  // namespace llamux
