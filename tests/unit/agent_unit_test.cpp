// SPDX-License-Identifier: GPL-2.0-only
//
// Catches: a second writer of a systemd unit's group, an undo that goes around
// systemd or leaves something behind there, a unit that is taken for another
// one. systemd is played by a fake; tests/vm/contract-units.sh has the real one.
#include <gtest/gtest.h>

#include <map>

#include "apply/apply.hpp"
#include "core/unit.hpp"
#include "rollback/rollback.hpp"
#include "support/decide.hpp"
#include "support/fake_machine.hpp"

namespace llamux {
namespace {

constexpr const char* kPath = "/system.slice/hog.service";

std::string place(std::string_view path) {
    const std::optional<UnitPlace> found = unit_place(path);
    return !found ? "none" : found->unit + (found->is_own ? "" : " below");
}

TEST(UnitPlaceTest, IsTheLowestUnitOfThePath) {
    EXPECT_EQ(place("/system.slice"), "system.slice");
    EXPECT_EQ(place("/system.slice/a.service"), "a.service");
    EXPECT_EQ(place("/system.slice/system-b.slice/b@1.service"), "b@1.service");
    EXPECT_EQ(place("/system.slice/a.service/sub"), "a.service below");
    EXPECT_EQ(place("/system.slice/made-by-hand"), "system.slice below");
    EXPECT_EQ(place("/user.slice/user-1.slice/user@1.service/app.slice/x.service"),
              "user@1.service below");
    EXPECT_EQ(place("/user.slice/user-1.slice/session-2.scope"), "session-2.scope");
    EXPECT_EQ(place("/system.slice/_cpu.service"), "cpu.service");
    EXPECT_EQ(place("/made-by-hand"), "none");
    EXPECT_EQ(place("/docker/0123"), "none");
    EXPECT_EQ(place(""), "none");
}

TEST(UnitValueTest, SaysWhatTheFileWillSay) {
    EXPECT_EQ(*unit_value({"cpu.weight", "50"}), 50U);
    EXPECT_EQ(*unit_value({"io.weight", "default 70"}), 70U);
    EXPECT_EQ(*unit_value({"memory.high", "max"}), kUnitUnset);
    EXPECT_EQ(*unit_value({"cpu.idle", "1"}), 0U);
    EXPECT_EQ(*unit_value({"cpu.max", "max 100000"}), kUnitUnset);
    EXPECT_EQ(*unit_value({"cpu.max", "40000 100000"}), 400000U);
    // systemd rounds quota_per_second * period / 1 s down.
    EXPECT_EQ(*unit_value({"cpu.max", "10000 30000"}) * 30000 / 1000000, 10000U);
    EXPECT_FALSE(unit_value({"cpu.max", "40000"}));
    EXPECT_FALSE(unit_value({"cpu.weight", "much"}));
}

TEST(UnitValueTest, IsPrintedForTheShell) {
    EXPECT_EQ(unit_assignment("cpu.weight", 50), "CPUWeight=50");
    EXPECT_EQ(unit_assignment("cpu.weight", kUnitUnset), "CPUWeight=");
    EXPECT_EQ(unit_assignment("cpu.idle", 0), "CPUWeight=idle");
    EXPECT_EQ(unit_assignment("cpu.max", 405000), "CPUQuota=40.50%");
    EXPECT_EQ(unit_assignment("memory.high", kUnitUnset), "MemoryHigh=infinity");
    EXPECT_EQ(unit_assignment("memory.low", 0), "MemoryLow=0");
}

// Keeps properties, and writes the unit's group as systemd would.
class FakeUnits final : public UnitBus {
  public:
    explicit FakeUnits(FakeMachine& machine) : machine_(machine) {}

    Result<bool> delegates(const std::string& unit) override { return unit == "box.service"; }
    Result<UnitValue> read(const std::string& unit, const UnitProperty& property) override {
        if (!is_loaded) {
            return Error{ENOENT, unit + ": systemd has no such unit"};
        }
        return value[std::string(property.name)];
    }
    Status write(const std::string& unit, const UnitProperty& property,
                 const UnitValue& wanted) override {
        if (is_down) {
            return Error{ECONNREFUSED, "systemd can not be asked"};
        }
        n_writes++;
        value[std::string(property.name)] = wanted;
        if (unit == "hog.service" && has_group) {
            machine_.set_group_file(kPath, "cpu.weight", file_text("cpu.weight", wanted.value));
        }
        return {};
    }

    std::map<std::string, UnitValue> value;
    bool is_loaded = true;
    bool has_group = true;
    bool is_down = false;
    int n_writes = 0;

  private:
    FakeMachine& machine_;
};

class UnitChangeTest : public testing::Test {
  protected:
    UnitChangeTest() : units(machine) { machine.add_group(kPath); }

    KernelKnobs knobs() {
        return KernelKnobs(CgroupFs(machine.roots.cgroup), ProcFs(machine.roots), &units);
    }
    KnobTarget target(const std::string& path = kPath) const {
        return {LLAMUX_ACTION_CPU_WEIGHT, path, machine.id_of(path)};
    }
    LockedJournal lock() {
        Result<LockedJournal> journal = machine.journal().lock(LockMode::kExclusive);
        EXPECT_TRUE(journal) << journal.error().message;
        return std::move(*journal);
    }
    Decision decide(const std::string& path) {
        Candidate candidate;
        candidate.kind = LLAMUX_ACTION_CPU_WEIGHT;
        candidate.cgroup_path = path;
        candidate.cgroup_id = machine.id_of(path);
        candidate.value_old = 100;
        candidate.value_new = 50;
        candidate.direction = LLAMUX_LOWER;
        const Result<Settings> present = knobs().read(target(path));
        EXPECT_TRUE(present) << present.error().message;
        return decide_for_a_person(candidate, snapshot_of_group(candidate.cgroup_id), *present,
                                   machine.clock.boot_ns(), *knobs().keeper(target(path)));
    }
    Result<Change> apply() {
        const Decision decision = decide(kPath);
        LockedJournal journal = lock();
        return apply_action(std::get<Action>(decision), 1, journal, knobs(), {});
    }
    Result<Change> undo() {
        LockedJournal journal = lock();
        return undo_change(1, "the test says so", {}, journal, knobs(), {});
    }
    UnitValue& weight() { return units.value["CPUWeight"]; }
    std::string file() const { return machine.group_file(kPath, "cpu.weight"); }

    FakeMachine machine;
    FakeUnits units;
};

TEST_F(UnitChangeTest, SystemdWritesItAndTakesItBack) {
    const Result<Change> written = apply();
    ASSERT_TRUE(written) << written.error().message;
    EXPECT_EQ(written->state, EntryType::kWritten) << written->why;
    EXPECT_EQ(file(), "50");
    EXPECT_EQ(weight(), (UnitValue{50, true}));
    const Result<Change> undone = undo();
    ASSERT_TRUE(undone) << undone.error().message;
    EXPECT_EQ(undone->state, EntryType::kUndone);
    EXPECT_EQ(file(), "100");
    // What was not set is not set again, and no drop-in is left.
    EXPECT_EQ(weight(), (UnitValue{kUnitUnset, false}));
    EXPECT_EQ(units.n_writes, 2);
}

TEST_F(UnitChangeTest, WhatSomeoneHadSetUntilTheNextBootIsSetAgain) {
    weight() = {100, true};
    ASSERT_TRUE(apply());
    ASSERT_TRUE(undo());
    EXPECT_EQ(weight(), (UnitValue{100, true}));
}

TEST_F(UnitChangeTest, AUnitStartedAnewStillHasOurValueAndGetsItsOwnBack) {
    ASSERT_TRUE(apply());
    machine.replace_group(kPath);
    machine.set_group_file(kPath, "cpu.weight", "50");
    const Result<Change> undone = undo();
    ASSERT_TRUE(undone) << undone.error().message;
    EXPECT_EQ(undone->state, EntryType::kUndone);
    EXPECT_EQ(weight(), UnitValue{});
    EXPECT_EQ(file(), "100");
}

TEST_F(UnitChangeTest, AUnitThatIsStoppedGetsItsOwnBackToo) {
    ASSERT_TRUE(apply());
    machine.remove_group(kPath);
    units.has_group = false;
    const Result<Change> undone = undo();
    ASSERT_TRUE(undone) << undone.error().message;
    EXPECT_EQ(undone->state, EntryType::kUndone);
    EXPECT_EQ(weight(), UnitValue{});
}

TEST_F(UnitChangeTest, AUnitThatIsGoneIsAccountedFor) {
    ASSERT_TRUE(apply());
    machine.remove_group(kPath);
    units.is_loaded = false;
    const Result<Change> gone = undo();
    ASSERT_TRUE(gone) << gone.error().message;
    EXPECT_EQ(gone->state, EntryType::kGone);
}

TEST_F(UnitChangeTest, SomeoneElsesValueIsLeft) {
    ASSERT_TRUE(apply());
    machine.set_group_file(kPath, "cpu.weight", "300");
    const Result<Change> frozen = undo();
    ASSERT_TRUE(frozen) << frozen.error().message;
    EXPECT_EQ(frozen->state, EntryType::kFrozen);
    EXPECT_EQ(file(), "300");
    EXPECT_EQ(units.n_writes, 1);
}

TEST_F(UnitChangeTest, WithoutSystemdsAnswerNothingIsWritten) {
    const Decision decision = decide(kPath);
    units.is_down = true;
    LockedJournal journal = lock();
    EXPECT_FALSE(apply_action(std::get<Action>(decision), 1, journal, knobs(), {}));
    EXPECT_EQ(file(), "100");
}

TEST_F(UnitChangeTest, BelowAUnitOnlyWhatIsDelegatedIsWritten) {
    const std::string closed = std::string(kPath) + "/worker";
    const std::string open = "/system.slice/box.service/worker";
    machine.add_group(closed);
    machine.add_group(open);
    machine.add_group("/made-by-hand");
    for (const std::string& path : {closed, std::string("/made-by-hand")}) {
        const Decision decision = decide(path);
        const Refusal* refusal = std::get_if<Refusal>(&decision);
        ASSERT_TRUE(refusal) << path;
        EXPECT_EQ(refusal->reason, RefusalReason::kNotDelegated);
    }
    const Decision decision = decide(open);
    ASSERT_TRUE(std::holds_alternative<Action>(decision));
    LockedJournal journal = lock();
    ASSERT_TRUE(apply_action(std::get<Action>(decision), 1, journal, knobs(), {}));
    EXPECT_EQ(machine.group_file(open, "cpu.weight"), "50");
    EXPECT_EQ(units.n_writes, 0);
}

}  // namespace
}  // namespace llamux
