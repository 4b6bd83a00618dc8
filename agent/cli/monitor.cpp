// SPDX-License-Identifier: GPL-2.0-only
//
// llamux-agent monitor (also llama-mon): the machine and what Llamux does with
// it, look by look, with keys to take changes back. A thin loop around the
// view of report/monitor.
#include "report/monitor.hpp"

#include <cerrno>
#include <cstdio>
#include <functional>
#include <string>

#include "advise/advise.hpp"
#include "cli/consult.hpp"
#include "kernel/screen.hpp"
#include "kernel/terminal.hpp"
#include "replay/world.hpp"
#include "report/answer.hpp"
#include "report/text.hpp"
#include "rollback/rollback.hpp"
#include "sense/files_only.hpp"

namespace llamux {
namespace {

struct MonitorOptions {
    double interval_seconds = 2;
    bool once = false;
    std::string replay;
};

void show_advice(const Result<Advice>& advice, const CgroupTree& tree, Clock& clock,
                 MonitorView& view) {
    const Result<Suggestion> suggestion =
        advice ? make_suggestion(*advice, tree, clock) : Result<Suggestion>(advice.error());
    if (suggestion) {
        view.verdict = verdict_line(*suggestion);
        view.is_healthy = suggestion->facts.empty();
    }
}

// This machine, with the module or without.
class LiveSource {
  public:
    LiveSource(const Globals& globals, Service& service) : globals_(globals), service_(service) {}

    Result<MonitorView> look() {
        MonitorView view;
        view.wall_ns = service_.clock().wall_ns();
        view.machine = "Linux " + service_.proc().kernel_release() + "  service " +
                       (service_is_running(globals_.roots.state) ? "running" : "not running");
        Result<Sensed> sensed = service_.sense().read();
        if (!sensed) {
            view.message = sensed.error().message;
            sensed = Sensed{std::make_shared<llamux_signals>(), {}, false};
        }
        open_device();
        if (!device_ || !look_by_module(*sensed, view)) {
            look_by_files(*sensed, view);
        }
        show_changes(view);
        before_ = std::move(*sensed);
        before_ns_ = service_.clock().boot_ns();
        return view;
    }

    // @number: 0: all. What to tell.
    std::string undo(std::uint64_t number) {
        Result<LockedJournal> journal = service_.journal().lock(LockMode::kExclusive);
        if (!journal) {
            return journal.error().message;
        }
        std::string told = "nothing is in force any more";
        const std::vector<Change> changes = journal->changes();
        for (auto change = changes.rbegin(); change != changes.rend(); ++change) {
            if (!change->in_force() || (number != 0 && change->number != number)) {
                continue;
            }
            const Result<Change> undone = undo_change(change->number, "asked for by a person", {},
                                                      *journal, service_.knobs(), {});
            if (!undone) {
                return undone.error().message;
            }
            (void)service_.audit(service_.record_of(event_of(*undone)));
            told = std::string(entry_type_word(undone->state)) + ": " + event_of(*undone).text;
        }
        return told;
    }

  private:
    // Telemetry is loaded only where there is a module to read it.
    void open_device() {
        if (device_ || !LlamuxDevice::open(globals_.roots.device)) {
            return;
        }
        (void)service_.start_telemetry();  // without it there are pressure files
        if (Result<std::unique_ptr<Device>> opened = service_.open_device()) {
            device_ = std::move(*opened);
        }
    }

    // false: the module does not answer (any more).
    bool look_by_module(const Sensed& sensed, MonitorView& view) {
        const Result<Advice> advice =
            device_->advise(sensed.signals.get(), LLAMUX_ADVISE_RULES_ONLY);
        if (!advice) {
            if (advice.error().code != EINTR) {
                view.message = advice.error().message;
                device_.reset();
            }
            return false;
        }
        show_snapshot(*advice->snapshot, sensed.tree, view);
        show_advice(advice, sensed.tree, service_.clock(), view);
        MonitorModel model;
        if (const Result<llamux_model_info> info = device_->model_info()) {
            model.name = info->name;
        }
        if (const Result<llamux_stats> stats = device_->stats()) {
            const auto rate = [](std::uint64_t tokens, std::uint64_t ns) {
                return ns == 0 ? 0.0 : static_cast<double>(tokens) * 1e9 / static_cast<double>(ns);
            };
            model.prompt_tokens_per_second = rate(stats->prompt_tokens, stats->prompt_ns);
            model.generated_tokens_per_second = rate(stats->generated_tokens, stats->generate_ns);
            model.n_queued = stats->n_queued;
            model.n_sessions = stats->n_sessions;
        }
        view.model = model;
        return true;
    }

    void look_by_files(const Sensed& sensed, MonitorView& view) {
        const SnapshotPtr snapshot = snapshot_of_files(before_.signals ? &before_ : nullptr, sensed,
                                                       service_.clock().boot_ns() - before_ns_);
        show_snapshot(*snapshot, sensed.tree, view);
    }

    void show_changes(MonitorView& view) {
        const Result<LockedJournal> journal = service_.journal().lock(LockMode::kShared);
        if (!journal) {
            view.message = journal.error().message;
            return;
        }
        for (const Change& change : journal->changes()) {
            if (change.in_force()) {
                view.changes.insert(view.changes.begin(), change);
            }
        }
    }

    const Globals& globals_;
    Service& service_;
    std::unique_ptr<Device> device_;
    Sensed before_;
    std::uint64_t before_ns_ = 0;
};

// What `record` wrote, a frame a look; the last one stays.
class RecordedSource {
  public:
    explicit RecordedSource(RecordingReader reader)
        : reader_(std::move(reader)), device_(world_.open_device()) {}

    Result<MonitorView> look() {
        Result<std::optional<Frame>> frame = reader_.next();
        if (!frame) {
            return frame.error();
        }
        if (*frame) {
            world_.show(std::move(**frame));
        } else if (reader_.frames_read() == 0) {
            return Error{ENODATA, "the recording has no looks"};
        }
        const Frame& shown = world_.frame();
        MonitorView view;
        view.wall_ns = shown.wall_ns;
        view.machine = "recording, Linux " + reader_.header().kernel;
        show_snapshot(*shown.seen.snapshot, shown.seen.tree, view);
        show_advice(device_->advise(nullptr, LLAMUX_ADVISE_RULES_ONLY), shown.seen.tree,
                    world_.clock(), view);
        view.model = MonitorModel{};
        view.model->name = reader_.header().model;
        view.message =
            *frame ? "look " + std::to_string(reader_.frames_read()) : "the end of the recording";
        return view;
    }

  private:
    RecordingReader reader_;
    ReplayWorld world_;
    std::unique_ptr<Device> device_;
};

Look look_of(Tone tone) {
    switch (tone) {
        case Tone::kBold:
            return Look::kBold;
        case Tone::kDim:
            return Look::kDim;
        case Tone::kGood:
            return Look::kGreen;
        case Tone::kBad:
            return Look::kRed;
        case Tone::kChosen:
            return Look::kReverse;
        case Tone::kPlain:
            break;
    }
    return Look::kPlain;
}

struct Source {
    std::function<Result<MonitorView>()> look;
    std::function<std::string(std::uint64_t)> undo;
};

class Monitor {
  public:
    Monitor(const Source& source, Screen& screen, StopSignals& signals,
            std::chrono::milliseconds interval)
        : source_(source), screen_(screen), signals_(signals), interval_(interval) {}

    Status run() {
        SystemClock clock;
        while (signals_.wait(std::chrono::milliseconds(0)) == 0) {
            Result<MonitorView> view = source_.look();
            if (!view) {
                return view.error();
            }
            view_ = std::move(*view);
            const std::uint64_t next_ns =
                clock.boot_ns() + static_cast<std::uint64_t>(interval_.count()) * 1'000'000;
            for (std::uint64_t now = clock.boot_ns(); now < next_ns; now = clock.boot_ns()) {
                draw();
                const KeyPress press = screen_.wait_for_key(
                    std::chrono::milliseconds((next_ns - now) / 1'000'000 + 1));
                if (signals_.wait(std::chrono::milliseconds(0)) != 0 || !take(press)) {
                    return {};
                }
                if (looks_now_) {
                    looks_now_ = false;
                    break;
                }
            }
        }
        return {};
    }

  private:
    void draw() {
        const std::size_t n = view_.changes.size();
        cursor_.chosen = n == 0 ? 0 : std::min(cursor_.chosen, n - 1);
        if (!message_.empty()) {
            view_.message = message_;
        }
        std::vector<ScreenLine> lines;
        for (MonitorLine& line : monitor_lines(view_, cursor_, screen_.columns(), screen_.rows())) {
            lines.push_back({std::move(line.text), look_of(line.tone)});
        }
        screen_.draw(lines);
    }

    // false: the person has seen enough.
    bool take(const KeyPress& press) {
        if (cursor_.asked_for && press.key != Key::kNone && press.key != Key::kResize) {
            if (press.character == 'y') {
                message_ = source_.undo(*cursor_.asked_for);
                looks_now_ = true;
            }
            cursor_.asked_for.reset();
            return true;
        }
        const bool has_changes = !view_.changes.empty();
        if (press.key == Key::kUp && cursor_.chosen > 0) {
            cursor_.chosen--;
        } else if (press.key == Key::kDown) {
            cursor_.chosen++;
        } else if (press.character == 'u' && has_changes) {
            cursor_.asked_for = view_.changes[cursor_.chosen].number;
        } else if (press.character == 'U' && has_changes) {
            cursor_.asked_for = 0;
        }
        return press.character != 'q';
    }

    const Source& source_;
    Screen& screen_;
    StopSignals& signals_;
    std::chrono::milliseconds interval_;
    MonitorView view_;
    MonitorCursor cursor_;
    std::string message_;  // of the last undo; stays
    bool looks_now_ = false;
};

int show_once(const Globals& globals, const Source& source, std::chrono::milliseconds interval,
              StopSignals& signals) {
    Result<MonitorView> view = source.look();
    if (view && interval.count() > 0) {
        signals.wait(interval);  // the first look only opens the window
        view = source.look();
    }
    if (!view) {
        return tell_error(globals, view.error());
    }
    if (globals.json) {
        print_json(to_json(*view));
        return kExitHealthy;
    }
    for (const MonitorLine& line : monitor_lines(*view, {}, output_columns(), 24)) {
        std::printf("%s\n", line.text.c_str());
    }
    return kExitHealthy;
}

int show(const Globals& globals, const MonitorOptions& options, const Source& source) {
    Result<StopSignals> signals = StopSignals::catch_all(HangUp::kStops);
    if (!signals) {
        return tell_error(globals, signals.error());
    }
    const std::chrono::milliseconds interval = to_milliseconds(options.interval_seconds);
    if (options.once || globals.json) {
        return show_once(globals, source, options.replay.empty() ? interval : interval * 0,
                         *signals);
    }
    Status done;
    {
        Result<Screen> screen = Screen::open();
        if (!screen) {
            return tell_error(globals, screen.error().in("monitor (--once prints one look)"));
        }
        done = Monitor(source, *screen, *signals, interval).run();
    }
    return done ? kExitHealthy : tell_error(globals, done.error());
}

int monitor(const Globals& globals, const MonitorOptions& options) {
    if (!options.replay.empty()) {
        Result<RecordingReader> reader = RecordingReader::open(options.replay);
        if (!reader) {
            return tell_error(globals, reader.error());
        }
        RecordedSource recorded(std::move(*reader));
        return show(globals, options,
                    {[&] { return recorded.look(); },
                     [](std::uint64_t) { return std::string("a recording has no changes"); }});
    }
    const Result<std::unique_ptr<Service>> service = open_service(globals);
    if (!service) {
        return tell_error(globals, service.error());
    }
    LiveSource live(globals, **service);
    return show(
        globals, options,
        {[&] { return live.look(); }, [&](std::uint64_t number) { return live.undo(number); }});
}

}  // namespace

void add_monitor(CLI::App& app, Globals& globals) {
    auto options = std::make_shared<MonitorOptions>();
    CLI::App* command = app.add_subcommand(
        "monitor",
        "Watch the machine in a terminal: pressure, waits, groups, the model's speed,\n"
        "and the changes in force, which `u` takes back. Also llama-mon");
    command->add_option("--interval", options->interval_seconds, "Seconds between two looks")
        ->capture_default_str()
        ->check(CLI::Range(0.1, 3600.0));
    command->add_flag("--once", options->once, "Print one look as text; no terminal is needed");
    command->add_option("--replay", options->replay, "Show a recording, a look at a time")
        ->type_name("FILE");
    command->callback([&globals, options] { globals.exit_status = monitor(globals, *options); });
}

}  // namespace llamux
