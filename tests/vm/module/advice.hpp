// SPDX-License-Identifier: GPL-2.0-only
//
// Snapshots and advice of /dev/llamux, for the guest tests.
#pragma once

#include <memory>

#include "llamux/telemetry.h"
#include "vm/module/device.hpp"

namespace llamux::vm {

// What the agent knows of a machine, where it knows nothing.
inline std::unique_ptr<llamux_signals> some_signals() {
    auto signals = std::make_unique<llamux_signals>();
    std::memset(signals.get(), 0xff, sizeof(*signals));  // everything unknown
    signals->size = sizeof(*signals);
    signals->n_groups = 0;
    signals->system.flags = 0;
    signals->system.n_cpus = 2;
    return signals;
}

struct Advice {
    llamux_advice advice{};
    std::unique_ptr<llamux_snapshot> snapshot = std::make_unique<llamux_snapshot>();
    std::string text = std::string(4096, 'x');

    int ask(const Device& device, std::uint32_t flags, const llamux_signals* signals) {
        advice = {.size = sizeof(advice),
                  .flags = flags,
                  .signals = reinterpret_cast<std::uint64_t>(signals),
                  .snapshot = reinterpret_cast<std::uint64_t>(snapshot.get()),
                  .snapshot_size = sizeof(*snapshot),
                  .prompt = reinterpret_cast<std::uint64_t>(text.data()),
                  .prompt_size = text.size()};
        return device.call(LLAMUX_IOC_ADVISE, &advice);
    }
};

// CPU pressure and a full quota: the detectors must see something.
inline std::unique_ptr<llamux_signals> trouble(int window) {
    auto signals = some_signals();
    signals->n_groups = 2;
    for (std::uint32_t i = 0; i < 2; ++i) {
        llamux_group_signals& group = signals->groups[i];
        group.cgroup_id = 100 + i;
        group.parent_id = 0;
        group.flags = i == 0 ? LLAMUX_GROUP_LATENCY : LLAMUX_GROUP_BACKGROUND;
        group.reserved = 0;
        group.cpu_weight = 100;
        group.cpu_idle = 0;
        group.cpu_max_period_us = 100000;
        group.cpu_max_quota_us = i == 0 ? 20000 : LLAMUX_NO_LIMIT;
        group.periods_count = static_cast<std::uint64_t>(window) * 10;
        group.throttled_count = i == 0 ? group.periods_count : 0;
        group.throttled_us = i == 0 ? static_cast<std::uint64_t>(window) * 5000000 : 0;
        group.psi.cpu.some_us = static_cast<std::uint64_t>(window) * 900000;
    }
    signals->system.psi.cpu.some_us = static_cast<std::uint64_t>(window) * 900000;
    return signals;
}

inline void give_trouble(const Device& device, Advice& advice, std::uint32_t flags) {
    ASSERT_EQ(advice.ask(device, LLAMUX_ADVISE_RULES_ONLY, trouble(1).get()), 0);
    std::this_thread::sleep_for(1s);
    ASSERT_EQ(advice.ask(device, flags, trouble(2).get()), 0);
    ASSERT_GT(advice.advice.n_facts, 0u);
    ASSERT_GT(advice.advice.n_candidates, 1u);
    ASSERT_LT(advice.advice.chosen, advice.advice.n_candidates);
    EXPECT_EQ(advice.advice.snapshot_sequence, 2u);
    EXPECT_GT(advice.advice.detect_ns, 0u);
}

// The answer, in at most four tokens; the session has a snapshot.
inline std::string ask_about_machine(const Device& device) {
    llamux_params params = device.params();
    params.format = LLAMUX_FORMAT_ASK;
    params.max_tokens = 4;
    params.temperature_milli = 0;
    EXPECT_EQ(device.call(LLAMUX_IOC_SET_PARAMS, &params), 0);
    EXPECT_EQ(device.prompt("Why is it slow?"), 0);
    return device.answer();
}

}  // namespace llamux::vm
