// SPDX-License-Identifier: GPL-2.0-only
//
// llamux-agent replay: the decisions of the service on a recording, again.
#include "replay/replay.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <cstdio>
#include <ctime>
#include <string>

#include "audit.hpp"
#include "cli/consult.hpp"
#include "report/text.hpp"

namespace llamux {
namespace {

struct ReplayOptions {
    std::string file;
    bool apply = false;
};

std::string utc(std::uint64_t wall_ns) {
    const auto seconds = static_cast<std::time_t>(wall_ns / kNsPerSecond);
    return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(seconds),
                       wall_ns / 1'000'000 % 1000);
}

class Teller {
  public:
    explicit Teller(const Globals& globals) : globals_(globals) {}

    void tell(const TickReport& report, Replay& replay) {
        for (const Event& event : report.events) {
            has_trouble_ = has_trouble_ || event.type == EventType::kSuggestion ||
                           event.type == EventType::kTrouble || event.type == EventType::kDegraded;
            if (globals_.json) {
                events_.push_back(audit_record(event, replay.writer(), replay.world().clock()));
            } else {
                std::printf("%s %s: %s\n", utc(replay.world().clock().wall_ns()).c_str(),
                            std::string(event_word(event.type)).c_str(),
                            printable(event.text).c_str());
            }
        }
    }

    int finish(const RecordingReader& reader, Replay& replay, const std::string& damage) {
        const std::uint64_t unfit = replay.world().n_scores_unfit();
        if (globals_.json) {
            print_json(Json{{"file_damage", damage},
                            {"kernel", reader.header().kernel},
                            {"model", reader.header().model},
                            {"frames", reader.frames_read()},
                            {"scores_unfit", unfit},
                            {"events", events_}});
        } else {
            if (unfit > 0) {
                std::printf(
                    "%llu looks were ranked by the rules: the recorded scores are of other "
                    "candidates\n",
                    static_cast<unsigned long long>(unfit));
            }
            std::printf("%llu looks, recorded on Linux %s with %s\n",
                        static_cast<unsigned long long>(reader.frames_read()),
                        printable(reader.header().kernel).c_str(),
                        reader.header().model.empty() ? "no model"
                                                      : printable(reader.header().model).c_str());
            if (!damage.empty()) {
                std::fprintf(stderr, "llamux-agent: %s\n", printable(damage).c_str());
            }
        }
        return has_trouble_ || !damage.empty() ? kExitProblem : kExitHealthy;
    }

  private:
    const Globals& globals_;
    Json events_ = Json::array();
    bool has_trouble_ = false;
};

Result<std::unique_ptr<Replay>> make_replay(const Globals& globals, const RecordingReader& reader,
                                            const ReplayOptions& options) {
    Result<Config> config =
        globals.roots.config != Roots::of_this_machine().config
            ? read_config(globals)
            : load_config_text(reader.header().config, "the recorded configuration");
    if (!config) {
        return config.error();
    }
    config->policy.apply = config->policy.apply || options.apply;
    return Replay::make(reader.header(), *config);
}

int replay(const Globals& globals, const ReplayOptions& options) {
    Result<RecordingReader> reader = RecordingReader::open(options.file);
    if (!reader) {
        return tell_error(globals, reader.error());
    }
    const Result<std::unique_ptr<Replay>> replay = make_replay(globals, *reader, options);
    if (!replay) {
        return tell_error(globals, replay.error());
    }
    Teller teller(globals);
    std::string damage;
    for (;;) {
        Result<std::optional<Frame>> frame = reader->next();
        if (!frame) {
            damage = frame.error().message;
        }
        if (!frame || !*frame) {
            break;
        }
        teller.tell((*replay)->tick(std::move(**frame)), **replay);
    }
    return teller.finish(*reader, **replay, damage);
}

}  // namespace

void add_replay(CLI::App& app, Globals& globals) {
    auto options = std::make_shared<ReplayOptions>();
    CLI::App* command = app.add_subcommand(
        "replay",
        "Decide again on a recording, by the rules of this agent and the recorded\n"
        "scores of the model. Touches nothing; always gives the same. With --config\n"
        "it shows what another configuration would have done");
    command->add_option("file", options->file, "What `record` wrote")->required();
    command->add_flag("--apply", options->apply,
                      "As if acting was on. A change that was not made then has no effect in "
                      "the recorded windows");
    command->callback([&globals, options] { globals.exit_status = replay(globals, *options); });
}

}  // namespace llamux
