// SPDX-License-Identifier: GPL-2.0-only
//
// What the commands share: the adapters as configured, one look at the
// machine, and how an error is told.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "cli/cli.hpp"
#include "core/suggestion.hpp"
#include "kernel/json.hpp"
#include "service.hpp"

namespace llamux {

Result<Config> read_config(const Globals& globals);

// The adapters, with the configuration read.
Result<std::unique_ptr<Service>> open_service(const Globals& globals);

// One measured window and what the kernel makes of it.
struct Consultation {
    std::unique_ptr<Service> service;
    std::unique_ptr<Device> device;  // its session has the snapshot and advice
    Sensed sensed;
    SnapshotPtr snapshot;
    Suggestion suggestion;
    std::string no_telemetry;  // why there is no BPF telemetry; or empty
};

// Looks for as long as @window. @flags: 0 or LLAMUX_ADVISE_RULES_ONLY. The
// suggestion is stored, so that `explain` and `apply` find it.
Result<Consultation> consult(const Globals& globals, std::chrono::milliseconds window,
                             std::uint32_t flags);

// Options that commands which look at the machine have in common.
void add_window_option(CLI::App& command, double& window_seconds);
std::chrono::milliseconds to_milliseconds(double seconds);

// Prints one line on standard error (an object with --json on standard
// output) and gives the exit status that fits.
int tell_error(const Globals& globals, const Error& error);

// What is not there is no data (2), what may not be done is not permitted (3),
// all else is a problem (1).
int exit_status_of(const Error& error);

// The same event in the audit log; says so once on standard error if it fails.
void audit(Service& service, const Event& event);

// Prints the object on one line.
void print_json(const Json& json);

// Healthy without a fact, else a problem.
int exit_status_of(const Suggestion& suggestion);

}  // namespace llamux
