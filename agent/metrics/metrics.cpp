// SPDX-License-Identifier: GPL-2.0-only
//
// See metrics.hpp.
#include "metrics/metrics.hpp"

#include <prometheus/counter.h>
#include <prometheus/exposer.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <cerrno>

#include "core/clock.hpp"
#include "kernel/files.hpp"

namespace llamux {
namespace {

using prometheus::Counter;
using prometheus::Family;
using prometheus::Gauge;
using prometheus::Histogram;
using prometheus::Labels;

// Upper bounds of the slots in seconds, but for the last, which has none.
Histogram::BucketBoundaries slot_bounds() {
    Histogram::BucketBoundaries bounds;
    for (int slot = 0; slot + 1 < LLAMUX_HIST_SLOTS; slot++) {
        bounds.push_back(static_cast<double>(2ull << slot) / 1e6);
    }
    return bounds;
}

void add_slots(Histogram& histogram, const __u64 (&slots)[LLAMUX_HIST_SLOTS], __u64 sum_ns) {
    std::vector<double> counts(std::begin(slots), std::end(slots));
    histogram.ObserveMultiple(counts, static_cast<double>(sum_ns) / 1e9);
}

// A counter that is kept elsewhere: it goes on where it began anew.
class Followed {
  public:
    explicit Followed(Counter& counter) : counter_(counter) {}

    void follow(double value) {
        counter_.Increment(value < last_ ? value : value - last_);
        last_ = value;
    }

  private:
    Counter& counter_;
    double last_ = 0;
};

std::string knob_of(std::uint32_t kind) {
    const ActionRow* row = action_row(kind);
    return row ? row->knob() : std::string();
}

// Why it was taken back; of those that were.
std::string revert_reason(const Change& change) {
    // What had helped is taken back by a person, or because the service ends.
    const bool was_judged = change.effect && change.effect->verdict != Verdict::kImproved;
    return was_judged ? std::string(verdict_word(change.effect->verdict)) : "asked";
}

}  // namespace

struct Metrics::Families {
    std::shared_ptr<prometheus::Registry> registry = std::make_shared<prometheus::Registry>();

    Family<Counter>& counter(const char* name, const char* help) const {
        return prometheus::BuildCounter().Name(name).Help(help).Register(*registry);
    }
    Family<Gauge>& gauge(const char* name, const char* help) const {
        return prometheus::BuildGauge().Name(name).Help(help).Register(*registry);
    }
    Histogram& histogram(const char* name, const char* help) const {
        return prometheus::BuildHistogram().Name(name).Help(help).Register(*registry).Add(
            {}, slot_bounds());
    }

    Counter& looks =
        counter("llamux_looks_total", "Times the agent looked at the machine.").Add({});
    Gauge& degraded = gauge("llamux_degraded",
                            "1 while the agent can only watch: no module, journal or cgroup tree.")
                          .Add({});
    Family<Gauge>& pressure = gauge("llamux_pressure_ratio",
                                    "Share of the last window in which some or all tasks waited.");
    Histogram& runq_latency =
        histogram("llamux_runq_latency_seconds", "Waits of runnable tasks for a CPU.");
    Histogram& block_io_latency =
        histogram("llamux_block_io_latency_seconds", "Disk requests from issue to completion.");
    Counter& direct_reclaim =
        counter("llamux_direct_reclaim_seconds_total", "Time tasks spent reclaiming memory.")
            .Add({});
    Family<Counter>& suggestions =
        counter("llamux_suggestions_total", "Changes suggested, by knob and by what ranked them.");
    Family<Counter>& refusals =
        counter("llamux_refusals_total", "Changes that the policy refused, by reason.");
    Family<Counter>& actions =
        counter("llamux_actions_total", "Changes of knobs, by what became of them.");
    Family<Counter>& reverts =
        counter("llamux_action_reverts_total", "Changes taken back, by reason.");
    Counter& overrides =
        counter("llamux_admin_overrides_total", "Changed knobs found set by someone else.").Add({});
    Family<Counter>& tokens = counter("llamux_inference_tokens_total",
                                      "Tokens evaluated by the module since it was loaded.");
    Family<Counter>& inference_time =
        counter("llamux_inference_seconds_total", "Time of the module's requests, by phase.");
    Family<Counter>& requests =
        counter("llamux_inference_requests_total", "Requests to the module, by result.");
    Gauge& queued =
        gauge("llamux_inference_queue_length", "Requests that wait in the module.").Add({});
    Family<Counter>& self_cpu = counter("llamux_self_cpu_seconds_total",
                                        "CPU time of the agent and of the module's threads.");

    Followed prompt_tokens{tokens.Add({{"phase", "prompt"}})};
    Followed generated_tokens{tokens.Add({{"phase", "generate"}})};
    Followed prompt_time{inference_time.Add({{"phase", "prompt"}})};
    Followed generate_time{inference_time.Add({{"phase", "generate"}})};
    Followed done{requests.Add({{"result", "done"}})};
    Followed failed{requests.Add({{"result", "failed"}})};
    Followed cancelled{requests.Add({{"result", "cancelled"}})};
    Followed agent_cpu{self_cpu.Add({{"part", "agent"}})};
    Followed inference_cpu{self_cpu.Add({{"part", "inference"}})};

    std::unique_ptr<prometheus::Exposer> exposer;  // stops before the rest goes

    void set_pressure(const char* resource, const char* kind, __u64 us, __u64 window_ns) const {
        if (us != LLAMUX_UNKNOWN) {
            pressure.Add({{"resource", resource}, {"kind", kind}})
                .Set(static_cast<double>(us) * 1e3 / static_cast<double>(window_ns));
        }
    }
};

Metrics::Metrics() : families_(std::make_unique<Families>()) {
    families_->gauge("llamux_build_info", "1; which agent this is.")
        .Add({{"version", LLAMUX_VERSION}})
        .Set(1);
}

Metrics::~Metrics() = default;

Status Metrics::serve(const std::string& address) {
    try {
        // One thread: there is one who scrapes.
        families_->exposer = std::make_unique<prometheus::Exposer>(address, 1);
        families_->exposer->RegisterCollectable(families_->registry);
    } catch (const std::exception&) {
        return Error{EADDRNOTAVAIL, "metrics can not be served on " + address};
    }
    return {};
}

Status Metrics::write_to(const std::string& path) const {
    return replace_file(path, text(), 0644);  // node_exporter is another user
}

void Metrics::count_look(const llamux_snapshot* snapshot) {
    families_->looks.Increment();
    if (!snapshot || snapshot->window_ns == 0 || (snapshot->flags & LLAMUX_SNAPSHOT_FIRST)) {
        return;
    }
    const llamux_pressure& psi = snapshot->signals.psi;
    if (!(snapshot->flags & LLAMUX_SNAPSHOT_NO_SIGNALS)) {
        families_->set_pressure("cpu", "some", psi.cpu.some_us, snapshot->window_ns);
        families_->set_pressure("memory", "some", psi.memory.some_us, snapshot->window_ns);
        families_->set_pressure("memory", "full", psi.memory.full_us, snapshot->window_ns);
        families_->set_pressure("io", "some", psi.io.some_us, snapshot->window_ns);
        families_->set_pressure("io", "full", psi.io.full_us, snapshot->window_ns);
    }
    if (!(snapshot->flags & LLAMUX_SNAPSHOT_NO_MAPS)) {
        const llamux_cgroup_record& total = snapshot->record.total;
        add_slots(families_->runq_latency, total.runq_wait_hist, total.runq_wait_ns);
        add_slots(families_->block_io_latency, snapshot->record.block_io_hist, total.block_io_ns);
        families_->direct_reclaim.Increment(static_cast<double>(total.direct_reclaim_ns) / 1e9);
    }
}

void Metrics::count_suggestion(const Suggestion& suggestion) {
    if (const Candidate* change = suggestion.change()) {
        families_->suggestions
            .Add({{"knob", knob_of(change->kind)},
                  {"ranked_by", std::string(ranked_by_word(suggestion.ranked_by))}})
            .Increment();
    }
}

void Metrics::count_refusal(RefusalReason reason) {
    families_->refusals.Add({{"reason", std::string(refusal_name(reason))}}).Increment();
}

void Metrics::count_change(const Change& change) {
    const Labels labels = {{"knob", knob_of(change.plan.target.kind)},
                           {"result", std::string(entry_type_word(change.state))}};
    families_->actions.Add(labels).Increment();
    if (change.state == EntryType::kUndone) {
        families_->reverts.Add({{"reason", revert_reason(change)}}).Increment();
    }
    if (change.state == EntryType::kFrozen) {
        families_->overrides.Increment();
    }
}

void Metrics::set_degraded(bool degraded) {
    families_->degraded.Set(degraded ? 1 : 0);
}

void Metrics::set_inference(const llamux_stats& stats) {
    const auto seconds = [](__u64 ns) { return static_cast<double>(ns) / 1e9; };
    families_->prompt_tokens.follow(static_cast<double>(stats.prompt_tokens));
    families_->generated_tokens.follow(static_cast<double>(stats.generated_tokens));
    families_->prompt_time.follow(seconds(stats.prompt_ns));
    families_->generate_time.follow(seconds(stats.generate_ns));
    families_->done.follow(static_cast<double>(stats.requests_done));
    families_->failed.follow(static_cast<double>(stats.requests_failed));
    families_->cancelled.follow(static_cast<double>(stats.requests_cancelled));
    families_->inference_cpu.follow(seconds(stats.cpu_ns));
    families_->queued.Set(stats.n_queued);
}

void Metrics::set_self_cpu(double seconds) {
    families_->agent_cpu.follow(seconds);
}

std::string Metrics::text() const {
    return prometheus::TextSerializer().Serialize(families_->registry->Collect());
}

}  // namespace llamux
