// SPDX-License-Identifier: GPL-2.0-only
//
// llamux-agent explain: everything that led to a suggestion, and what came of
// it: evidence, what the model saw, how it ranked, writes, effect.
#include <fmt/format.h>

#include <cstdio>
#include <string>

#include "cli/consult.hpp"
#include "kernel/terminal.hpp"
#include "report/answer.hpp"

namespace llamux {
namespace {

Result<std::vector<Change>> changes_of(const Service& service, const std::string& id) {
    const Result<LockedJournal> journal = service.journal().lock(LockMode::kShared);
    if (!journal) {
        return journal.error();
    }
    std::vector<Change> changes;
    for (const Change& change : journal->changes()) {
        if (change.plan.id == id) {
            changes.push_back(change);
        }
    }
    return changes;
}

std::string ranking(const Suggestion& suggestion, std::size_t columns) {
    Table table({"", "PROBABILITY", "SCORE", "CHANGE"});
    for (std::size_t i = 0; i < suggestion.candidates.size(); ++i) {
        const Candidate& candidate = suggestion.candidates[i];
        table.add({i == suggestion.chosen ? "*" : "",
                   format_measure(candidate.probability_permille, "permille"),
                   fmt::format("{:+.3f}", candidate.score / 1e6), printable(candidate.phrase)});
    }
    return table.text(columns);
}

void print_text(const Suggestion& suggestion, const std::vector<Change>& changes) {
    const Style style(wants_colour());
    const std::size_t columns = output_columns();
    const auto section = [&](const char* title) { std::printf("%s\n", style.bold(title).c_str()); };
    const auto item = [&](const std::string& line) {
        std::printf("%s\n", wrap(line, columns, "  ").c_str());
    };
    std::printf("%s\n", style.bold(wrap(verdict_line(suggestion), columns, "")).c_str());
    section("Evidence");
    for (const std::string& line : evidence_lines(suggestion, 12)) {
        item(line);
    }
    section("Ranking (score: nats a token over the neutral prompt)");
    std::printf("%s", ranking(suggestion, columns).c_str());
    item(confidence_line(suggestion));
    section("Tried here before");
    const std::vector<std::string> known = experience_lines(suggestion);
    for (const std::string& line : known) {
        item(line);
    }
    if (known.empty()) {
        item("none of them, for this cause");
    }
    if (suggestion.n_prompt_tokens > 0) {
        section("What the model saw");
        item(printable(suggestion.prompt));
        item(fmt::format("{} tokens; detection {:.1f} ms, ranking {:.1f} ms",
                         suggestion.n_prompt_tokens,
                         static_cast<double>(suggestion.detect_ns) / 1e6,
                         static_cast<double>(suggestion.rank_ns) / 1e6));
    }
    if (const Candidate* change = suggestion.change(); change != nullptr) {
        section("Proposed change");
        for (const std::string& line : diff_lines(*change)) {
            item(line);
        }
    }
    section("What came of it");
    if (changes.empty()) {
        item("it was not applied");
    }
    for (const Change& change : changes) {
        item(fmt::format("change {}: {}. {}", change.number, entry_type_word(change.state),
                         printable(change.why)));
        if (const std::string effect = effect_line(change); !effect.empty()) {
            item(effect);
        }
    }
}

int explain(const Globals& globals, const std::string& id) {
    const Result<std::unique_ptr<Service>> service = open_service(globals);
    if (!service) {
        return tell_error(globals, service.error());
    }
    const Result<Suggestion> suggestion = (*service)->suggestions().load(id);
    if (!suggestion) {
        return tell_error(globals, suggestion.error().in("suggestion " + id));
    }
    const Result<std::vector<Change>> changes = changes_of(**service, suggestion->id);
    if (!changes) {
        return tell_error(globals, changes.error());
    }
    if (globals.json) {
        Json list = Json::array();
        for (const Change& change : *changes) {
            list.push_back(to_json(change));
        }
        print_json(Json{{"suggestion", to_json(*suggestion)}, {"changes", list}});
    } else {
        print_text(*suggestion, *changes);
    }
    return kExitHealthy;
}

}  // namespace

void add_explain(CLI::App& app, Globals& globals) {
    auto id = std::make_shared<std::string>();
    CLI::App* command =
        app.add_subcommand("explain", "Show why something was suggested and what came of it");
    command->add_option("id", *id, "Suggestion; a unique beginning will do")->required();
    command->callback([&globals, id] { globals.exit_status = explain(globals, *id); });
}

}  // namespace llamux
