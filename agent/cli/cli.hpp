// SPDX-License-Identifier: GPL-2.0-only
//
// The frame of the command line: one file per command, each with one add_*
// function, registered in the table of cli.cpp and nowhere else. A command
// fills in its own options and sets the exit status when it ran.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "kernel/roots.hpp"

namespace llamux {

// What every command may use; set before a command's callback runs.
struct Globals {
    Roots roots;                       // --state-dir and --config already in place
    bool json = false;                 // --json
    std::vector<std::string> program;  // what follows "--"
    int exit_status = 0;               // set by the command
};

// Exit statuses, as documented in docs/AGENT.md.
constexpr int kExitHealthy = 0;
constexpr int kExitProblem = 1;
constexpr int kExitNoData = 2;
constexpr int kExitNotPermitted = 3;

// Each declares one subcommand on @app. @globals outlives the parse.
void add_run(CLI::App& app, Globals& globals);
void add_ask(CLI::App& app, Globals& globals);
void add_advise(CLI::App& app, Globals& globals);
void add_apply(CLI::App& app, Globals& globals);
void add_explain(CLI::App& app, Globals& globals);
void add_status(CLI::App& app, Globals& globals);
void add_history(CLI::App& app, Globals& globals);
void add_config(CLI::App& app, Globals& globals);
void add_goal(CLI::App& app, Globals& globals);
void add_freeze(CLI::App& app, Globals& globals);  // and unfreeze
void add_model(CLI::App& app, Globals& globals);
void add_monitor(CLI::App& app, Globals& globals);
void add_record(CLI::App& app, Globals& globals);
void add_replay(CLI::App& app, Globals& globals);
void add_rollback(CLI::App& app, Globals& globals);
void add_support(CLI::App& app, Globals& globals);

// Parses and runs; the process's exit status.
int run_command_line(int argc, char** argv, const Roots& roots);

}  // namespace llamux
