// SPDX-License-Identifier: GPL-2.0-only
//
// llamux-agent apply: one change, asked for by a person. It goes the way of
// every change: policy, journal, write, read back, measured, kept or undone.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <string>

#include "advise/advise.hpp"
#include "cli/consult.hpp"
#include "report/text.hpp"

namespace llamux {
namespace {

struct ApplyOptions {
    std::string id;
    std::string knob;
    std::string group;
    std::uint64_t value = 0;
};

struct Wish {
    Candidate candidate;
    Fact fact;
};

Result<Wish> wish_of_suggestion(const Service& service, const std::string& id) {
    const Result<Suggestion> suggestion = service.suggestions().load(id);
    if (!suggestion) {
        return suggestion.error().in("suggestion " + id);
    }
    const Candidate* change = suggestion->change();
    if (change == nullptr) {
        return Error{EINVAL, "suggestion " + id + " is to change nothing"};
    }
    return Wish{*change, fact_of(*suggestion, *change)};
}

bool names_group(const Suggestion& suggestion, std::uint64_t cgroup_id) {
    return cgroup_id != 0 &&
           std::any_of(suggestion.facts.begin(), suggestion.facts.end(), [&](const Fact& fact) {
               return fact.victim_id == cgroup_id || fact.culprit_id == cgroup_id;
           });
}

// What a change of this resource is meant to help against, where nothing that
// was seen says it: a change is judged by what belongs to its own resource.
Fact expected_fact(const Candidate& candidate) {
    Fact fact;
    switch (resource_of(static_cast<llamux_action_kind>(candidate.kind))) {
        case Resource::kCpu:
            fact.cause = LLAMUX_CAUSE_CPU_SATURATED;
            break;
        case Resource::kIo:
            fact.cause = LLAMUX_CAUSE_IO_CONTENTION;
            break;
        default:
            fact.cause = LLAMUX_CAUSE_MEMORY_RECLAIM;
    }
    return fact;
}

Result<Wish> wish_of_person(const Globals& globals, const ApplyOptions& options) {
    const ActionRow* row = action_row_of_knob(options.knob);
    if (row == nullptr || row->scope == LLAMUX_SCOPE_NONE) {
        return Error{ENOENT, options.knob + " is not a knob Llamux may write"};
    }
    if ((row->scope == LLAMUX_SCOPE_CGROUP) == options.group.empty()) {
        return Error{EINVAL, options.group.empty() ? options.knob + " needs --group"
                                                   : options.knob + " has no group"};
    }
    const Result<Consultation> look =
        consult(globals, std::chrono::seconds(1), LLAMUX_ADVISE_RULES_ONLY);
    if (!look) {
        return look.error();
    }
    Wish wish;
    wish.candidate.kind = row->kind;
    if (!options.group.empty()) {
        const CgroupNode* node = look->sensed.tree.find_path(options.group);
        if (node == nullptr) {
            return Error{ENOENT, "there is no cgroup " + options.group};
        }
        wish.candidate.cgroup_id = node->id;
        wish.candidate.cgroup_path = node->path;
    }
    const Result<Settings> present = look->service->knobs().read(
        {row->kind, wish.candidate.cgroup_path, wish.candidate.cgroup_id});
    if (!present) {
        return present.error();
    }
    wish.candidate.value_old = knob_number(row->kind, *present);
    wish.candidate.value_new = options.value;
    wish.candidate.direction =
        options.value < wish.candidate.value_old ? LLAMUX_LOWER : LLAMUX_RAISE;
    wish.candidate.phrase = "asked for by a person";
    wish.fact = names_group(look->suggestion, wish.candidate.cgroup_id)
                    ? fact_of(look->suggestion, wish.candidate)
                    : expected_fact(wish.candidate);
    return wish;
}

class Applier {
  public:
    Applier(const Globals& globals, Service& service, StopSignals& signals)
        : globals_(globals), service_(service), signals_(signals), loop_(service.make_loop()) {}

    int run(const Wish& wish) {
        (void)loop_.start();
        tell("measuring before the change");
        loop_.begin_change(wish.candidate, wish.fact);
        while (loop_.state() != LoopState::kWatching) {
            const TickReport report = loop_.tick();
            take(report);
            if (loop_.state() != LoopState::kWatching && signals_.wait(report.next) != 0) {
                take(loop_.abandon("interrupted"));
            }
        }
        if (globals_.json) {
            print_json(Json{{"kept", kept_}, {"steps", steps_}, {"change", change_}});
        }
        return kept_ ? kExitHealthy : kExitProblem;
    }

  private:
    void tell(const std::string& line) {
        steps_.push_back(line);
        if (!globals_.json) {
            std::printf("%s\n", printable(line).c_str());
            std::fflush(stdout);
        }
    }

    void take(const TickReport& report) {
        for (const Event& event : report.events) {
            audit(service_, event);
            tell(event.text);
            if (event.type == EventType::kApplied) {
                tell("written and read back; measuring its effect");
            }
            if (event.change) {
                change_ = to_json(*event.change);
                kept_ = event.type == EventType::kKept;
            }
        }
    }

    const Globals& globals_;
    Service& service_;
    StopSignals& signals_;
    Loop loop_;
    Json steps_ = Json::array();
    Json change_;
    bool kept_ = false;
};

int apply(const Globals& globals, const ApplyOptions& options) {
    Result<std::unique_ptr<Service>> service = open_service(globals);
    if (!service) {
        return tell_error(globals, service.error());
    }
    const Result<Wish> wish = options.id.empty() ? wish_of_person(globals, options)
                                                 : wish_of_suggestion(**service, options.id);
    if (!wish) {
        return tell_error(globals, wish.error());
    }
    Result<StopSignals> signals = StopSignals::catch_all(HangUp::kStops);
    if (!signals) {
        return tell_error(globals, signals.error());
    }
    (void)(*service)->start_telemetry();  // without it PSI still measures
    (void)(*service)->start_watch();      // without it values are still compared
    return Applier(globals, **service, *signals).run(*wish);
}

}  // namespace

void add_apply(CLI::App& app, Globals& globals) {
    auto options = std::make_shared<ApplyOptions>();
    CLI::App* command = app.add_subcommand(
        "apply", "Do what a suggestion says, or try a value; keep it only if it helps");
    CLI::Option* id = command->add_option("id", options->id, "Suggestion, as `advise` printed it");
    CLI::Option* knob =
        command->add_option("--knob", options->knob, "Knob to try, such as cpu.weight")
            ->excludes(id);
    command->add_option("--group", options->group, "Its cgroup, such as /batch.slice")->needs(knob);
    command->add_option("--value", options->value, "Its new value")->needs(knob);
    command->callback([&globals, options, command] {
        if (options->id.empty() && options->knob.empty()) {
            throw CLI::RequiredError("a suggestion's id, or --knob with --value,");
        }
        if (!options->knob.empty() && command->count("--value") == 0) {
            throw CLI::RequiredError("--value");
        }
        globals.exit_status = apply(globals, *options);
    });
}

}  // namespace llamux
