// SPDX-License-Identifier: GPL-2.0-only
//
// What Prometheus can scrape: counts and last values, by prometheus-cpp. Names
// and labels follow its conventions: base units, _total, ratios from 0 to 1,
// and no label whose values a machine makes up (no path, no process).
// docs/METRICS.md lists them. Decides nothing.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "core/change.hpp"
#include "core/refusal.hpp"
#include "core/result.hpp"
#include "core/suggestion.hpp"
#include "llamux/telemetry.h"
#include "uapi/llamux.h"

namespace llamux {

class Metrics {
  public:
    Metrics();
    ~Metrics();
    Metrics(const Metrics&) = delete;
    Metrics& operator=(const Metrics&) = delete;

    // Answers GET /metrics on a loopback address, "127.0.0.1:9756", from a
    // thread of its own until this ends. EADDRNOTAVAIL: it can not.
    Status serve(const std::string& address);
    // The same text in a file, for node_exporter; replaced as a whole.
    Status write_to(const std::string& path) const;

    void count_look(const llamux_snapshot* snapshot);  // nullptr: there was none
    void count_suggestion(const Suggestion& suggestion);
    void count_refusal(RefusalReason reason);
    // As of its newest journal entry.
    void count_change(const Change& change);
    void set_degraded(bool degraded);
    void set_inference(const llamux_stats& stats);  // since the module was loaded
    void set_self_cpu(double seconds);              // of this process

    std::string text() const;

  private:
    struct Families;
    std::unique_ptr<Families> families_;
};

}  // namespace llamux
