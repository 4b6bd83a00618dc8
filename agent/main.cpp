// SPDX-License-Identifier: GPL-2.0-only
//
// Wiring only: the real machine's paths go in here and nowhere else.
#include "cli/cli.hpp"
#include "kernel/roots.hpp"

int main(int argc, char** argv) {
    return llamux::run_command_line(argc, argv, llamux::Roots::of_this_machine());
}
