// SPDX-License-Identifier: GPL-2.0-only
//
// llamux-agent goal (also llama): a goal in words becomes a profile, and the
// profile changes, each by the way of every change: policy, journal, write,
// read back. They are not measured, because they are for a load that is still
// to come, and last until the next goal, the end of the program they are for,
// or `rollback`.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <iostream>
#include <string>

#include "apply/apply.hpp"
#include "cli/consult.hpp"
#include "goal/choose.hpp"
#include "kernel/goal_files.hpp"
#include "kernel/held_program.hpp"
#include "report/answer.hpp"
#include "report/text.hpp"
#include "rollback/rollback.hpp"
#include "sense/files_only.hpp"

namespace llamux {
namespace {

struct GoalOptions {
    std::vector<std::string> text;
    std::string profiles;  // directory
    std::int64_t client = 0;
    bool list = false;
    bool yes = false;
    bool dry_run = false;
};

struct Step {
    Candidate candidate;
    unsigned n_siblings = 0;
    Settings present;
};

struct Left {
    std::string knob;
    std::string why;
};

// What a profile means on this machine, now.
struct GoalPlan {
    Sensed sensed;
    SnapshotPtr snapshot;
    std::vector<Step> steps;
    std::vector<Left> left;  // wishes that are not followed
};

class Planner {
  public:
    // @back: what is taken back first, newest first: its old values count.
    Planner(Service& service, GoalPlan& plan, const std::vector<Change>& back)
        : service_(service), plan_(plan), back_(back) {}

    // @client: path of its group; empty: no client.
    Status add(const GoalWish& wish, const std::string& client) {
        const ActionRow& row = *action_row(wish.kind);
        switch (wish.scope) {
            case GoalScope::kSystem:
                add_target(wish, row, nullptr);
                break;
            case GoalScope::kClient:
                if (const CgroupNode* node = plan_.sensed.tree.find_path(client)) {
                    add_target(wish, row, node);
                } else {
                    plan_.left.push_back({row.knob(), client.empty()
                                                          ? "needs --while PID or -- COMMAND"
                                                          : "no cgroup " + client});
                }
                break;
            case GoalScope::kBackground:
                for (std::uint32_t i = 0; i < plan_.snapshot->n_groups; i++) {
                    const llamux_group_signals& signals = plan_.snapshot->groups[i].signals;
                    const CgroupNode* node = plan_.sensed.tree.find(signals.cgroup_id);
                    if (node && (signals.flags & LLAMUX_GROUP_BACKGROUND)) {
                        add_target(wish, row, node);
                    }
                }
        }
        return {};
    }

  private:
    void add_target(const GoalWish& wish, const ActionRow& row, const CgroupNode* node) {
        KnobTarget target{wish.kind, node ? node->path : "", node ? node->id : 0};
        Result<Settings> present = service_.knobs().read(target);
        if (!present) {
            plan_.left.push_back({knob_name(target), present.error().message});
            return;
        }
        Step step;
        step.candidate.kind = wish.kind;
        step.candidate.cgroup_id = target.cgroup_id;
        step.candidate.cgroup_path = target.cgroup_path;
        step.candidate.value_old = knob_number(wish.kind, *present);
        for (const Change& change : back_) {
            if (change.plan.target == target) {
                step.candidate.value_old = change.plan.value_old;
            }
        }
        step.candidate.value_new = step.candidate.value_old >= LLAMUX_NO_LIMIT
                                       ? wish.value
                                       : one_step(row, step.candidate.value_old, wish.value);
        if (step.candidate.value_new == step.candidate.value_old) {
            plan_.left.push_back({knob_name(target), "is so already"});
            return;
        }
        step.candidate.direction =
            step.candidate.value_new < step.candidate.value_old ? LLAMUX_LOWER : LLAMUX_RAISE;
        step.candidate.phrase = "a goal";
        step.n_siblings = node ? node->n_siblings : 0;
        step.present = std::move(*present);
        plan_.steps.push_back(std::move(step));
    }

    Service& service_;
    GoalPlan& plan_;
    const std::vector<Change>& back_;
};

Result<GoalPlan> make_plan(Service& service, const GoalProfile& profile, const std::string& client,
                           const std::vector<Change>& back) {
    GoalPlan plan;
    Result<Sensed> sensed = service.sense().read();
    if (!sensed && !profile.wishes.empty()) {
        return sensed.error();
    }
    if (sensed) {
        plan.sensed = std::move(*sensed);
        // This command lives where its client lives: not a group of Llamux's.
        const auto snapshot =
            std::make_shared<llamux_snapshot>(*snapshot_of_files(nullptr, plan.sensed, 0));
        for (llamux_group_snapshot& group : snapshot->groups) {
            group.signals.flags &= ~LLAMUX_GROUP_SELF;
        }
        plan.snapshot = snapshot;
    }
    Planner planner(service, plan, back);
    for (const GoalWish& wish : profile.wishes) {
        if (Status added = planner.add(wish, client); !added) {
            return added.error();
        }
    }
    return plan;
}

std::vector<Change> goal_changes(const LockedJournal& journal, const std::string& but = {}) {
    std::vector<Change> changes;
    for (const Change& change : journal.changes()) {
        if (change.in_force() && !change.plan.goal.empty() && change.plan.goal != but) {
            changes.insert(changes.begin(), change);  // newest first
        }
    }
    return changes;
}

class GoalRun {
  public:
    GoalRun(const Globals& globals, Service& service, const GoalProfile& profile)
        : globals_(globals), service_(service), profile_(profile) {}

    // Takes the changes of other goals back, then makes those of this one, of
    // the values that are there then. @group: of the client, or empty.
    Status apply(const std::string& group, const std::optional<Owner>& client) {
        Result<LockedJournal> journal = service_.journal().lock(LockMode::kExclusive);
        if (!journal) {
            return journal.error();
        }
        take_back(goal_changes(*journal, profile_.name), "another goal", *journal);
        const Result<GoalPlan> plan = make_plan(service_, profile_, group, {});
        if (!plan) {
            return plan.error();
        }
        for (const Left& left : plan->left) {
            leave(left.knob, left.why);
        }
        for (const Step& step : plan->steps) {
            if (Status made = make(step, *plan, client, *journal); !made) {
                return made;
            }
        }
        return {};
    }

    void revert(const std::string& why) {
        Result<LockedJournal> journal = service_.journal().lock(LockMode::kExclusive);
        if (!journal) {
            tell_error(globals_, journal.error());
            all_well_ = false;
            return;
        }
        take_back(goal_changes(*journal), why, *journal);
    }

    Json json() const { return {{"changes", changes_}, {"left", left_}, {"reverted", reverted_}}; }
    void leave(const std::string& knob, const std::string& why) {
        left_.push_back({{"knob", knob}, {"why", why}});
        tell("left: " + knob + ": " + why);
    }
    bool all_well() const { return all_well_; }

  private:
    Status make(const Step& step, const GoalPlan& plan, const std::optional<Owner>& client,
                LockedJournal& journal) {
        const std::vector<Hold> holds = service_.holds(journal);
        const PolicyInput input{.snapshot = *plan.snapshot,
                                .present = step.present,
                                .n_siblings = step.n_siblings,
                                .changes = journal.changes(),
                                .holds = holds,
                                .journal_damage = journal.damage(),
                                .boot_id = journal.writer().boot_id,
                                .now_boot_ns = service_.clock().boot_ns(),
                                .by_person = true,
                                .goal = profile_.name,
                                .client = client};
        const Decision decision =
            Policy(service_.config().policy).decide(step.candidate, Fact{}, input);
        const std::string knob = knob_name({static_cast<llamux_action_kind>(step.candidate.kind),
                                            step.candidate.cgroup_path, step.candidate.cgroup_id});
        if (const Refusal* refusal = std::get_if<Refusal>(&decision)) {
            leave(knob, refusal->text());
            return {};
        }
        // Closed at once: there is nothing to wait for.
        Result<Change> change =
            apply_action(std::get<Action>(decision), service_.clock().boot_ns() + kNsPerSecond,
                         journal, service_.knobs(), {});
        if (change && change->state == EntryType::kWritten) {
            audit(service_, event_of(*change));
            change = keep_change(change->number, "for the goal " + profile_.name, {}, journal, {});
        }
        if (!change) {
            return change.error();
        }
        audit(service_, event_of(*change));
        changes_.push_back(to_json(*change));
        all_well_ = all_well_ && change->kept();
        tell(event_of(*change).text);
        return {};
    }

    void take_back(const std::vector<Change>& changes, const std::string& why,
                   LockedJournal& journal) {
        for (const Change& change : changes) {
            const Result<Change> undone =
                undo_change(change.number, why, {}, journal, service_.knobs(), {});
            if (!undone) {
                tell_error(globals_, undone.error());
                all_well_ = false;
                continue;
            }
            audit(service_, event_of(*undone));
            reverted_.push_back(to_json(*undone));
            tell(std::string(entry_type_word(undone->state)) + ": " + event_of(*undone).text);
        }
    }

    void tell(const std::string& line) const {
        if (!globals_.json) {
            std::printf("%s\n", printable(line).c_str());
            std::fflush(stdout);
        }
    }

    const Globals& globals_;
    Service& service_;
    const GoalProfile& profile_;
    Json changes_ = Json::array();
    Json left_ = Json::array();
    Json reverted_ = Json::array();
    bool all_well_ = true;
};

void show_plan(const GoalProfile& profile, const GoalChoice& choice, const GoalPlan& plan,
               std::size_t n_back) {
    std::printf("Goal: %s (%s)\n", profile.name.c_str(), printable(profile.title).c_str());
    if (choice.by != GoalBy::kName) {
        std::printf("  chosen by the %s%s%s\n", std::string(goal_by_word(choice.by)).c_str(),
                    choice.note.empty() ? "" : ": ", choice.note.c_str());
    }
    if (n_back > 0) {
        std::printf("  takes back %zu changes of the goal before\n", n_back);
    }
    for (const Step& step : plan.steps) {
        for (const std::string& line : diff_lines(step.candidate)) {
            std::printf("  %s\n", line.c_str());
        }
    }
    for (const Left& left : plan.left) {
        std::printf("    %s: %s\n", printable(left.knob).c_str(), printable(left.why).c_str());
    }
}

// What a person answers at a terminal; elsewhere nobody is asked.
bool agrees() {
    if (::isatty(STDIN_FILENO) != 1) {
        std::fprintf(stderr, "llamux-agent: nobody to ask: --yes applies it\n");
        return false;
    }
    std::printf("Apply it? [y/N] ");
    std::fflush(stdout);
    std::string answer;
    std::getline(std::cin, answer);
    return answer == "y" || answer == "yes";
}

int list_profiles(const Globals& globals, const std::vector<GoalProfile>& profiles) {
    Json list = Json::array();
    Table table({"GOAL", "FOR"});
    for (const GoalProfile& profile : profiles) {
        list.push_back({{"name", profile.name}, {"title", profile.title}});
        table.add({profile.name, printable(profile.title)});
    }
    if (globals.json) {
        print_json(Json{{"goals", list}});
    } else {
        std::printf("%s", table.text(100).c_str());
    }
    return kExitHealthy;
}

std::string text_of(const std::vector<std::string>& words) {
    std::string text;
    for (const std::string& word : words) {
        text += (text.empty() ? "" : " ") + word;
    }
    return text;
}

class GoalCommand {
  public:
    GoalCommand(const Globals& globals, const GoalOptions& options, Service& service,
                StopSignals& signals)
        : globals_(globals), options_(options), service_(service), signals_(signals) {}

    int run(const std::vector<GoalProfile>& profiles) {
        const Result<std::unique_ptr<Device>> device = LlamuxDevice::open(globals_.roots.device);
        const Result<GoalChoice> choice =
            choose_goal(text_of(options_.text), profiles, device ? device->get() : nullptr);
        if (!choice) {
            return tell_error(globals_, choice.error());
        }
        const GoalProfile& profile = profiles[choice->profile];
        Result<std::string> client = client_group();
        if (!client) {
            return tell_error(globals_, client.error());
        }
        const Result<std::vector<Change>> back = changes_before(profile.name);
        if (!back) {
            return tell_error(globals_, back.error());
        }
        const Result<GoalPlan> plan = make_plan(service_, profile, *client, *back);
        if (!plan) {
            return tell_error(globals_, plan.error());
        }
        if (!globals_.json) {
            show_plan(profile, *choice, *plan, back->size());
        }
        GoalRun goal(globals_, service_, profile);
        const bool applies = !options_.dry_run && (options_.yes || (!globals_.json && agrees()));
        const int status = applies            ? carry_out(goal, *client)
                           : options_.dry_run ? kExitHealthy
                                              : kExitProblem;
        if (globals_.json) {
            Json json = {{"goal", profile.name},
                         {"chosen_by", goal_by_word(choice->by)},
                         {"note", choice->note},
                         {"probability_permille", choice->probability_permille},
                         {"applied", applies}};
            json.update(goal.json());
            print_json(json);
        }
        return status;
    }

  private:
    // With a program of ours: our own group, which it starts in.
    Result<std::string> client_group() {
        if (options_.client != 0) {
            return service_.proc().cgroup_of(std::to_string(options_.client));
        }
        const Result<std::string> own = service_.proc().own_cgroup();
        return globals_.program.empty() || !own ? std::string() : *own;
    }

    // Changes of another goal, which go first.
    Result<std::vector<Change>> changes_before(const std::string& goal) {
        const Result<LockedJournal> journal = service_.journal().lock(LockMode::kShared);
        return journal ? Result<std::vector<Change>>(goal_changes(*journal, goal))
                       : journal.error();
    }

    int carry_out(GoalRun& goal, const std::string& group) {
        if (globals_.program.empty()) {
            return stay_for(goal, group);
        }
        Result<HeldProgram> program = HeldProgram::start(globals_.program);
        if (!program) {
            return tell_error(globals_, program.error());
        }
        const Owner owner = service_.proc().process(program->pid());
        Status done = goal.apply(group, owner);
        done = done ? program->let_go() : done;
        const int status = done ? program->wait(signals_) : tell_error(globals_, done.error());
        goal.revert("its program has ended");
        return status;
    }

    int stay_for(GoalRun& goal, const std::string& group) {
        std::optional<Owner> client;
        if (options_.client != 0) {
            client = service_.proc().process(options_.client);
        }
        if (const Status applied = goal.apply(group, client); !applied) {
            return tell_error(globals_, applied.error());
        }
        if (client) {
            const Result<bool> ended = wait_for_end(static_cast<pid_t>(client->pid), signals_);
            goal.revert(ended && *ended ? "its client has ended" : "interrupted");
        }
        return goal.all_well() ? kExitHealthy : kExitProblem;
    }

    const Globals& globals_;
    const GoalOptions& options_;
    Service& service_;
    StopSignals& signals_;
};

int goal(const Globals& globals, const GoalOptions& options) {
    const std::string directory =
        options.profiles.empty() ? globals.roots.data + "/goals" : options.profiles;
    const Result<std::vector<GoalProfile>> profiles = read_goal_profiles(directory);
    if (!profiles) {
        return tell_error(globals, profiles.error());
    }
    if (options.list) {
        return list_profiles(globals, *profiles);
    }
    const Result<std::unique_ptr<Service>> service = open_service(globals);
    if (!service) {
        return tell_error(globals, service.error());
    }
    Result<StopSignals> signals = StopSignals::catch_all(HangUp::kStops);
    if (!signals) {
        return tell_error(globals, signals.error());
    }
    return GoalCommand(globals, options, **service, *signals).run(*profiles);
}

}  // namespace

void add_goal(CLI::App& app, Globals& globals) {
    auto options = std::make_shared<GoalOptions>();
    CLI::App* command = app.add_subcommand(
        "goal",
        "Say what the machine is for, in words: \"optimize for gaming\". Shows what\n"
        "would change, asks, and changes it until the next goal, until the program it\n"
        "is for ends, or until `goal default`. After -- a program with its arguments:\n"
        "it is started, everything is taken back when it ends, and its exit status is\n"
        "ours. Also llama");
    command->add_option("text", options->text, "The goal, or the name of a profile");
    command->add_option("--while", options->client, "Take everything back when this process ends")
        ->type_name("PID")
        ->check(CLI::PositiveNumber);
    command->add_option("--profiles", options->profiles, "Where the profiles are")
        ->type_name("DIR");
    command->add_flag("--list", options->list, "List the profiles");
    command->add_flag("--yes", options->yes, "Do not ask");
    command->add_flag("--dry-run", options->dry_run, "Only show what would change");
    command->callback([&globals, options] {
        if (options->text.empty() && !options->list) {
            throw CLI::RequiredError("a goal in words, or --list,");
        }
        if (!globals.program.empty() && options->client != 0) {
            throw CLI::ExcludesError("-- COMMAND", "--while");
        }
        globals.exit_status = goal(globals, *options);
    });
}

}  // namespace llamux
