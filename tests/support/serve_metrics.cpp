// SPDX-License-Identifier: GPL-2.0-only
//
// serve_metrics ADDRESS: one of each metric, with known values, served until
// standard input ends. For tests/cli/metrics_test.py.
#include <cstdio>
#include <cstring>
#include <memory>

#include "metrics/metrics.hpp"

namespace {

using namespace llamux;

Change change_with(EntryType state, std::optional<Verdict> verdict) {
    Change change;
    change.plan.target.kind = LLAMUX_ACTION_CPU_WEIGHT;
    change.state = state;
    if (verdict) {
        change.effect = Effect{};
        change.effect->verdict = *verdict;
    }
    return change;
}

void count_all(Metrics& metrics) {
    const auto snapshot = std::make_unique<llamux_snapshot>();
    std::memset(snapshot.get(), 0, sizeof(*snapshot));
    snapshot->window_ns = 2'000'000'000;
    snapshot->signals.psi = {{500'000, 0}, {200'000, 100'000}, {LLAMUX_UNKNOWN, 0}};
    snapshot->record.total.runq_wait_hist[0] = 3;                      // up to 2 us
    snapshot->record.total.runq_wait_hist[LLAMUX_HIST_SLOTS - 1] = 1;  // 0.5 s and above
    snapshot->record.total.runq_wait_ns = 1'500'000'000;
    snapshot->record.total.direct_reclaim_ns = 250'000'000;
    snapshot->record.block_io_hist[10] = 7;
    metrics.count_look(snapshot.get());
    metrics.count_look(nullptr);
    snapshot->flags = LLAMUX_SNAPSHOT_FIRST;  // counters since boot: not of a window
    metrics.count_look(snapshot.get());

    Suggestion suggestion;
    suggestion.ranked_by = LLAMUX_RANKED_BY_MODEL;
    suggestion.candidates.resize(1);
    suggestion.candidates[0].kind = LLAMUX_ACTION_SWAPPINESS;
    metrics.count_suggestion(suggestion);
    metrics.count_refusal(RefusalReason::kCoolDown);
    metrics.count_change(change_with(EntryType::kKept, Verdict::kImproved));
    metrics.count_change(change_with(EntryType::kUndone, Verdict::kImproved));
    metrics.count_change(change_with(EntryType::kUndone, Verdict::kWorse));
    metrics.count_change(change_with(EntryType::kFrozen, {}));
    metrics.set_degraded(true);
    metrics.set_self_cpu(0.5);
    metrics.set_self_cpu(0.75);

    llamux_stats stats{};
    stats.prompt_tokens = 100;
    stats.prompt_ns = 3'000'000'000;
    stats.n_queued = 2;
    metrics.set_inference(stats);
    stats.prompt_tokens = 40;  // the module was loaded again
    metrics.set_inference(stats);
}

}  // namespace

int main(int argc, char** argv) {
    Metrics metrics;
    count_all(metrics);
    if (const Status serving = metrics.serve(argc == 2 ? argv[1] : ""); !serving) {
        std::fprintf(stderr, "%s\n", serving.error().message.c_str());
        return 1;
    }
    std::printf("ready\n");
    std::fflush(stdout);
    while (std::getchar() != EOF) {
    }
    return 0;
}
