// SPDX-License-Identifier: GPL-2.0-only
//
// llamux-agent record: what the service would see, look by look, into a file.
#include <cerrno>
#include <cstdio>
#include <string>

#include "advise/advise.hpp"
#include "cli/consult.hpp"
#include "kernel/recording.hpp"
#include "kernel/tuners.hpp"
#include "report/text.hpp"

namespace llamux {
namespace {

struct RecordOptions {
    std::string file;
    double interval_seconds = 1;
    double seconds = 0;  // 0: until interrupted
};

// {"limits": {"cool_down_seconds": 60}}: what is in force, as a file has it.
std::string config_text(const Config& config) {
    Json json = Json::object();
    for (const ConfigValue& value : config_values(config)) {
        const std::size_t dot = value.path.find('.');
        Json& place = dot == std::string::npos
                          ? json[value.path]
                          : json[value.path.substr(0, dot)][value.path.substr(dot + 1)];
        place = Json::parse(value.json, nullptr, false);
    }
    return dump_line(json);
}

Result<RecordingHeader> header_of(const Globals& globals, Service& service, Device& device) {
    RecordingHeader header;
    // Under the lock, so that no line is half written.
    const Result<LockedJournal> journal = service.journal().lock(LockMode::kShared);
    if (!journal) {
        return journal.error();
    }
    header.boot_id = journal->writer().boot_id;
    header.kernel = service.proc().kernel_release();
    if (const Result<llamux_model_info> model = device.model_info()) {
        header.model = model->name;
    }
    header.config = config_text(service.config());
    if (Result<std::string> text = read_text(globals.roots.state + "/journal.jsonl")) {
        header.journal = text->empty() ? *text : *text + "\n";
    }
    for (const Tuner& tuner : find_tuners(globals.roots)) {
        if (tuner.is_here) {
            header.tuners.emplace_back(tuner.name);
        }
    }
    header.clock_boot_ns = service.clock().boot_ns();
    header.clock_wall_ns = service.clock().wall_ns();
    return header;
}

// One look, with the model's opinion where something is wrong.
Result<Frame> look(Service& service, Device& device) {
    const Result<Sensed> sensed = service.sense().read();
    if (!sensed) {
        return sensed.error();
    }
    Result<Advice> advice = device.advise(sensed->signals.get(), LLAMUX_ADVISE_RULES_ONLY);
    if (advice && advice->answer.n_facts > 0) {
        advice = device.advise(nullptr, LLAMUX_ADVISE_LAST_SNAPSHOT);
    }
    if (!advice) {
        return advice.error().in("looking at every cgroup needs root (CAP_SYS_ADMIN)");
    }
    Frame frame;
    frame.boot_ns = service.clock().boot_ns();
    frame.wall_ns = service.clock().wall_ns();
    frame.has_pressure = sensed->has_pressure;
    frame.seen = {advice->snapshot, sensed->tree};
    if (advice->answer.n_facts > 0) {
        Result<Suggestion> suggestion = make_suggestion(*advice, sensed->tree, service.clock());
        if (!suggestion) {
            return suggestion.error();
        }
        frame.advice = std::move(*suggestion);
    }
    return frame;
}

Result<std::uint64_t> record_frames(Service& service, Device& device, StopSignals& signals,
                                    RecordingWriter& writer, const RecordOptions& options) {
    const std::uint64_t begin_ns = service.clock().boot_ns();
    const auto length_ns = static_cast<std::uint64_t>(options.seconds * 1e9);
    std::uint64_t n_frames = 0;
    for (;;) {
        const Result<Frame> frame = look(service, device);
        if (!frame && frame.error().code != EINTR) {
            return frame.error();
        }
        if (frame) {
            if (Status written = writer.append(*frame); !written) {
                return written.error();
            }
            n_frames++;
        }
        const bool is_long_enough =
            length_ns > 0 && service.clock().boot_ns() - begin_ns >= length_ns;
        if (is_long_enough || signals.wait(to_milliseconds(options.interval_seconds)) != 0) {
            return n_frames;
        }
    }
}

int record(const Globals& globals, const RecordOptions& options) {
    const Result<std::unique_ptr<Service>> service = open_service(globals);
    if (!service) {
        return tell_error(globals, service.error());
    }
    // Nothing is loaded where there is no module to read it.
    if (const auto module = LlamuxDevice::open(globals.roots.device); !module) {
        return tell_error(globals, module.error());
    }
    const Status telemetry = (*service)->start_telemetry();
    const Result<std::unique_ptr<Device>> device = (*service)->open_device();
    if (!device) {
        return tell_error(globals, device.error());
    }
    const Result<RecordingHeader> header = header_of(globals, **service, **device);
    if (!header) {
        return tell_error(globals, header.error());
    }
    Result<StopSignals> signals = StopSignals::catch_all(HangUp::kStops);
    if (!signals) {
        return tell_error(globals, signals.error());
    }
    Result<RecordingWriter> writer = RecordingWriter::create(options.file, *header);
    if (!writer) {
        return tell_error(globals, writer.error());
    }
    const Result<std::uint64_t> n_frames =
        record_frames(**service, **device, *signals, *writer, options);
    const Status finished = writer->finish();
    if (!n_frames || !finished) {
        return tell_error(globals, n_frames ? finished.error() : n_frames.error());
    }
    if (globals.json) {
        print_json(Json{{"file", options.file},
                        {"frames", *n_frames},
                        {"no_telemetry_because", telemetry ? "" : telemetry.error().message}});
    } else {
        std::printf("%s: %llu looks. It names the cgroups of this machine; see them with: zcat\n",
                    printable(options.file).c_str(), static_cast<unsigned long long>(*n_frames));
    }
    return kExitHealthy;
}

}  // namespace

void add_record(CLI::App& app, Globals& globals) {
    auto options = std::make_shared<RecordOptions>();
    CLI::App* command = app.add_subcommand(
        "record",
        "Record what the service would see, for a bug report or to try another\n"
        "configuration on it: `replay FILE` decides on it again. Changes nothing;\n"
        "stop it with Ctrl-C");
    command->add_option("file", options->file, "New file; an existing one is not overwritten")
        ->required();
    command->add_option("--interval", options->interval_seconds, "Seconds between two looks")
        ->capture_default_str()
        ->check(CLI::Range(0.1, 3600.0));
    command->add_option("--seconds", options->seconds, "Stop after so long; default: on Ctrl-C")
        ->check(CLI::Range(0.1, 86400.0 * 30));
    command->callback([&globals, options] { globals.exit_status = record(globals, *options); });
}

}  // namespace llamux
