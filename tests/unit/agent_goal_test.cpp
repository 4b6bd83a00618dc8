// SPDX-License-Identifier: GPL-2.0-only
//
// Catches: a goal that is guessed, a profile that goes further than a change
// may, a change that outlives the program it was made for, a service that
// turns what a goal holds. The whole command runs, on a machine of files.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.hpp"
#include "goal/choose.hpp"
#include "kernel/goal_files.hpp"
#include "rollback/rollback.hpp"
#include "support/fake_device.hpp"
#include "support/fake_machine.hpp"
#include "validate/policy.hpp"

namespace llamux {
namespace {

class GoalTest : public testing::Test {
  protected:
    GoalTest() {
        machine.write("agent.json", "{}");
        const std::string self = std::to_string(::getpid());
        machine.write("proc/" + self + "/stat", FakeMachine::stat_line(7));
        machine.write("proc/" + self + "/cgroup", "0::/app.scope");
        machine.add_group("/app.scope");
        machine.add_group("/other.scope");
        profile("gaming", R"(["game", "play"])",
                R"({"knob": "cpu.weight", "of": "client", "value": 400},
                   {"knob": "vm.swappiness", "value": 10}, // far
                   {"knob": "vm.dirty_ratio", "value": 20})");
        profile("battery", R"(["power"])", R"({"knob": "vm.swappiness", "value": 40})");
        profile("default", R"(["normal"])", "");
    }

    void profile(const std::string& name, const std::string& words, const std::string& knobs) {
        machine.write("share/goals/" + name + ".json",
                      "// a comment\n{\"name\": \"" + name + "\", \"title\": \"for " + name +
                          "\", \"phrase\": \"" + name + " phrase\", \"words\": " + words +
                          ", \"knobs\": [" + knobs + "]}");
    }

    int run(std::vector<std::string> words) {
        words.insert(words.begin(), "llamux-agent");
        std::vector<char*> argv;
        for (std::string& word : words) {
            argv.push_back(word.data());
        }
        testing::internal::CaptureStdout();
        testing::internal::CaptureStderr();
        const int status =
            run_command_line(static_cast<int>(argv.size()), argv.data(), machine.roots);
        said = testing::internal::GetCapturedStdout() + testing::internal::GetCapturedStderr();
        return status;
    }
    std::vector<Change> changes() { return machine.journal().lock(LockMode::kShared)->changes(); }
    std::vector<GoalProfile> profiles() {
        return *read_goal_profiles(machine.roots.data + "/goals");
    }

    FakeMachine machine;
    std::string said;
};

TEST_F(GoalTest, IsAppliedShownAndTakenBack) {
    ASSERT_EQ(run({"goal", "--yes", "optimize", "for", "my", "game"}), 0) << said;
    EXPECT_NE(said.find("Goal: gaming"), std::string::npos) << said;
    EXPECT_NE(said.find("chosen by the words: without the module"), std::string::npos) << said;
    EXPECT_NE(said.find("- vm.swappiness: 60\n"), std::string::npos) << said;
    EXPECT_NE(said.find("+ vm.swappiness: 30\n"), std::string::npos) << "one step" << said;
    EXPECT_NE(said.find("cpu.weight: needs --while PID or -- COMMAND"), std::string::npos) << said;
    EXPECT_NE(said.find("vm.dirty_ratio: is so already"), std::string::npos) << said;
    EXPECT_EQ(machine.sysctl("vm/swappiness"), "30");
    ASSERT_EQ(changes().size(), 1u);
    EXPECT_TRUE(changes()[0].kept());
    EXPECT_EQ(changes()[0].plan.goal, "gaming");
    ASSERT_EQ(run({"goal", "back to normal", "--yes"}), 0) << said;
    EXPECT_EQ(machine.sysctl("vm/swappiness"), "60");
    EXPECT_EQ(changes()[0].why, "another goal");
}

TEST_F(GoalTest, NothingIsDoneUnasked) {
    EXPECT_EQ(run({"goal", "gaming", "--dry-run"}), 0) << said;
    EXPECT_NE(said.find("+ vm.swappiness: 30"), std::string::npos);
    EXPECT_EQ(run({"goal", "gaming", "--json"}), 1) << said;
    EXPECT_NE(said.find("\"applied\":false"), std::string::npos) << said;
    EXPECT_EQ(machine.sysctl("vm/swappiness"), "60");
    EXPECT_TRUE(changes().empty());
}

TEST_F(GoalTest, TheNextGoalReplacesTheOneBefore) {
    ASSERT_EQ(run({"goal", "gaming", "--yes"}), 0) << said;
    ASSERT_EQ(run({"goal", "battery", "--yes"}), 0) << said;
    // From 60 again, not from 30.
    EXPECT_EQ(machine.sysctl("vm/swappiness"), "40") << said;
    EXPECT_EQ(run({"rollback", "--all"}), 0) << said;
    EXPECT_EQ(machine.sysctl("vm/swappiness"), "60");
}

TEST_F(GoalTest, LastsAsLongAsItsProgram) {
    const std::string seen = machine.directory() + "/seen";
    // The program sees the goal in force, and its own status is ours.
    const std::string script = "cat " + machine.directory() + "/proc/sys/vm/swappiness " +
                               machine.directory() + "/cgroup/app.scope/cpu.weight >" + seen +
                               "; exit 7";
    machine.write("proc/self/cgroup", "0::/app.scope");
    EXPECT_EQ(run({"goal", "gaming", "--yes", "--", "sh", "-c", script}), 7) << said;
    EXPECT_EQ(machine.read("seen"), "30200");
    EXPECT_EQ(machine.sysctl("vm/swappiness"), "60");
    EXPECT_EQ(machine.group_file("/app.scope", "cpu.weight"), "100");
    for (const Change& change : changes()) {
        EXPECT_EQ(change.state, EntryType::kUndone);
        EXPECT_EQ(change.why, "its program has ended");
    }
    EXPECT_EQ(run({"goal", "gaming", "--yes", "--", "/no/such/program"}), 127) << said;
    EXPECT_EQ(machine.sysctl("vm/swappiness"), "60");
}

TEST_F(GoalTest, LastsAsLongAsItsClient) {
    const pid_t child = ::fork();
    if (child == 0) {
        ::pause();
        ::_exit(0);
    }
    const std::string process = "proc/" + std::to_string(child);
    machine.write(process + "/stat", FakeMachine::stat_line(9));
    machine.write(process + "/cgroup", "0::/other.scope");
    const pid_t command = ::fork();
    if (command == 0) {
        ::_exit(run({"goal", "gaming", "--yes", "--while", std::to_string(child)}));
    }
    while (machine.group_file("/other.scope", "cpu.weight") != "200") {
        ASSERT_EQ(::waitpid(command, nullptr, WNOHANG), 0) << "it does not wait";
        ::usleep(1000);
    }
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    int status = 0;
    ::waitpid(command, &status, 0);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(machine.group_file("/other.scope", "cpu.weight"), "100");
    EXPECT_EQ(machine.sysctl("vm/swappiness"), "60");
}

// The command itself may be killed: whoever accounts next takes it back.
TEST_F(GoalTest, OutlivesNobodyWhenItsCommandWasKilled) {
    ASSERT_EQ(run({"goal", "gaming", "--yes"}), 0) << said;
    const KernelKnobs knobs = machine.knobs();
    {
        Result<LockedJournal> journal = machine.journal().lock(LockMode::kExclusive);
        const auto is_alive = [](const Owner&) { return false; };
        EXPECT_EQ(account_for_all(*journal, knobs, is_alive, {}).still_kept.size(), 1u)
            << "without a client it stays";
        ASSERT_TRUE(undo_change(1, "asked", {}, *journal, knobs, {}));
        machine.set_sysctl("vm/swappiness", "30");
        Entry planned;
        planned.type = EntryType::kPlanned;
        planned.plan = journal->changes()[0].plan;
        planned.plan->client = Owner{4711, 3};
        const Result<Entry> entry = journal->append(std::move(planned));
        ASSERT_TRUE(entry);
        ASSERT_TRUE(keep_change(entry->seq, "for a goal", {}, *journal, {}));
    }
    Result<LockedJournal> journal = machine.journal().lock(LockMode::kExclusive);
    ASSERT_EQ(journal->changes()[1].plan.client, (Owner{4711, 3})) << "also from the file";
    const auto client_has_ended = [](const Owner& owner) { return owner.pid != 4711; };
    const Accounting accounting = account_for_all(*journal, knobs, client_has_ended, {});
    ASSERT_EQ(accounting.closed.size(), 1u);
    EXPECT_EQ(accounting.closed[0].why, "its client has ended");
    EXPECT_EQ(machine.sysctl("vm/swappiness"), "60");
}

TEST_F(GoalTest, WhatIsFrozenIsLeft) {
    ASSERT_EQ(run({"freeze", "vm.swappiness"}), 0) << said;
    EXPECT_EQ(run({"goal", "gaming", "--yes"}), 0) << said;
    EXPECT_NE(said.find("left: vm.swappiness: this knob is left alone"), std::string::npos) << said;
    EXPECT_EQ(machine.sysctl("vm/swappiness"), "60");
}

TEST_F(GoalTest, TheServiceLeavesItsKnobsAlone) {
    ASSERT_EQ(run({"goal", "gaming", "--yes"}), 0) << said;
    const Result<LockedJournal> journal = machine.journal().lock(LockMode::kShared);
    const std::vector<Hold> holds = holds_of(journal->entries(), journal->changes(), "boot-1", 3);
    ASSERT_EQ(holds.size(), 1u);
    EXPECT_EQ(holds[0].reason, HoldReason::kGoal);
    EXPECT_EQ(holds[0].by, "gaming");
}

TEST_F(GoalTest, ProfilesAreCheckedByFile) {
    const auto mistake = [&](const std::string& knobs) {
        profile("gaming", "[]", knobs);
        const auto read = read_goal_profiles(machine.roots.data + "/goals");
        return read ? "none" : read.error().message;
    };
    for (const auto& [knobs, error] : std::vector<std::pair<std::string, std::string>>{
             {R"({"knob": "vm.drop_caches", "value": 3})", "not a knob a goal can hold"},
             {R"({"knob": "memory.reclaim", "of": "client", "value": 1})", "not a knob a goal"},
             {R"({"knob": "vm.swappiness", "value": 200})", "must be from 10 to 180"},
             {R"({"knob": "vm.swappiness", "of": "client", "value": 60})", "has no group"},
             {R"({"knob": "cpu.weight", "value": 60})", "needs \"of\""},
             {R"({"knob": "cpu.weight", "of": "all", "value": 60})", "needs \"of\""},
             {R"({"knob": "vm.swappiness", "valeu": 60})", "value is missing"},
             {R"({"knob": "vm.swappiness", "value": 60, "x": 1})", "x is not a field"},
             {"7", "not an object"}}) {
        EXPECT_NE(mistake(knobs).find(error), std::string::npos) << knobs << ": " << mistake(knobs);
        EXPECT_NE(mistake(knobs).find("gaming.json: "), std::string::npos);
    }
    machine.write("share/goals/gaming.json", "{");
    EXPECT_EQ(run({"goal", "battery", "--yes"}), 1) << said;
    EXPECT_NE(said.find("gaming.json: not JSON"), std::string::npos) << said;
}

// ---- which goal is meant ---------------------------------------------------

TEST_F(GoalTest, WordsNameOneGoalOrNone) {
    const auto chosen = [&](const std::string& text) {
        const Result<GoalChoice> choice = choose_goal(text, profiles(), nullptr);
        return choice ? profiles()[choice->profile].name : choice.error().message;
    };
    EXPECT_EQ(chosen("gaming"), "gaming");
    EXPECT_EQ(chosen("Let me PLAY, please!"), "gaming");
    EXPECT_EQ(chosen("more power"), "battery");
    EXPECT_EQ(chosen("display"),
              "it is not clear which goal is meant; say one of: battery, "
              "default, gaming")
        << "a part of a word is no word";
    EXPECT_EQ(chosen("game power").find("it is not clear"), 0u) << "both are named";
    EXPECT_EQ(chosen("").find("it is not clear"), 0u);
    EXPECT_EQ(run({"goal", "do something"}), 2) << said;
}

TEST_F(GoalTest, TheModelRanksByWhatTheTextAdds) {
    FakeKernel kernel;
    FakeDevice device(kernel);
    kernel.model_format = "zephyr";
    std::string prompt;
    // It prefers battery whatever is asked; the text is for gaming.
    kernel.score = [&](std::string_view text, const std::string& phrase) {
        prompt = text;
        const bool is_asked = text.find("fun") != std::string_view::npos;
        const std::int64_t base = phrase == " battery phrase" ? -1'000'000 : -4'000'000;
        return PhraseScore{base + (is_asked && phrase == " gaming phrase" ? 1'000'000 : 0), 2};
    };
    Result<GoalChoice> choice = choose_goal("fun\n\"now\" power", profiles(), &device);
    ASSERT_TRUE(choice) << choice.error().message;
    EXPECT_EQ(choice->by, GoalBy::kModel);
    EXPECT_EQ(profiles()[choice->profile].name, "gaming");
    EXPECT_GT(choice->probability_permille[choice->profile], 900u);
    EXPECT_NE(prompt.find("\"fun  now  power\""), std::string::npos) << prompt;
    // Not sure: words, and it says so.
    choice = choose_goal("more power", profiles(), &device);
    ASSERT_TRUE(choice);
    EXPECT_EQ(choice->by, GoalBy::kWords);
    EXPECT_EQ(choice->note, "the model is not sure; by plain words");
    kernel.model_format = "pilot";
    choice = choose_goal("fun with power", profiles(), &device);
    ASSERT_TRUE(choice);
    EXPECT_EQ(profiles()[choice->profile].name, "battery");
    EXPECT_NE(choice->note.find("trained for another task"), std::string::npos);
}

TEST(OneStep, IsNeverFurtherThanThePolicyAllows) {
    for (const llamux_action_kind kind :
         {LLAMUX_ACTION_SWAPPINESS, LLAMUX_ACTION_CPU_WEIGHT, LLAMUX_ACTION_WATERMARK_SCALE}) {
        const ActionRow& row = *action_row(kind);
        for (std::uint64_t old = row.min; old <= row.max; old++) {
            for (const std::uint64_t wanted : {row.min, (row.min + row.max) / 2, row.max}) {
                const std::uint64_t value = one_step(row, old, wanted);
                const std::uint64_t factor = 1000 + row.step_permille;
                EXPECT_LE(value * 1000, old * factor);
                EXPECT_GE(value * factor, old * 1000);
                EXPECT_TRUE(value == wanted || (value != old) || old == wanted);
            }
        }
    }
}

}  // namespace
}  // namespace llamux
