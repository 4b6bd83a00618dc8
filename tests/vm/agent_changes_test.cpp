// SPDX-License-Identifier: GPL-2.0-only
//
// Catches: a knob that a real kernel (or systemd) rounds, couples or refuses
// otherwise than the agent believes, a unit's group that is written behind systemd's
// back, our own write that is taken for someone else's, or theirs for ours, and a
// knob left changed by an agent that was killed. Runs as root in a guest, on real
// cgroups and sysctls; where systemd runs, the group is a unit's, with groups below
// it that are delegated. The module is played by a fake device. Where LLAMUX_POWER_CUT
// names a folder (tests/vm/power-cut), the journal is kept there, and what would be
// killed takes the machine down with it.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <tuple>

#include "apply/apply.hpp"
#include "kernel/files.hpp"
#include "kernel/process.hpp"
#include "kernel/systemd_bus.hpp"
#include "loop.hpp"
#include "rollback/rollback.hpp"
#include "support/fake_device.hpp"
#include "support/fake_machine.hpp"
#include "validate/policy.hpp"

namespace llamux {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;

bool is_systemd_here() {
    return SystemdBus::is_here("/run");
}

const char* const kGroup =
    is_systemd_here() ? "/system.slice/llamux-agent-test.service" : "/llamux-agent-test";

// Its process goes to a group below, so that there can be others beside it.
constexpr const char* kUnit = R"([Service]
Type=notify
NotifyAccess=all
Delegate=yes
CPUWeight=100
CPUQuotaPeriodSec=50ms
IOWeight=100
ExecStart=/bin/sh -c 'cd /sys/fs/cgroup/system.slice/llamux-agent-test.service && mkdir main && \
    echo $$$$ >main/cgroup.procs && systemd-notify --ready && exec sleep infinity'
)";

void run(const char* command) {
    ASSERT_EQ(std::system(command), 0) << command;
}

void make_group() {
    if (is_systemd_here()) {
        run("systemctl start llamux-agent-test");
    } else {
        std::filesystem::create_directory(Roots::of_this_machine().cgroup + kGroup);
    }
}

void remove_group() {
    if (is_systemd_here()) {
        run("systemctl stop llamux-agent-test");
    } else {
        std::filesystem::remove(Roots::of_this_machine().cgroup + kGroup);
    }
}

const char* power_cut_folder() {
    return std::getenv("LLAMUX_POWER_CUT");
}

// Whoever dies at a step, dies here.
void die() {
    if (const char* folder = power_cut_folder()) {
        // Lost, as all that was not synced, or this is no power cut.
        std::ofstream(std::string(folder) + "/unsynced") << "still in memory" << std::endl;
        std::ofstream("/proc/sysrq-trigger") << "b" << std::endl;
        ::pause();
    }
    ::kill(::getpid(), SIGKILL);
}

bool nobody_lives(const Owner&) {
    return false;
}

// One change of a real knob: the scene, what is asked, all files that must be
// as before once it is undone.
struct Trial {
    const char* name;
    llamux_action_kind kind;
    std::uint64_t value_old;
    std::uint64_t value_new;
    Settings scene;
    std::vector<std::string> watched;
};

const std::vector<std::string> kDirtyFiles = {"vm/dirty_background_ratio", "vm/dirty_ratio",
                                              "vm/dirty_background_bytes", "vm/dirty_bytes"};

const Trial kTrials[] = {
    {"cpu_weight", LLAMUX_ACTION_CPU_WEIGHT, 100, 50, {{"cpu.weight", "100"}}, {"cpu.weight"}},
    {"cpu_max", LLAMUX_ACTION_CPU_MAX, 25000, 50000, {{"cpu.max", "25000 50000"}}, {"cpu.max"}},
    {"cpu_idle", LLAMUX_ACTION_CPU_IDLE, 0, 1, {{"cpu.weight", "250"}}, {"cpu.idle", "cpu.weight"}},
    {"memory_high",
     LLAMUX_ACTION_MEMORY_HIGH,
     LLAMUX_NO_LIMIT,
     64 * kMiB + 1234,
     {},
     {"memory.high"}},
    {"memory_low", LLAMUX_ACTION_MEMORY_LOW, 0, 100000, {}, {"memory.low"}},
    {"io_weight", LLAMUX_ACTION_IO_WEIGHT, 100, 50, {{"io.weight", "default 100"}}, {"io.weight"}},
    {"swappiness", LLAMUX_ACTION_SWAPPINESS, 60, 100, {{"vm/swappiness", "60"}}, {"vm/swappiness"}},
    {"watermark",
     LLAMUX_ACTION_WATERMARK_SCALE,
     10,
     50,
     {{"vm/watermark_scale_factor", "10"}},
     {"vm/watermark_scale_factor"}},
    {"dirty_ratios",
     LLAMUX_ACTION_DIRTY_RATIO,
     20,
     10,
     {{"vm/dirty_background_ratio", "10"}, {"vm/dirty_ratio", "20"}},
     kDirtyFiles},
    {"dirty_mixed",
     LLAMUX_ACTION_DIRTY_RATIO,
     20,
     10,
     {{"vm/dirty_background_bytes", "4194304"}, {"vm/dirty_ratio", "20"}},
     kDirtyFiles},
};

std::string trial_name(const Trial& trial) {
    return trial.name;
}

class RealKnobs : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        if (is_systemd_here()) {
            ASSERT_TRUE(replace_file("/run/systemd/system/llamux-agent-test.service", kUnit));
            run("systemctl daemon-reload");
        }
        make_group();
    }
    static void TearDownTestSuite() { remove_group(); }

    RealKnobs() {
        roots.state = power_cut_folder() ? std::filesystem::path(power_cut_folder())
                                         : std::filesystem::temp_directory_path() /
                                               ("llamux-agent-test-" + std::to_string(::getpid()));
        for (const std::string& file : kDirtyFiles) {
            saved.push_back({file, *proc.sysctl(file)});
        }
        for (const char* file : {"vm/swappiness", "vm/watermark_scale_factor"}) {
            saved.push_back({file, *proc.sysctl(file)});
        }
    }
    ~RealKnobs() override {
        for (const Setting& setting : saved) {
            if (setting.value != "0") {  // the twin in force
                EXPECT_TRUE(proc.write_sysctl(setting.file, setting.value));
            }
        }
        std::filesystem::remove_all(roots.state);
    }

    KnobTarget target_of(const Trial& trial) const {
        const bool is_group = action_row(trial.kind)->scope == LLAMUX_SCOPE_CGROUP;
        return is_group ? KnobTarget{trial.kind, kGroup, group().id()}
                        : KnobTarget{trial.kind, "", 0};
    }
    Cgroup group() const {
        Result<Cgroup> opened = cgroups.open(kGroup, 0);
        EXPECT_TRUE(opened) << opened.error().message;
        return std::move(*opened);
    }
    std::string read(const std::string& file) const {
        const Result<std::string> text =
            file.starts_with("vm/") ? proc.sysctl(file) : group().read(file);
        return text ? *text : text.error().message;
    }
    std::string state_of(const Trial& trial) const {
        std::string all;
        for (const std::string& file : trial.watched) {
            all += file + "=" + read(file) + "; ";
        }
        const Result<Settings> settings = knobs.read(target_of(trial));
        for (const Setting& setting : settings ? *settings : Settings{}) {
            if (setting.unit) {
                all += std::to_string(setting.unit->value) +
                       (setting.unit->at_run_time ? " until the next boot; " : "; ");
            }
        }
        return all;
    }
    // Of a unit: as if its own file said so.
    void set_scene(const Trial& trial) const {
        Settings scene = trial.scene;
        for (Setting& setting : scene) {
            if (unit_property(setting.file)) {
                setting.unit = UnitValue{*unit_value(setting), false};
            }
        }
        const Status written = knobs.write(target_of(trial), scene);
        ASSERT_TRUE(written) << written.error().message;
    }

    Result<Action> action_of(const Trial& trial) const {
        const KnobTarget target = target_of(trial);
        Candidate candidate;
        candidate.kind = trial.kind;
        candidate.cgroup_path = target.cgroup_path;
        candidate.cgroup_id = target.cgroup_id;
        candidate.value_old = trial.value_old;
        candidate.value_new = trial.value_new;
        candidate.direction = trial.value_new < trial.value_old ? LLAMUX_LOWER : LLAMUX_RAISE;
        auto snapshot = std::make_unique<llamux_snapshot>();
        std::memset(snapshot.get(), 0, sizeof(*snapshot));
        snapshot->window_ns = kNsPerSecond;
        snapshot->signals.flags = LLAMUX_SIGNAL_IO_WEIGHT_WORKS;
        snapshot->signals.memory_total_bytes = 1024 * kMiB;
        snapshot->n_groups = 1;
        snapshot->groups[0].signals.cgroup_id = target.cgroup_id;
        snapshot->groups[0].signals.memory_current_bytes = 64 * kMiB;
        snapshot->groups[0].signals.cpu_max_period_us = 50000;
        const Result<Settings> present = knobs.read(target);
        if (!present) {
            return present.error();
        }
        const std::vector<Change> changes;
        const PolicyInput input{.snapshot = *snapshot,
                                .present = *present,
                                .keeper = *knobs.keeper(target),
                                .n_siblings = 1,
                                .changes = changes,
                                .holds = {},
                                .journal_damage = {},
                                .boot_id = boot_id(),
                                .now_boot_ns = 1,
                                .by_person = true};
        const Decision decision = Policy(PolicyLimits{}).decide(candidate, Fact{}, input);
        if (const Refusal* refusal = std::get_if<Refusal>(&decision)) {
            return Error{0, refusal->text()};
        }
        return std::get<Action>(decision);
    }

    std::string boot_id() const { return *proc.boot_id(); }
    LockedJournal lock() {
        const Journal journal(roots.state, JournalWriter{boot_id(), proc.this_process()}, clock);
        Result<LockedJournal> locked = journal.lock(LockMode::kExclusive);
        EXPECT_TRUE(locked) << locked.error().message;
        return std::move(*locked);
    }
    std::unique_ptr<CgroupWatch> open_watch() {
        auto opened = std::make_unique<CgroupWatch>(roots.proc, clock);
        const Status status = opened->open();
        EXPECT_TRUE(status) << status.error().message;
        return opened;
    }
    // A process does @work and is killed at @deadly. Did it die there?
    bool dies_at(Step deadly, const std::function<void(const StepListener&)>& work) {
        const pid_t child = ::fork();
        if (child == 0) {
            if (units) {  // a connection is one process's
                units = std::make_unique<SystemdBus>(roots.run);
            }
            watch = open_watch();  // so is this
            knobs = KernelKnobs(cgroups, proc, units.get(), {}, watch.get());
            work([deadly](Step step) {
                if (step == deadly) {
                    die();
                }
            });
            ::_exit(0);
        }
        int status = 0;
        ::waitpid(child, &status, 0);
        return WIFSIGNALED(status);
    }

    Roots roots = Roots::of_this_machine();
    ProcFs proc{roots};
    CgroupFs cgroups{roots.cgroup};
    std::unique_ptr<SystemdBus> units =
        is_systemd_here() ? std::make_unique<SystemdBus>(roots.run) : nullptr;
    SystemClock clock;
    // In every test, so that our own writes could be taken for another's.
    std::unique_ptr<CgroupWatch> watch = open_watch();
    KernelKnobs knobs{cgroups, proc, units.get(), {}, watch.get()};
    Settings saved;
};

class EachKnob : public RealKnobs, public testing::WithParamInterface<Trial> {};

TEST_P(EachKnob, IsWrittenAsAskedAndComesBackExactly) {
    const Trial& trial = GetParam();
    set_scene(trial);
    const std::string before = state_of(trial);
    const Result<Action> action = action_of(trial);
    ASSERT_TRUE(action) << action.error().message;
    LockedJournal journal = lock();
    const Result<Change> written = apply_action(*action, 1, journal, knobs, {});
    ASSERT_TRUE(written) << written.error().message;
    ASSERT_EQ(written->state, EntryType::kWritten) << written->why;
    EXPECT_NE(state_of(trial), before);
    for (const Setting& found : written->found) {
        if (units && unit_property(found.file)) {  // systemd knows, for it was systemd that wrote
            const Setting& wanted = written->plan.new_settings.front();
            EXPECT_EQ(found.unit, (UnitValue{*unit_value(wanted), true})) << found.file;
        }
    }
    const Result<Change> undone = undo_change(written->number, "test", {}, journal, knobs, {});
    ASSERT_TRUE(undone) << undone.error().message;
    EXPECT_EQ(undone->state, EntryType::kUndone) << undone->why;
    EXPECT_EQ(state_of(trial), before);
}

INSTANTIATE_TEST_SUITE_P(Real, EachKnob, testing::ValuesIn(kTrials),
                         [](const auto& test) { return trial_name(test.param); });

class KilledAtEachStep : public RealKnobs,
                         public testing::WithParamInterface<std::tuple<Trial, Step>> {};

TEST_P(KilledAtEachStep, TheKnobIsBackAfterReplay) {
    const auto& [trial, step] = GetParam();
    set_scene(trial);
    const std::string before = state_of(trial);
    const Result<Action> action = action_of(trial);
    ASSERT_TRUE(action) << action.error().message;
    const bool died = dies_at(step, [&](const StepListener& listener) {
        LockedJournal journal = lock();
        const Result<Change> change = apply_action(*action, 1, journal, knobs, listener);
        if (change && may_return(trial.kind)) {
            (void)return_change(change->number, journal, knobs, listener).ok();
            (void)apply_again(change->number, journal, knobs, listener).ok();
        }
        listener(Step::kJudged);
        if (change) {
            (void)undo_change(change->number, "worse", {}, journal, knobs, listener).ok();
        }
    });
    const bool has_middle =
        trial.kind == LLAMUX_ACTION_DIRTY_RATIO || trial.kind == LLAMUX_ACTION_CPU_IDLE;
    const bool is_of_return =
        step == Step::kReturned || step == Step::kReturnRecorded || step == Step::kWrittenAgain;
    EXPECT_EQ(died, (has_middle || step != Step::kPartWritten) &&
                        (may_return(trial.kind) || !is_of_return));
    LockedJournal journal = lock();
    const Accounting accounting = account_for_all(journal, knobs, nobody_lives, {});
    EXPECT_TRUE(accounting.errors.empty()) << accounting.errors.front();
    EXPECT_EQ(state_of(trial), before);
    for (const Change& change : journal.changes()) {
        EXPECT_EQ(change.state, EntryType::kUndone) << change.why;
    }
}

#define LLAMUX_STEP_VALUE(id, word) Step::k##id,
constexpr Step kSteps[] = {LLAMUX_STEPS(LLAMUX_STEP_VALUE)};
#undef LLAMUX_STEP_VALUE

INSTANTIATE_TEST_SUITE_P(Real, KilledAtEachStep,
                         testing::Combine(testing::ValuesIn(kTrials), testing::ValuesIn(kSteps)),
                         [](const auto& test) {
                             std::string step(step_word(std::get<1>(test.param)));
                             std::replace(step.begin(), step.end(), '-', '_');
                             return trial_name(std::get<0>(test.param)) + "_" + step;
                         });

TEST_F(RealKnobs, ReclaimIsDoneAndAccountedForAsIrrevocable) {
    const Trial trial{"reclaim", LLAMUX_ACTION_MEMORY_RECLAIM, 0, kMiB, {}, {}};
    const Result<Action> action = action_of(trial);
    ASSERT_TRUE(action) << action.error().message;
    LockedJournal journal = lock();
    const Result<Change> change = apply_action(*action, 1, journal, knobs, {});
    ASSERT_TRUE(change) << change.error().message;
    EXPECT_EQ(change->state, EntryType::kWritten) << change->why;
    EXPECT_EQ(undo_change(change->number, "test", {}, journal, knobs, {})->state, EntryType::kGone);
}

TEST_F(RealKnobs, AGroupMadeAnewIsAnotherGroup) {
    set_scene(kTrials[0]);
    const Result<Action> action = action_of(kTrials[0]);
    ASSERT_TRUE(action);
    remove_group();
    make_group();
    LockedJournal journal = lock();
    const Result<Change> change = apply_action(*action, 1, journal, knobs, {});
    ASSERT_TRUE(change) << change.error().message;
    EXPECT_EQ(change->state, EntryType::kGone);
    EXPECT_EQ(read("cpu.weight"), "100");
}

TEST_F(RealKnobs, AnOpenGroupThatIsRemovedFailsCleanly) {
    const Cgroup open = group();
    remove_group();
    const Result<std::string> text = open.read("cpu.weight");
    ASSERT_FALSE(text);
    EXPECT_TRUE(means_gone(text.error())) << text.error().message;
    make_group();
}

// ---- who writes -------------------------------------------------------------

class RealWatch : public RealKnobs {
  protected:
    // Another process writes the value that is there. Which one?
    pid_t another_writes() const {
        const pid_t child = ::fork();
        if (child == 0) {
            ::_exit(group().write("cpu.weight", read("cpu.weight")) ? 0 : 1);
        }
        int status = -1;
        EXPECT_EQ(::waitpid(child, &status, 0), child);
        EXPECT_EQ(status, 0);
        return child;
    }
    Result<Change> change_weight(LockedJournal& journal) const {
        set_scene(kTrials[0]);
        const Result<Action> action = action_of(kTrials[0]);
        return action ? apply_action(*action, 1, journal, knobs, {}) : action.error();
    }
    const KnobTarget target = target_of(kTrials[0]);
};

TEST_F(RealWatch, WhoWritesOurValueToAChangedFileHasIt) {
    LockedJournal journal = lock();
    const Result<Change> change = change_weight(journal);
    ASSERT_TRUE(change) << change.error().message;
    ASSERT_FALSE(someone_elses(*change, journal, knobs)) << "it was us";
    const pid_t pid = another_writes();
    EXPECT_EQ(knobs.last_writing_of_any()->pid, pid);
    const Result<Change> left = undo_change(change->number, "test", {}, journal, knobs, {});
    ASSERT_TRUE(left) << left.error().message;
    EXPECT_EQ(left->state, EntryType::kFrozen);
    EXPECT_EQ(left->by, "a program that has ended (pid " + std::to_string(pid) + ")");
    EXPECT_EQ(read("cpu.weight"), "50");
}

TEST_F(RealWatch, AKeptChangeIsGivenUpToWhoWritesIt) {
    LockedJournal journal = lock();
    const Result<Change> change = change_weight(journal);
    ASSERT_TRUE(change) << change.error().message;
    ASSERT_TRUE(keep_change(change->number, "better", {}, journal, {}));
    EXPECT_EQ(account_for_all(journal, knobs, nobody_lives, {}).still_kept.size(), 1u);
    another_writes();
    const Accounting accounting = account_for_all(journal, knobs, nobody_lives, {});
    ASSERT_EQ(accounting.closed.size(), 1u);
    EXPECT_EQ(accounting.closed[0].state, EntryType::kFrozen);
}

TEST_F(RealWatch, WhoWroteBeforeTheChangeHasNothing) {
    ASSERT_FALSE(knobs.last_writing(target)) << "watched from now on";
    another_writes();
    LockedJournal journal = lock();
    const Result<Change> change = change_weight(journal);
    ASSERT_TRUE(change) << change.error().message;
    EXPECT_EQ(undo_change(change->number, "test", {}, journal, knobs, {})->state,
              EntryType::kUndone);
}

// The event of a group that is gone can not be read; those after it can.
TEST_F(RealWatch, AGroupThatVanishesHidesNobody) {
    ASSERT_FALSE(knobs.last_writing(target));
    another_writes();
    remove_group();
    make_group();
    const KnobTarget anew = target_of(kTrials[0]);
    ASSERT_FALSE(knobs.last_writing(anew)) << "another group";
    const pid_t pid = another_writes();
    EXPECT_EQ(knobs.last_writing(anew)->pid, pid);
}

TEST_F(RealWatch, AQueueThatOverflowsHidesNobodyLater) {
    constexpr const char* kLength = "/proc/sys/fs/fanotify/max_queued_events";
    const std::string was = *read_text(kLength);
    std::ofstream(kLength) << 1 << std::endl;
    watch = open_watch();
    std::ofstream(kLength) << was << std::endl;
    knobs = KernelKnobs(cgroups, proc, units.get(), {}, watch.get());
    ASSERT_FALSE(knobs.last_writing(target));
    const pid_t first = another_writes();
    another_writes();
    EXPECT_EQ(knobs.last_writing(target)->pid, first) << "the other one did not fit";
    const pid_t third = another_writes();
    EXPECT_EQ(knobs.last_writing(target)->pid, third);
}

// ---- the whole agent --------------------------------------------------------

class WholeAgent : public RealKnobs, public testing::WithParamInterface<Step> {
  protected:
    WholeAgent() {
        EXPECT_TRUE(group().write("cgroup.subtree_control", "+cpu"));
        std::filesystem::create_directory(roots.cgroup + kGroup + "/web");
        std::filesystem::create_directory(roots.cgroup + kGroup + "/hog");
        config.policy.apply = true;
        config.interval_ms = 1;
        config.measure = {.windows = 3, .window_ms = 1, .settle_ms = 1};
        hog_id = cgroups.open(hog(), 0)->id();
        kernel.advice = [this](llamux_advice& answer) {
            answer.n_facts = 1;
            answer.facts[0].cause = LLAMUX_CAUSE_CPU_CONTENTION;
            answer.facts[0].victim_id = cgroups.open(std::string(kGroup) + "/web", 0)->id();
            answer.facts[0].culprit_id = hog_id;
            answer.n_candidates = 2;
            answer.candidates[0].kind = LLAMUX_ACTION_CPU_WEIGHT;
            answer.candidates[0].direction = LLAMUX_LOWER;
            answer.candidates[0].cgroup_id = hog_id;
            answer.candidates[0].value_old = 100;
            answer.candidates[0].value_new = 50;
        };
        // What helps is given back for a while and written again.
        kernel.window = [this](llamux_snapshot& snapshot) {
            for (llamux_group_snapshot& group : snapshot.groups) {
                group.signals.psi = {};
                group.signals.psi.cpu.some_us =
                    group.signals.cgroup_id != hog_id && weight() == "100" ? 400'000 : 0;
            }
        };
    }
    ~WholeAgent() override {
        std::filesystem::remove(roots.cgroup + kGroup + "/web");
        std::filesystem::remove(roots.cgroup + kGroup + "/hog");
    }
    static std::string hog() { return std::string(kGroup) + "/hog"; }
    std::string weight() const {
        const Result<std::string> text = cgroups.open(hog(), 0)->read("cpu.weight");
        return text ? *text : text.error().message;
    }

    // From start to clean stop, by a clock on which a slow host is not late.
    void live(const StepListener& listener) {
        FakeClock ticks;
        Sense sense(cgroups, proc, {});
        const Journal journal(roots.state, JournalWriter{boot_id(), proc.this_process()}, ticks);
        const SuggestionStore store(roots.state);
        const ExperienceFile experience(roots.state);
        Loop loop(
            LoopParts{.sense = [&sense] { return sense.read(); },
                      .knobs = knobs,
                      .journal = journal,
                      .store = store,
                      .experience = experience,
                      .clock = ticks,
                      .open_device = [this]() -> Result<std::unique_ptr<Device>> {
                          return std::unique_ptr<Device>(std::make_unique<FakeDevice>(kernel));
                      },
                      .is_alive = [this](const Owner& owner) { return proc.is_alive(owner); },
                      .listener = listener},
            config);
        (void)loop.start();
        for (int i = 0; i < 30; i++) {
            ticks.advance_ms(static_cast<std::uint64_t>(loop.tick().next.count()) + 1);
        }
        (void)loop.stop();
    }

    Config config;
    FakeKernel kernel;
    std::uint64_t hog_id = 0;
};

TEST_P(WholeAgent, KilledAtAnyStepIsMadeGoodByTheNextOne) {
    const Step step = GetParam();
    const bool died = dies_at(step, [this](const StepListener& listener) { live(listener); });
    EXPECT_EQ(died, step != Step::kPartWritten && step != Step::kJudged) << step_word(step);
    // The next agent, whose advice is to do nothing.
    kernel.advice = [](llamux_advice&) {};
    live({});
    EXPECT_EQ(weight(), "100");
    const LockedJournal journal = lock();
    EXPECT_TRUE(journal.damage().empty());
    for (const Change& change : journal.changes()) {
        EXPECT_FALSE(change.in_force()) << change.why;
        EXPECT_EQ(change.state, EntryType::kUndone) << change.why;
    }
}

INSTANTIATE_TEST_SUITE_P(Real, WholeAgent, testing::ValuesIn(kSteps), [](const auto& test) {
    std::string step(step_word(test.param));
    std::replace(step.begin(), step.end(), '-', '_');
    return step;
});

}  // namespace
}  // namespace llamux
