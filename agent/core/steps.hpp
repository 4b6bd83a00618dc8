// SPDX-License-Identifier: GPL-2.0-only
//
// The points between which a change can be cut off. Whoever runs a change may
// listen; the crash tests die at each of them in turn.
#pragma once

#include <functional>
#include <string_view>

namespace llamux {

// X(Id, word)
#define LLAMUX_STEPS(X)                    \
    X(Begin, "begin")                      \
    X(Planned, "planned")                  \
    X(PartWritten, "part-written")         \
    X(KnobWritten, "knob-written")         \
    X(ReadBack, "read-back")               \
    X(WrittenRecorded, "written-recorded") \
    X(Returned, "returned")                \
    X(ReturnRecorded, "return-recorded")   \
    X(WrittenAgain, "written-again")       \
    X(Judged, "judged")                    \
    X(UndoRecorded, "undo-recorded")       \
    X(Restored, "restored")                \
    X(Closed, "closed")

enum class Step {
#define LLAMUX_STEP_ENUM(id, word) k##id,
    LLAMUX_STEPS(LLAMUX_STEP_ENUM)
#undef LLAMUX_STEP_ENUM
};
std::string_view step_word(Step step);

using StepListener = std::function<void(Step)>;

}  // namespace llamux
