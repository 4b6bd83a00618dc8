// SPDX-License-Identifier: GPL-2.0-only
//
// llamux-agent advise: one look, one suggestion with its evidence.
#include <cstdio>

#include "cli/consult.hpp"
#include "kernel/terminal.hpp"
#include "report/answer.hpp"

namespace llamux {
namespace {

struct AdviseOptions {
    double window_seconds = 2;
    bool rules_only = false;
};

int advise(const Globals& globals, const AdviseOptions& options) {
    const Result<Consultation> look = consult(globals, to_milliseconds(options.window_seconds),
                                              options.rules_only ? LLAMUX_ADVISE_RULES_ONLY : 0);
    if (!look) {
        return tell_error(globals, look.error());
    }
    if (globals.json) {
        Json json = to_json(look->suggestion);
        json["not_checked"] = not_checked_line(*look->snapshot);
        json["no_telemetry_because"] = look->no_telemetry;
        print_json(json);
        return exit_status_of(look->suggestion);
    }
    const Style style(wants_colour());
    const std::size_t columns = output_columns();
    std::printf("%s\n%s", style.bold(wrap(verdict_line(look->suggestion), columns, "")).c_str(),
                answer_text(look->suggestion, *look->snapshot, style, columns).c_str());
    return exit_status_of(look->suggestion);
}

}  // namespace

void add_advise(CLI::App& app, Globals& globals) {
    auto options = std::make_shared<AdviseOptions>();
    CLI::App* command =
        app.add_subcommand("advise", "Look once and suggest; `apply ID` does what it says");
    add_window_option(*command, options->window_seconds);
    command->add_flag("--rules-only", options->rules_only, "Do not ask the model");
    command->callback([&globals, options] { globals.exit_status = advise(globals, *options); });
}

}  // namespace llamux
