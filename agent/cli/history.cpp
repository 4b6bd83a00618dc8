// SPDX-License-Identifier: GPL-2.0-only
//
// llamux-agent history: the changes of the journal, oldest first.
#include <cstdio>
#include <string>

#include "cli/consult.hpp"
#include "kernel/terminal.hpp"
#include "report/answer.hpp"

namespace llamux {
namespace {

std::string change_words(const Change& change) {
    const Plan& plan = change.plan;
    return printable(knob_name(plan.target)) + " " +
           format_value(plan.target.kind, plan.value_old) + " -> " +
           format_value(plan.target.kind, plan.value_new);
}

int history(const Globals& globals, std::size_t most) {
    const Result<std::unique_ptr<Service>> service = open_service(globals);
    if (!service) {
        return tell_error(globals, service.error());
    }
    const Result<LockedJournal> journal = (*service)->journal().lock(LockMode::kShared);
    if (!journal) {
        return tell_error(globals, journal.error());
    }
    const std::vector<Change>& changes = journal->changes();
    const std::size_t first = changes.size() > most ? changes.size() - most : 0;
    const std::uint64_t now_ns = (*service)->clock().wall_ns();
    Json list = Json::array();
    Table table({"NO", "SUGGESTION", "AGE", "STATE", "CHANGE"});
    for (std::size_t i = first; i < changes.size(); ++i) {
        const Change& change = changes[i];
        const std::uint64_t then_ns = change.planned_wall_ns;
        list.push_back(to_json(change));
        table.add({std::to_string(change.number), change.plan.id,
                   format_age(now_ns > then_ns ? (now_ns - then_ns) / kNsPerSecond : 0),
                   std::string(entry_type_word(change.state)), change_words(change)});
    }
    if (globals.json) {
        print_json(Json{{"changes", list}, {"damage", journal->damage()}});
        return journal->damage().empty() ? kExitHealthy : kExitProblem;
    }
    const std::size_t columns = output_columns();
    if (changes.empty()) {
        std::printf("nothing was changed yet\n");
    } else {
        std::printf("%s", table.text(columns).c_str());
    }
    for (std::size_t i = first; i < changes.size(); ++i) {
        if (!changes[i].why.empty()) {
            const std::string line =
                std::to_string(changes[i].number) + ": " + printable(changes[i].why);
            std::printf("%s\n", wrap(line, columns, "  ").c_str());
        }
    }
    for (const std::string& damage : journal->damage()) {
        std::printf("the journal is damaged: %s\n", printable(damage).c_str());
    }
    return journal->damage().empty() ? kExitHealthy : kExitProblem;
}

}  // namespace

void add_history(CLI::App& app, Globals& globals) {
    auto most = std::make_shared<std::size_t>(20);
    CLI::App* command =
        app.add_subcommand("history", "List what was changed, with the verdict and its reason");
    command->add_option("--last", *most, "At most this many")->capture_default_str();
    command->callback([&globals, most] { globals.exit_status = history(globals, *most); });
}

}  // namespace llamux
