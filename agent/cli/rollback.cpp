// SPDX-License-Identifier: GPL-2.0-only
//
// llamux-agent rollback: takes changes back, or prints the commands that would.
#include "rollback/rollback.hpp"

#include <cerrno>
#include <cstdio>
#include <string>
#include <vector>

#include "cli/consult.hpp"
#include "core/unit.hpp"
#include "report/text.hpp"

namespace llamux {
namespace {

struct RollbackOptions {
    std::string which;  // suggestion id or change number
    bool all = false;
    bool print = false;
};

std::string shell_quoted(const std::string& text) {
    std::string out = "'";
    for (const char c : text) {
        out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    }
    return out + "'";
}

// One line a write, to be pasted into a shell as root.
std::vector<std::string> shell_commands(const Change& change, const Roots& roots) {
    std::vector<std::string> lines;
    const KnobTarget& target = change.plan.target;
    const std::string directory =
        target.cgroup_id == 0 ? roots.proc + "/sys" : roots.cgroup + target.cgroup_path;
    for (const Setting& setting : change.plan.old_settings) {
        if (setting.unit) {
            lines.push_back("systemctl set-property --runtime " +
                            shell_quoted(unit_place(target.cgroup_path)->unit) + " " +
                            shell_quoted(unit_assignment(setting.file, setting.unit->value)));
            continue;
        }
        lines.push_back("printf %s " + shell_quoted(setting.value) + " > " +
                        shell_quoted(directory + "/" + setting.file));
    }
    return lines;
}

std::vector<Change> chosen(const LockedJournal& journal, const RollbackOptions& options) {
    std::vector<Change> changes;
    for (const Change& change : journal.changes()) {
        const bool meant = options.all || change.plan.id == options.which ||
                           std::to_string(change.number) == options.which;
        if (meant && change.in_force()) {
            changes.insert(changes.begin(), change);  // newest first
        }
    }
    return changes;
}

int undo(const Globals& globals, Service& service, LockedJournal& journal,
         const std::vector<Change>& changes) {
    bool all_done = true;
    Json list = Json::array();
    for (const Change& change : changes) {
        const Result<Change> undone =
            undo_change(change.number, "asked for by a person", {}, journal, service.knobs(), {});
        if (!undone) {
            tell_error(globals, undone.error());
            all_done = false;
            continue;
        }
        audit(service, event_of(*undone));
        list.push_back(to_json(*undone));
        if (!globals.json) {
            std::printf("%s %s: %s\n", std::string(entry_type_word(undone->state)).c_str(),
                        printable(knob_name(undone->plan.target)).c_str(),
                        printable(undone->why).c_str());
        }
    }
    if (globals.json) {
        print_json(Json{{"changes", list}});
    }
    return all_done ? kExitHealthy : kExitProblem;
}

int rollback(const Globals& globals, const RollbackOptions& options) {
    const Result<std::unique_ptr<Service>> service = open_service(globals);
    if (!service) {
        return tell_error(globals, service.error());
    }
    Result<LockedJournal> journal =
        (*service)->journal().lock(options.print ? LockMode::kShared : LockMode::kExclusive);
    if (!journal) {
        return tell_error(globals, journal.error());
    }
    const std::vector<Change> changes = chosen(*journal, options);
    if (changes.empty()) {
        return tell_error(globals,
                          Error{ENOENT, options.all ? "no change is in force"
                                                    : options.which + " is not a change in force"});
    }
    if (!options.print) {
        return undo(globals, **service, *journal, changes);
    }
    std::vector<std::string> lines;
    for (const Change& change : changes) {
        const std::vector<std::string> commands = shell_commands(change, globals.roots);
        lines.insert(lines.end(), commands.begin(), commands.end());
    }
    if (globals.json) {
        print_json(Json{{"commands", lines}});
    } else {
        for (const std::string& line : lines) {
            std::printf("%s\n", line.c_str());
        }
    }
    return kExitHealthy;
}

}  // namespace

void add_rollback(CLI::App& app, Globals& globals) {
    auto options = std::make_shared<RollbackOptions>();
    CLI::App* command = app.add_subcommand("rollback", "Take changes back");
    CLI::Option* which = command->add_option("id", options->which, "Suggestion or change number");
    CLI::Option* all =
        command->add_flag("--all", options->all, "Everything in force, newest first");
    all->excludes(which);
    command->add_flag("--print", options->print, "Only print the commands that would do it");
    command->callback([&globals, options] {
        if (options->which.empty() && !options->all) {
            throw CLI::RequiredError("an id or --all");
        }
        globals.exit_status = rollback(globals, *options);
    });
}

}  // namespace llamux
