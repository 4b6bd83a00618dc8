// SPDX-License-Identifier: GPL-2.0-only
//
// llamux-agent freeze, unfreeze: knobs that Llamux shall leave alone. What it
// changed on a knob is taken back before the knob is frozen.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <string>

#include "cli/consult.hpp"
#include "core/hold.hpp"
#include "kernel/process.hpp"
#include "report/text.hpp"
#include "rollback/rollback.hpp"

namespace llamux {
namespace {

struct FreezeOptions {
    std::string knob;
    std::string group;
    std::string why;
};

Result<KnobTarget> target_of(const FreezeOptions& options) {
    const ActionRow* row = action_row_of_knob(options.knob);
    if (row == nullptr || row->scope == LLAMUX_SCOPE_NONE) {
        return Error{ENOENT, options.knob + " is not a knob Llamux may write"};
    }
    if (!options.group.empty() && row->scope != LLAMUX_SCOPE_CGROUP) {
        return Error{EINVAL, options.knob + " has no group"};
    }
    if (!options.group.empty() && options.group.front() != '/') {
        return Error{EINVAL, options.group + " is not the path of a cgroup"};
    }
    return KnobTarget{row->kind, options.group, 0};
}

// The old values of what is in force on the knob; false: one is not back.
bool take_back(Service& service, LockedJournal& journal, const KnobTarget& target,
               const std::string& by) {
    bool all_back = true;
    const std::vector<Change> changes = journal.changes();
    for (auto change = changes.rbegin(); change != changes.rend(); ++change) {
        if (!change->in_force() || !covers(target, change->plan.target)) {
            continue;
        }
        const Result<Change> undone =
            undo_change(change->number, "frozen by " + by, {}, journal, service.knobs(), {});
        if (undone) {
            audit(service, event_of(*undone));
        } else {
            all_back = false;
            std::fprintf(stderr, "llamux-agent: %s\n", printable(undone.error().message).c_str());
        }
    }
    return all_back;
}

// Into the journal, which counts, and into the audit log.
Status record(Service& service, LockedJournal& journal, EntryType type, const KnobTarget& target,
              const std::string& why) {
    Entry entry;
    entry.type = type;
    entry.target = target;
    entry.by = who_asks();
    entry.why = why;
    const Result<Entry> appended = journal.append(std::move(entry));
    if (!appended) {
        return appended.error();
    }
    Event event{type == EntryType::kKnobFrozen ? EventType::kKnobFrozen : EventType::kKnobFreed,
                hold_name(target) + " by " + appended->by};
    event.hold =
        Hold{HoldReason::kAskedFor, target, appended->wall_ns, appended->by, appended->why};
    audit(service, event);
    return {};
}

int say(const Globals& globals, const KnobTarget& target, bool frozen) {
    if (globals.json) {
        print_json(Json{{"knob", action_row(target.kind)->knob()},
                        {"cgroup", target.cgroup_path},
                        {"frozen", frozen}});
    } else {
        std::printf("%s: %s\n", printable(hold_name(target)).c_str(),
                    frozen ? "frozen; Llamux leaves it alone until `unfreeze`"
                           : "Llamux may change it again, as the configuration says");
    }
    return kExitHealthy;
}

int freeze(const Globals& globals, const FreezeOptions& options) {
    const Result<std::unique_ptr<Service>> service = open_service(globals);
    if (!service) {
        return tell_error(globals, service.error());
    }
    const Result<KnobTarget> target = target_of(options);
    if (!target) {
        return tell_error(globals, target.error());
    }
    Result<LockedJournal> journal = (*service)->journal().lock(LockMode::kExclusive);
    if (!journal) {
        return tell_error(globals, journal.error());
    }
    const bool all_back = take_back(**service, *journal, *target, who_asks());
    const Status recorded =
        record(**service, *journal, EntryType::kKnobFrozen, *target, options.why);
    if (!recorded) {
        return tell_error(globals, recorded.error());
    }
    const int status = say(globals, *target, true);
    return all_back ? status : kExitProblem;
}

int unfreeze(const Globals& globals, const FreezeOptions& options) {
    const Result<std::unique_ptr<Service>> service = open_service(globals);
    if (!service) {
        return tell_error(globals, service.error());
    }
    const Result<KnobTarget> target = target_of(options);
    if (!target) {
        return tell_error(globals, target.error());
    }
    Result<LockedJournal> journal = (*service)->journal().lock(LockMode::kExclusive);
    if (!journal) {
        return tell_error(globals, journal.error());
    }
    const std::vector<Hold> holds = (*service)->holds(*journal);
    const bool is_held = std::any_of(holds.begin(), holds.end(), [&](const Hold& hold) {
        return hold.reason != HoldReason::kOtherTuner && covers(*target, hold.target);
    });
    if (!is_held) {
        return tell_error(globals, Error{ENOENT, hold_name(*target) + " is not frozen"});
    }
    const Status recorded =
        record(**service, *journal, EntryType::kKnobFreed, *target, options.why);
    if (!recorded) {
        return tell_error(globals, recorded.error());
    }
    if (const Status forgotten = (*service)->experience().forget(target->kind); !forgotten) {
        return tell_error(globals, forgotten.error());
    }
    return say(globals, *target, false);
}

using Run = int (*)(const Globals&, const FreezeOptions&);

void add(CLI::App& app, Globals& globals, const char* name, const char* help, Run run) {
    auto options = std::make_shared<FreezeOptions>();
    CLI::App* command = app.add_subcommand(name, help);
    command->add_option("knob", options->knob, "Knob, such as cpu.weight")->required();
    command->add_option("--group", options->group,
                        "Only of this cgroup, such as /batch.slice; default: of every group");
    command->add_option("--why", options->why, "For those who read `status` later");
    command->callback([&globals, options, run] { globals.exit_status = run(globals, *options); });
}

}  // namespace

void add_freeze(CLI::App& app, Globals& globals) {
    add(app, globals, "freeze", "Take back what was changed on a knob, and leave it alone", freeze);
    add(app, globals, "unfreeze", "Give a knob back, whatever it was frozen for", unfreeze);
}

}  // namespace llamux
