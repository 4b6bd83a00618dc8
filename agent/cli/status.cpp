// SPDX-License-Identifier: GPL-2.0-only
//
// llamux-agent status: is everything there, and what is in force.
#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <string>

#include "cli/consult.hpp"
#include "kernel/terminal.hpp"
#include "report/answer.hpp"

namespace llamux {
namespace {

// One line of the output; problems decide the exit status.
struct Line {
    const char* what;
    std::string text;
    bool problem = false;
};

Line module_line(const Result<std::unique_ptr<Device>>& device) {
    if (!device) {
        return {"module", device.error().message, true};
    }
    const Result<llamux_version> version = (*device)->version();
    return version ? Line{"module", fmt::format("loaded, ABI {}", version->abi), false}
                   : Line{"module", version.error().message, true};
}

Line model_line(Device& device) {
    const Result<llamux_model_info> model = device.model_info();
    if (!model) {
        return {"model",
                model.error().code == ENODATA ? "none loaded: rules decide" : model.error().message,
                true};
    }
    return {
        "model",
        fmt::format("{} ({}, {:.1f} M parameters, {} MiB, {}, format {})", printable(model->name),
                    printable(model->quantisation), static_cast<double>(model->n_params) / 1e6,
                    model->weight_bytes >> 20, printable(model->isa), printable(model->format)),
        false};
}

Line speed_line(Device& device) {
    const Result<llamux_stats> stats = device.stats();
    if (!stats) {
        return {"inference", stats.error().message, true};
    }
    const auto rate = [](std::uint64_t tokens, std::uint64_t ns) {
        return ns == 0 ? 0.0 : static_cast<double>(tokens) * 1e9 / static_cast<double>(ns);
    };
    return {"inference",
            fmt::format("{} requests, {} failed; {:.0f} prompt and {:.0f} generated tokens/s; "
                        "longest FPU section {:.3f} ms",
                        stats->requests_done, stats->requests_failed,
                        rate(stats->prompt_tokens, stats->prompt_ns),
                        rate(stats->generated_tokens, stats->generate_ns),
                        static_cast<double>(stats->fpu_longest_ns) / 1e6),
            false};
}

Line hold_line(const Hold& hold, std::uint64_t now_ns) {
    const std::uint64_t age_s = now_ns > hold.wall_ns ? (now_ns - hold.wall_ns) / kNsPerSecond : 0;
    std::string words(hold_reason_word(hold.reason));
    if (hold.reason != HoldReason::kQuarantine && !hold.by.empty()) {
        words += (hold.reason == HoldReason::kAskedFor ? " by " : ", ") + hold.by;
    }
    if (hold.wall_ns != 0) {
        words += ", " + format_age(age_s);
    }
    return {"left alone",
            printable(hold_name(hold.target) + ": " + words +
                      (hold.why.empty() ? "" : ": " + hold.why)),
            false};
}

std::vector<Line> journal_lines(const Service& service, Json& in_force, Json& left_alone) {
    const Result<LockedJournal> journal = service.journal().lock(LockMode::kShared);
    if (!journal) {
        return {{"journal", journal.error().message, true}};
    }
    std::vector<Line> lines;
    for (const std::string& damage : journal->damage()) {
        lines.push_back({"journal", "damaged: " + damage, true});
    }
    for (const Change& change : journal->changes()) {
        if (!change.in_force()) {
            continue;
        }
        in_force.push_back(to_json(change));
        lines.push_back({"in force",
                         fmt::format("{} {} {} -> {} ({})", change.plan.id,
                                     printable(knob_name(change.plan.target)),
                                     format_value(change.plan.target.kind, change.plan.value_old),
                                     format_value(change.plan.target.kind, change.plan.value_new),
                                     entry_type_word(change.state)),
                         false});
    }
    if (in_force.empty()) {
        lines.push_back({"in force", "no change", false});
    }
    SystemClock clock;
    for (const Hold& hold : service.holds(*journal)) {
        left_alone.push_back(to_json(hold));
        lines.push_back(hold_line(hold, clock.wall_ns()));
    }
    return lines;
}

int status(const Globals& globals) {
    const Result<std::unique_ptr<Service>> service = open_service(globals);
    if (!service) {
        return tell_error(globals, service.error());
    }
    const bool running = service_is_running(globals.roots.state);
    std::vector<Line> lines;
    lines.push_back({"service", running ? "running" : "not running", false});
    const Result<std::unique_ptr<Device>> device = LlamuxDevice::open(globals.roots.device);
    lines.push_back(module_line(device));
    if (device) {
        lines.push_back(model_line(**device));
        lines.push_back(speed_line(**device));
    }
    Json in_force = Json::array();
    Json left_alone = Json::array();
    for (Line& line : journal_lines(**service, in_force, left_alone)) {
        lines.push_back(std::move(line));
    }
    bool problem = false;
    Json json;
    const Style style(wants_colour());
    for (const Line& line : lines) {
        problem = problem || line.problem;
        if (globals.json) {
            json["lines"].push_back(
                Json{{"what", line.what}, {"text", line.text}, {"problem", line.problem}});
        } else {
            std::printf("%-10s %s\n", line.what,
                        line.problem ? style.bad(line.text).c_str() : line.text.c_str());
        }
    }
    if (globals.json) {
        json["service_running"] = running;
        json["in_force"] = in_force;
        json["left_alone"] = left_alone;
        print_json(json);
    }
    return problem ? kExitProblem : kExitHealthy;
}

}  // namespace

void add_status(CLI::App& app, Globals& globals) {
    CLI::App* command = app.add_subcommand("status", "Is everything there, and what is in force");
    command->callback([&globals] { globals.exit_status = status(globals); });
}

}  // namespace llamux
