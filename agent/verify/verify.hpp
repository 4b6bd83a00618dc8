// SPDX-License-Identifier: GPL-2.0-only
//
// Windows before and after a change -> Effect. Pure.
//
// The test, for each metric that belongs to the cause, of the group that
// suffered: medians of the windows before and after are compared. A difference
// counts when it passes the margin, which is the largest of
//   - the metric's floor (core/window.hpp),
//   - the minimum effect (configured, 20 %) of the median before,
//   - three standard errors of the difference of the two medians, each
//     estimated as 1.2533 * 1.4826 * b(n) * MAD / sqrt(n) (median of a normal
//     sample; MAD is the median absolute deviation, b(n) corrects it for few
//     windows).
// With noise of a fifth of the level, five windows and two metrics, nothing
// changed is taken for a change in about 5 of 100 cases, and trouble cut to a
// quarter is missed in 2 of 1000 (tests/unit/agent_verify_test.cpp).
// The most telling metric that fell or rose by more than the margin decides: improved
// if it fell and no other group got severely worse, worse if it rose or another did.
// Severely: pressure more than doubled and rose by over 100 permille, beyond
// the noise; the changed group, the cause and their ancestors are left out. Where
// the system is what suffers, or is guarded, the waiting of the cause and of what
// a change lowers is left out of it: to stop them is the point.
#pragma once

#include <vector>

#include "core/action.hpp"
#include "core/effect.hpp"
#include "core/limits.hpp"
#include "core/window.hpp"

namespace llamux {

// What tells whether this cause was helped, most telling first: the first that fell or
// rose decides.
std::vector<Metric> metrics_of(std::uint32_t cause);

Effect judge(const Plan& plan, const std::vector<Window>& before, const std::vector<Window>& after,
             const MeasureLimits& limits);

// The same effect in the light of @returned, windows with the old value back: an
// improvement stays one if the trouble came back with it, by more than a quarter
// of what the change took away. Else it was not the change, and is no effect.
Effect confirm(const Plan& plan, Effect effect, const std::vector<Window>& returned);

// Fewest windows on each side that allow a judgement.
constexpr std::size_t kMinWindows = 3;

}  // namespace llamux
