// SPDX-License-Identifier: GPL-2.0-only
//
// Catches: a change that is kept although it did not help, or would have without it;
// and one that is lost track of when the world moves under it.
#include "support/loop_fixture.hpp"

namespace llamux {
namespace {

TEST_F(LoopTest, WhatHelpsIsKeptAndUndoneWhenTheServiceStops) {
    tick_until_watching();
    EXPECT_EQ(count(EventType::kSuggestion), 1);
    EXPECT_EQ(count(EventType::kApplied), 1);
    EXPECT_EQ(count(EventType::kKept), 1);
    EXPECT_EQ(weight(), "50");
    ASSERT_EQ(changes().size(), 1u);
    EXPECT_EQ(changes()[0].state, EntryType::kKept);
    EXPECT_NE(last_text(EventType::kKept).find("from 400 to 100 permille"), std::string::npos)
        << last_text(EventType::kKept);
    const TickReport stopped = loop->stop();
    ASSERT_EQ(stopped.events.size(), 1u);
    EXPECT_EQ(stopped.events[0].type, EventType::kUndone);
    EXPECT_EQ(weight(), "100");
}

TEST_F(LoopTest, OnExitKeepLeavesIt) {
    config.on_exit = OnExit::kKeep;
    make_loop();
    tick_until_watching();
    loop->stop();
    EXPECT_EQ(weight(), "50");
}

TEST_F(LoopTest, WhatHasNoEffectIsUndone) {
    permille_after = 400;
    tick_until_watching();
    EXPECT_EQ(count(EventType::kUndone), 1);
    EXPECT_NE(last_text(EventType::kUndone).find("no effect"), std::string::npos);
    EXPECT_EQ(weight(), "100");
    // And not tried again at once.
    tick_times(20);
    EXPECT_EQ(changes().size(), 1u);
    EXPECT_EQ(count(EventType::kRefused), 1) << "said once";
}

TEST_F(LoopTest, WhatIsWorseIsUndoneBeforeAllWindowsAreIn) {
    permille_after = 900;
    config.measure.windows = 20;
    make_loop();
    tick_until_watching();
    ASSERT_EQ(changes().size(), 1u);
    ASSERT_TRUE(changes()[0].effect);
    EXPECT_EQ(changes()[0].effect->verdict, Verdict::kWorse);
    EXPECT_EQ(changes()[0].effect->windows_after, 3);
    EXPECT_EQ(weight(), "100");
}

TEST_F(LoopTest, AModuleThatFailsWhileMeasuringUndoesTheChange) {
    tick_until(LoopState::kMeasuring);
    ASSERT_EQ(weight(), "50");
    kernel.error = EIO;
    tick();
    EXPECT_EQ(loop->state(), LoopState::kWatching);
    EXPECT_EQ(weight(), "100");
    EXPECT_EQ(count(EventType::kUndone), 1);
    EXPECT_EQ(changes()[0].state, EntryType::kUndone);
}

TEST_F(LoopTest, AGroupThatVanishesWhileMeasuringIsAccountedFor) {
    tick_until(LoopState::kMeasuring);
    machine.remove_group("/demo/hog");
    permille_after = permille_before;
    tick_until_watching();
    ASSERT_EQ(changes().size(), 1u);
    EXPECT_EQ(changes()[0].state, EntryType::kGone);
}

TEST_F(LoopTest, AVictimThatVanishesMeansUnmeasuredMeansUndone) {
    tick_until(LoopState::kSettling);
    machine.remove_group("/demo/web");
    tick_until_watching();
    EXPECT_EQ(weight(), "100");
    EXPECT_NE(changes()[0].why.find("could not be measured"), std::string::npos)
        << changes()[0].why;
}

TEST_F(LoopTest, AKnobThatSomeoneElseSetWhileMeasuringIsTheirs) {
    permille_after = 400;
    tick_until(LoopState::kMeasuring);
    machine.set_group_file("/demo/hog", "cpu.weight", "70");
    tick_until_watching();
    EXPECT_EQ(weight(), "70");
    EXPECT_EQ(count(EventType::kFrozen), 1);
    // Theirs for good: neither measured nor written again.
    advised_old = 70;
    tick_times(300);
    EXPECT_EQ(weight(), "70");
    EXPECT_EQ(changes().size(), 1u);
}

TEST_F(LoopTest, ARollbackByHandEndsTheMeasuring) {
    tick_until(LoopState::kMeasuring);
    {
        Result<LockedJournal> locked = machine.journal({2, 2}).lock(LockMode::kExclusive);
        ASSERT_TRUE(locked);
        ASSERT_TRUE(undo_change(1, "asked for", {}, *locked, *knobs, {}));
    }
    tick_until_watching();
    EXPECT_EQ(changes().size(), 1u);
    EXPECT_EQ(changes()[0].why, "asked for");
}

TEST_F(LoopTest, WhatHelpsIsKeptAfterTheTroubleCameBackWithTheOldValue) {
    config.measure.return_windows = 3;
    make_loop();
    tick_until(LoopState::kReturned);
    EXPECT_EQ(weight(), "100");
    EXPECT_EQ(changes()[0].state, EntryType::kReturned);
    tick_until_watching();
    EXPECT_EQ(weight(), "50");
    EXPECT_EQ(changes()[0].state, EntryType::kKept);
    ASSERT_TRUE(changes()[0].effect);
    EXPECT_EQ(changes()[0].effect->returned, 400);
    EXPECT_EQ(count(EventType::kApplied), 1) << "said once";
    EXPECT_EQ(count(EventType::kKept), 1);
}

TEST_F(LoopTest, WhatGetsBetterByItselfIsNotKept) {
    config.measure.return_windows = 3;
    make_loop();
    tick_until(LoopState::kMeasuring);
    permille_before = permille_after;  // the load ends now
    tick_until_watching();
    EXPECT_EQ(weight(), "100");
    ASSERT_EQ(changes().size(), 1u);
    EXPECT_EQ(changes()[0].state, EntryType::kUndone);
    EXPECT_EQ(changes()[0].effect->verdict, Verdict::kNoEffect);
    EXPECT_NE(last_text(EventType::kUndone).find("but was 100 with the old value back"),
              std::string::npos)
        << last_text(EventType::kUndone);
}

TEST_F(LoopTest, AStopWithTheOldValueBackLeavesIt) {
    config.measure.return_windows = 3;
    make_loop();
    tick_until(LoopState::kReturned);
    loop->stop();
    EXPECT_EQ(weight(), "100");
    EXPECT_EQ(changes()[0].state, EntryType::kUndone);
}

TEST_F(LoopTest, WhatSomeoneElseSetsWhileTheOldValueIsBackIsTheirs) {
    config.measure.return_windows = 3;
    make_loop();
    tick_until(LoopState::kReturned);
    machine.set_group_file("/demo/hog", "cpu.weight", "70");
    permille_after = permille_before;
    tick_until_watching();
    EXPECT_EQ(weight(), "70");
    EXPECT_EQ(changes()[0].state, EntryType::kFrozen);
}

}  // namespace
}  // namespace llamux
