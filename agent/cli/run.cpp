// SPDX-License-Identifier: GPL-2.0-only
//
// llamux-agent run: the service. Watches and advises; with --apply it also
// acts, measures and undoes.
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/sinks/systemd_sink.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdio>
#include <memory>

#include "audit.hpp"
#include "cli/consult.hpp"
#include "core/rate_limit.hpp"
#include "metrics/metrics.hpp"
#include "service.hpp"

namespace llamux {
namespace {

constexpr std::uint32_t kLogLinesPerMinute = 60;

struct RunOptions {
    double interval_seconds = 0;  // 0: as configured
    bool apply = false;
    bool once = false;
};

bool is_bad_news(EventType type) {
    return type == EventType::kFailed || type == EventType::kDegraded || type == EventType::kFrozen;
}

// The file, and what the command line says besides it.
Result<Config> read_config(const Globals& globals, const RunOptions& options) {
    Result<Config> config = read_config(globals);
    if (config) {
        config->policy.apply = config->policy.apply || options.apply;
        if (options.interval_seconds > 0) {
            config->interval_ms = static_cast<std::uint32_t>(options.interval_seconds * 1000);
        }
    }
    return config;
}

std::string_view mode_words(const Config& config) {
    return config.policy.apply ? "watching, advising and acting" : "watching and advising";
}

class Runner {
  public:
    Runner(const Globals& globals, Service& service, StopSignals& signals,
           const RunOptions& options)
        : globals_(globals),
          service_(service),
          signals_(signals),
          options_(options),
          limit_(service.clock(), kLogLinesPerMinute),
          loop_(service.make_loop()) {
        open_metrics(service.config().metrics);
    }

    int run() {
        log(loop_.start());
        notify_service_manager("READY=1");
        const int status = options_.once ? run_once() : run_until_stopped();
        notify_service_manager("STOPPING=1");
        log(loop_.stop());
        if (!options_.once) {
            // An agent that was stopped leaves nothing behind that counts.
            if (const Status unloaded = service_.stop_telemetry(); !unloaded) {
                spdlog::warn("{}", unloaded.error().message);
            }
        }
        return status;
    }

  private:
    // Two readings make one window; a change that is begun is seen through.
    int run_once() {
        TickReport report;
        bool has_trouble = false;
        for (int tick = 0; tick < 2 || loop_.state() != LoopState::kWatching; tick++) {
            report = loop_.tick();
            publish(report);
            for (const Event& event : report.events) {
                has_trouble = has_trouble || event.type == EventType::kSuggestion ||
                              event.type == EventType::kTrouble;
            }
            log(report);
            if (loop_.degraded()) {
                return kExitNoData;
            }
            if (signals_.wait(tick == 0 || loop_.state() != LoopState::kWatching
                                  ? report.next
                                  : std::chrono::milliseconds(0)) != 0) {
                break;
            }
        }
        return has_trouble ? kExitProblem : kExitHealthy;
    }

    int run_until_stopped() {
        const std::chrono::milliseconds watchdog = watchdog_interval();
        for (;;) {
            const TickReport report = loop_.tick();
            log(report);
            publish(report);
            notify_service_manager("WATCHDOG=1");
            std::chrono::milliseconds left = report.next;
            do {
                const auto nap = watchdog.count() > 0 ? std::min(left, watchdog) : left;
                if (const int signal = signals_.wait(nap); signal != 0) {
                    spdlog::info("stopping on signal {}", signal);
                    return kExitHealthy;
                }
                if (signals_.take_reload()) {
                    reload();
                }
                notify_service_manager("WATCHDOG=1");
                left -= nap;
            } while (left.count() > 0);
        }
    }

    // A change that is being measured goes on; a configuration with a mistake
    // changes nothing.
    void reload() {
        notify_reloading();
        if (const Result<Config> config = read_config(globals_, options_); config) {
            service_.reconfigure(*config);
            open_metrics(config->metrics);
            loop_.reconfigure(*config);
            spdlog::info("configuration read again: {}", mode_words(*config));
        } else {
            spdlog::error("the configuration stays as it was: {}", config.error().message);
        }
        notify_service_manager("READY=1");
    }

    // Counts begin anew when the places change. What can not be served is
    // said; it is no reason not to run.
    void open_metrics(const MetricsPlaces& places) {
        if (places == metrics_places_) {
            return;
        }
        metrics_.reset();
        metrics_places_ = places;
        if (places == MetricsPlaces{}) {
            return;
        }
        metrics_ = std::make_unique<Metrics>();
        if (places.listen.empty()) {
            return;
        }
        if (const Status serving = metrics_->serve(places.listen); !serving) {
            spdlog::warn("{}", serving.error().message);
        }
    }

    void publish(const TickReport& report) {
        if (!metrics_) {
            return;
        }
        metrics_->count_look(report.snapshot.get());
        metrics_->set_degraded(loop_.degraded());
        metrics_->set_self_cpu(cpu_seconds());
        if (Device* device = loop_.device()) {
            if (const Result<llamux_stats> stats = device->stats()) {
                metrics_->set_inference(*stats);
            }
        }
        if (!metrics_places_.textfile.empty()) {
            const Status written = metrics_->write_to(metrics_places_.textfile);
            if (!written && !told_textfile_fails_) {
                spdlog::warn("no metrics: {}", written.error().message);
            }
            told_textfile_fails_ = !written;
        }
    }

    void count(const Event& event) {
        if (event.suggestion) {
            metrics_->count_suggestion(*event.suggestion);
        }
        if (event.refusal) {
            metrics_->count_refusal(event.refusal->reason);
        }
        if (event.change) {
            metrics_->count_change(*event.change);
        }
    }

    void log(const TickReport& report) {
        for (const Event& event : report.events) {
            const Json record = service_.record_of(event);
            audit(record);
            if (metrics_) {
                count(event);
            }
            if (globals_.json) {
                print_json(record);
                std::fflush(stdout);
            } else {
                tell(event);
            }
        }
    }

    void tell(const Event& event) {
        if (!limit_.allow()) {
            return;
        }
        if (const std::uint64_t n = limit_.take_left_out(); n > 0) {
            spdlog::warn("{} lines were left out", n);
        }
        const std::string line = std::string(event_word(event.type)) + ": " + event.text;
        const int priority = is_bad_news(event.type) ? LOG_WARNING : LOG_INFO;
        if (to_journald_ && send_to_journald(priority, line, journal_fields(event))) {
            return;
        }
        spdlog::log(priority == LOG_WARNING ? spdlog::level::warn : spdlog::level::info, "{}",
                    line);
    }

    void audit(const Json& record) {
        const Status written = service_.audit(record);
        if (!written && !told_audit_fails_) {
            spdlog::warn("no audit log: {}", written.error().message);
        }
        told_audit_fails_ = !written;
    }

    const Globals& globals_;
    Service& service_;
    StopSignals& signals_;
    const RunOptions& options_;
    RateLimit limit_;
    const bool to_journald_ = logs_to_journald();
    Loop loop_;
    MetricsPlaces metrics_places_;
    std::unique_ptr<Metrics> metrics_;  // nullptr: off
    bool told_audit_fails_ = false;
    bool told_textfile_fails_ = false;
};

void set_up_log() {
    if (logs_to_journald()) {
        spdlog::set_default_logger(spdlog::systemd_logger_mt("llamux-agent"));
        return;
    }
    auto logger = spdlog::stderr_logger_mt("llamux-agent");
    logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e %l %v");
    spdlog::set_default_logger(std::move(logger));
}

void start_telemetry(Service& service) {
    if (const Status started = service.start_telemetry(); !started) {
        spdlog::warn("no BPF telemetry, pressure files only: {}", started.error().message);
        return;
    }
    for (const Probe& probe : service.telemetry()->probes()) {
        if (!probe.active) {
            spdlog::info("{}", probe.line());
        }
    }
}

void start_watch(Service& service) {
    if (const Status started = service.start_watch(); !started) {
        spdlog::warn("who writes knobs is not seen, only what they are set to: {}",
                     started.error().message);
    }
}

void become_light(const Config& config, const Roots& roots, const ProcFs& proc) {
    if (const Status set = set_nice(config.nice); !set) {
        spdlog::warn("{}", set.error().message);
    }
    if (const Result<std::string> group = enter_own_cgroup(roots.cgroup, proc); !group) {
        spdlog::warn("no cgroup of its own: {}", group.error().message);
    }
}

int run(const Globals& globals, const RunOptions& options) {
    set_up_log();
    Result<Config> config = read_config(globals, options);
    if (!config) {
        spdlog::error("{}", config.error().message);
        return kExitProblem;
    }
    const ProcFs proc(globals.roots);
    if (const auto missing = missing_capabilities(proc); !missing.empty()) {
        std::string names;
        for (const std::string& name : missing) {
            names += " " + name;
        }
        spdlog::error("not permitted: run it as root, or give it{}", names);
        return kExitNotPermitted;
    }
    Result<Fd> claim = claim_service(globals.roots.state);
    if (!claim) {
        spdlog::error("{}", claim.error().message);
        return kExitProblem;
    }
    Result<StopSignals> signals = StopSignals::catch_all(HangUp::kReloads);
    if (!signals) {
        spdlog::error("{}", signals.error().message);
        return kExitProblem;
    }
    become_light(*config, globals.roots, proc);
    Result<std::unique_ptr<Service>> service = Service::make(globals.roots, *config, {});
    if (!service) {
        spdlog::error("{}", service.error().message);
        return kExitProblem;
    }
    start_telemetry(**service);
    start_watch(**service);
    if (const Status dropped = drop_capabilities(); !dropped) {
        spdlog::warn("it keeps more rights than it needs: {}", dropped.error().message);
    }
    spdlog::info("{}", mode_words(*config));
    return Runner(globals, **service, *signals, options).run();
}

}  // namespace

void add_run(CLI::App& app, Globals& globals) {
    auto options = std::make_shared<RunOptions>();
    CLI::App* command = app.add_subcommand("run", "Watch the machine as a service");
    command
        ->add_option("--interval", options->interval_seconds,
                     "Seconds between two looks (default: as configured, 5)")
        ->check(CLI::Range(0.1, 3600.0));
    command->add_flag("--apply", options->apply,
                      "Act on suggestions; default: only advise. Every change is measured, "
                      "and undone if it did not help or when the service stops");
    command->add_flag("--once", options->once, "One measured window, then stop");
    command->callback([&globals, options] { globals.exit_status = run(globals, *options); });
}

}  // namespace llamux
