// SPDX-License-Identifier: GPL-2.0-only
//
// What a change did, by measurement.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/window.hpp"

namespace llamux {

enum class Verdict { kImproved, kNoEffect, kWorse };
std::string_view verdict_word(Verdict verdict);  // improved, no-effect, worse

struct Effect {
    Verdict verdict = Verdict::kNoEffect;
    Metric metric = Metric::kCount;  // that decided; kCount: none could be read
    std::uint64_t cgroup_id = 0;     // whose metric
    double before = 0;               // medians
    double after = 0;
    std::optional<double> returned{};  // with the old value back for a while
    double margin = 0;                 // difference that would have counted
    int windows_before = 0;
    int windows_after = 0;
    std::string why;  // one sentence with the numbers
};

}  // namespace llamux
