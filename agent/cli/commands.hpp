// SPDX-License-Identifier: GPL-2.0-only
//
// Every command's one function: declares its subcommand on @app. @globals
// outlives the parse.
#pragma once

#include "cli/cli.hpp"

namespace llamux {

void add_run(CLI::App& app, Globals& globals);
void add_ask(CLI::App& app, Globals& globals);
void add_advise(CLI::App& app, Globals& globals);
void add_apply(CLI::App& app, Globals& globals);
void add_explain(CLI::App& app, Globals& globals);
void add_status(CLI::App& app, Globals& globals);
void add_history(CLI::App& app, Globals& globals);
void add_rollback(CLI::App& app, Globals& globals);
void add_support(CLI::App& app, Globals& globals);

}  // namespace llamux
