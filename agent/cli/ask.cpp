// SPDX-License-Identifier: GPL-2.0-only
//
// llamux-agent ask: a question in words. Code gives the verdict and every
// number; the model in the kernel, which saw the same snapshot, adds words.
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>

#include "cli/consult.hpp"
#include "kernel/terminal.hpp"
#include "report/answer.hpp"
#include "report/narration.hpp"

namespace llamux {
namespace {

constexpr std::uint32_t kMaxWords = 96;                 // tokens of an answer
constexpr std::chrono::milliseconds kPatience{60'000};  // for the next bytes

struct AskOptions {
    std::string question;
    double window_seconds = 2;
};

struct Words {
    std::string text;
    int sentences_dropped = 0;
    std::string problem;  // why there are none, or no more
};

Status pose(Device& device, const std::string& question) {
    Result<llamux_params> params = device.params();
    if (!params) {
        return params.error();
    }
    params->format = LLAMUX_FORMAT_ASK;
    params->max_tokens = kMaxWords;
    params->temperature_milli = 0;
    if (const Status set = device.set_params(*params); !set) {
        return set;
    }
    return device.write_prompt(question);
}

// Shows the sentences as they come, unless they go into one JSON object.
Words listen(Consultation& look, const AskOptions& options, bool show) {
    Words words;
    if (const Status posed = pose(*look.device, options.question); !posed) {
        words.problem = posed.error().message;
        return words;
    }
    Narration narration(lettered_names(look.suggestion));
    const auto take = [&](const std::string& sentences) {
        words.text += sentences;
        if (show && !sentences.empty()) {
            std::printf("%s\n", wrap(sentences, output_columns(), "").c_str());
            std::fflush(stdout);
        }
    };
    for (;;) {
        const Result<AnswerPart> part = look.device->read_answer(kPatience, -1);
        if (!part) {
            words.problem = part.error().message;
            break;
        }
        take(narration.feed(part->bytes));
        if (part->complete) {
            break;
        }
    }
    take(narration.finish());
    words.sentences_dropped = narration.sentences_dropped();
    return words;
}

Json answer_json(const Consultation& look, const AskOptions& options, const Words& words) {
    return Json{{"question", options.question},
                {"verdict", verdict_line(look.suggestion)},
                {"words", words.text},
                {"sentences_dropped", words.sentences_dropped},
                {"no_words_because", words.problem},
                {"evidence", evidence_lines(look.suggestion)},
                {"confidence", confidence_line(look.suggestion)},
                {"not_checked", not_checked_line(*look.snapshot)},
                {"no_telemetry_because", look.no_telemetry},
                {"suggestion", to_json(look.suggestion)}};
}

int ask(const Globals& globals, const AskOptions& options) {
    Result<Consultation> look =
        consult(globals, to_milliseconds(options.window_seconds), /*flags=*/0);
    if (!look) {
        return tell_error(globals, look.error());
    }
    if (globals.json) {
        const Words words = listen(*look, options, /*show=*/false);
        print_json(answer_json(*look, options, words));
        return exit_status_of(look->suggestion);
    }
    const Style style(wants_colour());
    const std::size_t columns = output_columns();
    std::printf("%s\n", style.bold(wrap(verdict_line(look->suggestion), columns, "")).c_str());
    std::fflush(stdout);
    const Words words = listen(*look, options, /*show=*/true);
    if (!words.problem.empty()) {
        std::printf("%s\n", style.dim("(no words: " + printable(words.problem) + ")").c_str());
    }
    std::printf("%s", answer_text(look->suggestion, *look->snapshot, style, columns).c_str());
    return exit_status_of(look->suggestion);
}

}  // namespace

void add_ask(CLI::App& app, Globals& globals) {
    auto options = std::make_shared<AskOptions>();
    CLI::App* command = app.add_subcommand(
        "ask", "Ask a question in words: llamux-agent ask \"why is my system slow?\"");
    command->add_option("question", options->question, "The question")->required();
    add_window_option(*command, options->window_seconds);
    command->callback([&globals, options] { globals.exit_status = ask(globals, *options); });
}

}  // namespace llamux
