// SPDX-License-Identifier: GPL-2.0-only
//
// See cli.hpp.
#include "cli/cli.hpp"

#include <algorithm>
#include <string_view>
#include <vector>

namespace llamux {
namespace {

using AddCommand = void (*)(CLI::App&, Globals&);

// In the order of the help text.
constexpr AddCommand kCommands[] = {
    add_ask,      add_advise, add_apply,  add_explain, add_status, add_history,
    add_rollback, add_freeze, add_goal,   add_support, add_model,  add_config,
    add_monitor,  add_record, add_replay, add_run,
};

// Under these names the program is that command.
struct ShortName {
    std::string_view name;
    const char* command;
};
constexpr ShortName kShortNames[] = {{"llama-mon", "monitor"}, {"llama", "goal"}};

std::vector<const char*> words_of(int argc, char** argv) {
    std::vector<const char*> words(argv, argv + argc);
    const std::string_view path = argc > 0 ? argv[0] : "";
    const std::string_view name = path.substr(path.rfind('/') + 1);
    for (const ShortName& one : kShortNames) {
        if (one.name == name) {
            words.insert(words.begin() + 1, one.command);
        }
    }
    return words;
}

}  // namespace

int run_command_line(int argc, char** argv, const Roots& roots) {
    Globals globals;
    globals.roots = roots;
    CLI::App app(
        "Looks after this machine with a language model in its kernel.\n"
        "Advises by default; writes a knob only when told to, and then measures\n"
        "the effect and undoes what did not help.",
        "llamux-agent");
    app.require_subcommand(1);
    app.fallthrough();
    app.add_option("--config", globals.roots.config, "Configuration file")
        ->capture_default_str()
        ->type_name("FILE");
    app.add_option("--state-dir", globals.roots.state, "Where the journal is kept")
        ->capture_default_str()
        ->type_name("DIR");
    app.add_flag("--json", globals.json, "Print JSON where a command prints anything");
    for (const AddCommand add : kCommands) {
        add(app, globals);
    }
    try {
        std::vector<const char*> words = words_of(argc, argv);
        const auto end = std::find(words.begin(), words.end(), std::string_view("--"));
        if (end != words.end()) {
            globals.program.assign(end + 1, words.end());
            words.erase(end, words.end());
        }
        app.parse(static_cast<int>(words.size()), words.data());
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? kExitHealthy : kExitProblem;
    }
    return globals.exit_status;
}

}  // namespace llamux
