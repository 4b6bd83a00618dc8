// SPDX-License-Identifier: GPL-2.0-only
//
// Why the policy does not allow a change: one row per reason.
#pragma once

#include <string>
#include <string_view>

namespace llamux {

// X(Id, words)
#define LLAMUX_REFUSALS(X)                                                              \
    X(NoChange, "there is nothing to change")                                           \
    X(NotInCatalogue, "not a knob Llamux may write")                                    \
    X(ActingOff, "acting is off; this is advice only")                                  \
    X(KnobOff, "this knob is switched off in the configuration")                        \
    X(KnobAdviceOnly, "this knob is for advice only unless switched to apply")          \
    X(GroupUnknown, "the snapshot has no such group")                                   \
    X(GroupNameUnusable, "the group's name is not UTF-8 and can not be journalled")     \
    X(GroupProtected, "the group is protected and never tightened")                     \
    X(GroupSelf, "the group is Llamux's own")                                           \
    X(ForAUser, "what users run does not take from what the system runs")               \
    X(NotDelegated, "systemd rules the group and has not delegated it")                 \
    X(ValueUnknown, "the knob's present value is not known")                            \
    X(ValueMoved, "the knob no longer has the value the advice was made for")           \
    X(Contradicted, "the rules now say the opposite")                                   \
    X(Passed, "the trouble was not seen again while it was measured")                   \
    X(DirectionWrong, "the new value does not lie in the advised direction")            \
    X(OutOfRange, "the new value is outside the catalogue's range")                     \
    X(StepTooLarge, "the step is larger than one change may be")                        \
    X(NoSiblings, "a weight without siblings has no effect")                            \
    X(GroupIdle, "a group of the idle class has no weight")                             \
    X(QuotaOnlyLoosened, "a cpu quota is only ever loosened")                           \
    X(QuotaBelowUse, "the quota would be less than 1.2 times the measured use")         \
    X(LimitBelowUse, "the memory limit would cut into what the group uses")             \
    X(ProtectionTooLarge, "memory protection would pass 30 % of the memory or the use") \
    X(ReclaimTooLarge, "one reclaim step would pass 1 % of the group's memory")         \
    X(SwapNotFast, "swappiness above 100 needs swap on zram or zswap")                  \
    X(IoWeightWithoutEffect, "io.weight has no effect: no iocost on any disk")          \
    X(JournalUnusable, "the journal can not be relied on: look at it and move it away") \
    X(LiveChange, "another change of this resource is still being measured")            \
    X(CoolDown, "this knob was changed a short while ago")                              \
    X(TriedInVain, "a change of this knob did not help a short while ago")              \
    X(RateLimit, "the changes allowed in one hour are used up")                         \
    X(Frozen, "this knob is left alone")                                                \
    X(OtherTuner, "another program looks after this knob")                              \
    X(Goal, "a goal that someone set looks after this knob")                            \
    X(Quarantined, "changes of this knob did not help; it is not tried again")          \
    X(Reversal, "the opposite was kept not long ago")

enum class RefusalReason {
#define LLAMUX_REFUSAL_ENUM(id, words) k##id,
    LLAMUX_REFUSALS(LLAMUX_REFUSAL_ENUM)
#undef LLAMUX_REFUSAL_ENUM
};

struct Refusal {
    RefusalReason reason = RefusalReason::kNoChange;
    std::string detail;  // the numbers, or empty

    [[nodiscard]] std::string text() const;
};

std::string_view refusal_words(RefusalReason reason);
// It is about this knob or group, and waiting a little will not change it.
bool outlasts_the_moment(RefusalReason reason);
std::string_view refusal_name(RefusalReason reason);

}  // namespace llamux
