// SPDX-License-Identifier: GPL-2.0-only
//
// llamux-agent config: is the configuration right, and what is in force.
#include "config.hpp"

#include <cstdio>
#include <string>

#include "cli/consult.hpp"
#include "kernel/files.hpp"
#include "report/text.hpp"

namespace llamux {
namespace {

// A place that is cut off helps nobody; a terminal breaks the line.
constexpr std::size_t kWholeLines = 4096;

Result<ConfigFile> read_file(const Globals& globals) {
    return read_config_file(globals.roots.config,
                            globals.roots.config != Roots::of_this_machine().config);
}

// Mistakes go where the answer goes: they are the answer.
int tell_mistakes(const Globals& globals, const ConfigFile& file) {
    Json list = Json::array();
    for (const ConfigMistake& mistake : file.mistakes) {
        list.push_back(
            Json{{"line", mistake.line}, {"column", mistake.column}, {"text", mistake.text}});
        if (!globals.json) {
            std::printf("%s\n", printable(mistake.in_file(globals.roots.config)).c_str());
        }
    }
    if (globals.json) {
        print_json(Json{{"file", globals.roots.config}, {"mistakes", list}});
    }
    return file.mistakes.empty() ? kExitHealthy : kExitProblem;
}

int check(const Globals& globals) {
    const Result<ConfigFile> file = read_file(globals);
    if (!file) {
        return tell_error(globals, file.error());
    }
    if (file->mistakes.empty() && !globals.json) {
        const bool exists = path_exists(globals.roots.config);
        std::printf("%s: %s\n", printable(globals.roots.config).c_str(),
                    exists ? "no mistakes" : "not there: the defaults are in force");
        return kExitHealthy;
    }
    return tell_mistakes(globals, *file);
}

int show(const Globals& globals) {
    const Result<ConfigFile> file = read_file(globals);
    if (!file) {
        return tell_error(globals, file.error());
    }
    if (!file->mistakes.empty()) {
        return tell_mistakes(globals, *file);
    }
    Json list = Json::array();
    Table table({"FIELD", "VALUE", "FROM"});
    for (const ConfigValue& value : config_values(file->config)) {
        const auto line = file->lines.find(value.path);
        const std::string from = line == file->lines.end()
                                     ? "default"
                                     : globals.roots.config + ":" + std::to_string(line->second);
        Result<Json> json = parse_json(value.json);
        list.push_back(Json{{"field", value.path}, {"value", std::move(*json)}, {"from", from}});
        table.add({value.path, printable(value.json), printable(from)});
    }
    if (globals.json) {
        print_json(Json{{"fields", list}});
    } else {
        std::printf("%s", table.text(kWholeLines).c_str());
    }
    return kExitHealthy;
}

}  // namespace

void add_config(CLI::App& app, Globals& globals) {
    CLI::App* config = app.add_subcommand("config", "Check and show the configuration");
    config->require_subcommand(1);
    config->add_subcommand("check", "Every mistake of the file, by line and column")
        ->callback([&globals] { globals.exit_status = check(globals); });
    config->add_subcommand("show", "Every field, its value, and where that comes from")
        ->callback([&globals] { globals.exit_status = show(globals); });
}

}  // namespace llamux
