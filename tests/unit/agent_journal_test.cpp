// SPDX-License-Identifier: GPL-2.0-only
//
// Catches: entries lost or invented when the file is torn, damaged, shortened
// or the disk is full, and two writers at once.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>

#include "core/hold.hpp"
#include "kernel/journal.hpp"
#include "kernel/suggestion_store.hpp"
#include "support/fake_machine.hpp"

namespace llamux {
namespace {

Entry planned_entry(const std::string& path = "/demo/hog") {
    Entry entry;
    entry.type = EntryType::kPlanned;
    entry.why = "another group takes the cpu";
    entry.deadline_boot_ns = 77;
    Plan plan;
    plan.id = "0123456789ab";
    plan.target = {LLAMUX_ACTION_CPU_WEIGHT, path, 42};
    plan.direction = LLAMUX_LOWER;
    plan.value_old = 100;
    plan.value_new = 50;
    plan.old_settings = {{"cpu.weight", "100"}};
    plan.new_settings = {{"cpu.weight", "50"}};
    plan.fact.cause = LLAMUX_CAUSE_CPU_CONTENTION;
    plan.fact.level = 2;
    plan.fact.victim_path = "/demo/web";
    plan.fact.evidence = {{LLAMUX_SOURCE_PSI_CPU_SOME_PERMILLE, "/web", 400, LLAMUX_UNKNOWN, 100}};
    entry.plan = plan;
    return entry;
}

Entry follow_up(std::uint64_t change, EntryType type) {
    Entry entry;
    entry.change = change;
    entry.type = type;
    entry.found = {{"cpu.weight", "50"}};
    return entry;
}

class JournalTest : public testing::Test {
  protected:
    std::string path() const { return machine.roots.state + "/journal.jsonl"; }
    std::string text() const {
        std::ifstream file(path());
        return {std::istreambuf_iterator<char>(file), {}};
    }
    void set_text(const std::string& text) const { std::ofstream(path()) << text; }

    LockedJournal lock(LockMode mode = LockMode::kExclusive) {
        Result<LockedJournal> journal = machine.journal().lock(mode);
        EXPECT_TRUE(journal) << journal.error().message;
        return std::move(*journal);
    }
    // A change that was kept: three entries.
    void write_three() {
        LockedJournal journal = lock();
        Entry kept = follow_up(1, EntryType::kKept);
        kept.effect =
            Effect{Verdict::kImproved, Metric::kPsiCpuSome, 7, 400, 100, 390, 80, 5, 5, "x"};
        ASSERT_TRUE(journal.append(planned_entry()));
        ASSERT_TRUE(journal.append(follow_up(1, EntryType::kWritten)));
        ASSERT_TRUE(journal.append(kept));
    }

    FakeMachine machine;
};

TEST_F(JournalTest, WhatWasWrittenIsReadBack) {
    write_three();
    const LockedJournal journal = lock(LockMode::kShared);
    EXPECT_TRUE(journal.damage().empty());
    ASSERT_EQ(journal.entries().size(), 3u);
    ASSERT_EQ(journal.changes().size(), 1u);
    const Change& change = journal.changes()[0];
    EXPECT_EQ(change.state, EntryType::kKept);
    EXPECT_TRUE(change.written);
    EXPECT_EQ(change.boot_id, "boot-1");
    EXPECT_EQ(change.owner, (Owner{1, 1}));
    EXPECT_EQ(change.deadline_boot_ns, 77u);
    EXPECT_EQ(change.plan.target, planned_entry().plan->target);
    EXPECT_EQ(change.plan.old_settings, planned_entry().plan->old_settings);
    EXPECT_EQ(change.plan.fact.cause, LLAMUX_CAUSE_CPU_CONTENTION);
    ASSERT_EQ(change.plan.fact.evidence.size(), 1u);
    EXPECT_EQ(change.plan.fact.evidence[0].cgroup_path, "/web");
    EXPECT_EQ(change.plan.fact.evidence[0].normal, LLAMUX_UNKNOWN);
    ASSERT_TRUE(change.effect);
    EXPECT_EQ(change.effect->metric, Metric::kPsiCpuSome);
    EXPECT_EQ(change.effect->before, 400);
}

TEST_F(JournalTest, IsEmptyBeforeItsFirstUseAndPrivateAfter) {
    EXPECT_TRUE(lock(LockMode::kShared).entries().empty());
    EXPECT_FALSE(path_exists(path()));
    lock();
    struct stat attributes {};
    ASSERT_EQ(::stat(path().c_str(), &attributes), 0);
    EXPECT_EQ(attributes.st_mode & 0777, 0600u);
}

TEST_F(JournalTest, ATornLastLineIsDroppedAtEveryLength) {
    write_three();
    const std::string whole = text();
    const std::size_t last_start = whole.rfind('\n', whole.size() - 2) + 1;
    for (std::size_t length = last_start; length < whole.size(); length++) {
        set_text(whole.substr(0, length));
        LockedJournal journal = lock();
        ASSERT_TRUE(journal.damage().empty()) << length;
        ASSERT_EQ(journal.entries().size(), 2u) << length;
        ASSERT_TRUE(journal.append(follow_up(1, EntryType::kUndone)));
        ASSERT_EQ(journal.changes()[0].state, EntryType::kUndone) << length;
    }
}

TEST_F(JournalTest, ZeroesOfAPowerCutAreATornLine) {
    write_three();
    set_text(text() + std::string(40, '\0') + "\n");
    const LockedJournal journal = lock();
    EXPECT_TRUE(journal.damage().empty());
    EXPECT_EQ(journal.entries().size(), 3u);
}

TEST_F(JournalTest, EveryFlippedByteIsReported) {
    write_three();
    const std::string whole = text();
    for (std::size_t at = 0; at + 1 < whole.size(); at += 7) {
        std::string damaged = whole;
        damaged[at] = damaged[at] == '5' ? '6' : '5';
        set_text(damaged);
        EXPECT_FALSE(lock().damage().empty()) << "byte " << at;
    }
}

TEST_F(JournalTest, AMissingLineIsReported) {
    write_three();
    const std::string whole = text();
    const std::size_t first = whole.find('\n') + 1;
    const std::size_t second = whole.find('\n', first) + 1;
    set_text(whole.substr(0, first) + whole.substr(second));
    EXPECT_EQ(lock().damage().size(), 1u);
    set_text(whole.substr(first));  // its change was never planned
    EXPECT_GE(lock().damage().size(), 1u);
}

TEST_F(JournalTest, DamageDoesNotHideTheRest) {
    write_three();
    std::string damaged = text();
    damaged.insert(damaged.find('\n') + 1, "{\"seq\":9}\n");
    set_text(damaged);
    LockedJournal journal = lock();
    EXPECT_EQ(journal.damage().size(), 1u);
    EXPECT_EQ(journal.entries().size(), 3u);
    EXPECT_TRUE(journal.append(follow_up(1, EntryType::kUndone)));
}

TEST_F(JournalTest, AFullDiskLeavesTheFileAsItWas) {
    write_three();
    const std::string whole = text();
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        LockedJournal journal = lock();
        ::signal(SIGXFSZ, SIG_IGN);
        const rlimit limit{whole.size() + 20, whole.size() + 20};
        ::setrlimit(RLIMIT_FSIZE, &limit);
        const bool refused = !journal.append(follow_up(1, EntryType::kUndone)).ok();
        ::_exit(refused && journal.entries().size() == 3 ? 0 : 1);
    }
    int status = -1;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(text(), whole);
}

TEST_F(JournalTest, AReaderCanNotAppend) {
    write_three();
    LockedJournal journal = lock(LockMode::kShared);
    EXPECT_FALSE(journal.append(follow_up(1, EntryType::kUndone)).ok());
}

TEST_F(JournalTest, NamesThatAreNotUtf8AreSurvived) {
    {
        LockedJournal journal = lock();
        ASSERT_TRUE(journal.append(planned_entry("/demo/\xff\"\n{x")));
    }
    const LockedJournal journal = lock();
    EXPECT_TRUE(journal.damage().empty());
    EXPECT_EQ(journal.changes().size(), 1u);
}

TEST_F(JournalTest, TwoProcessesNeverInterleave) {
    constexpr int kEach = 20;
    std::vector<pid_t> children;
    for (int i = 0; i < 3; i++) {
        const pid_t child = ::fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            for (int n = 0; n < kEach; n++) {
                LockedJournal journal = lock();
                const Result<Entry> entry = journal.append(planned_entry());
                if (!entry || !journal.append(follow_up(entry->seq, EntryType::kUndone))) {
                    ::_exit(1);
                }
            }
            ::_exit(0);
        }
        children.push_back(child);
    }
    for (const pid_t child : children) {
        int status = -1;
        ::waitpid(child, &status, 0);
        EXPECT_EQ(status, 0);
    }
    const LockedJournal journal = lock();
    EXPECT_TRUE(journal.damage().empty());
    EXPECT_EQ(journal.entries().size(), 3u * kEach * 2);
    for (const Change& change : journal.changes()) {
        EXPECT_EQ(change.state, EntryType::kUndone);
        EXPECT_FALSE(change.in_force());
    }
}

TEST(SuggestionStoreTest, KeepsTheNewestAndFindsByPrefix) {
    FakeMachine machine;
    const SuggestionStore store(machine.roots.state);
    EXPECT_TRUE(store.list()->empty());
    for (std::uint64_t i = 0; i < SuggestionStore::kMaxStored + 5; i++) {
        Suggestion suggestion;
        suggestion.id = "aa" + std::to_string(1000 + i);
        suggestion.wall_ns = i;
        suggestion.prompt = "prompt \xff";
        suggestion.candidates = {Candidate{}, Candidate{}};
        suggestion.candidates[1].kind = LLAMUX_ACTION_SWAPPINESS;
        suggestion.candidates[1].value_new = 100;
        suggestion.candidates[1].score = -7;
        suggestion.candidates[1].here = {3, 1, 2};
        suggestion.chosen = 1;
        ASSERT_TRUE(store.save(suggestion));
    }
    const auto stored = store.list();
    ASSERT_TRUE(stored);
    EXPECT_EQ(stored->size(), SuggestionStore::kMaxStored);
    EXPECT_EQ(stored->front().wall_ns, SuggestionStore::kMaxStored + 4);
    EXPECT_EQ(store.load("aa1000").error().code, ENOENT);
    EXPECT_EQ(store.load("aa10").error().code, ENOTUNIQ);
    EXPECT_EQ(store.load("../journal").error().code, ENOENT);
    const Result<Suggestion> one = store.load("aa1068");
    ASSERT_TRUE(one) << one.error().message;
    ASSERT_TRUE(one->change());
    EXPECT_EQ(one->change()->score, -7);
    EXPECT_EQ(one->change()->here, (Outcomes{3, 1, 2}));
    EXPECT_EQ(one->change()->value_new, 100u);
}

// ---- a journal that has grown too long --------------------------------------

class LongJournalTest : public JournalTest {
  protected:
    // A change that came to this end, with much to say about it.
    std::uint64_t add_change(EntryType end, std::size_t bytes = 40'000,
                             std::optional<Effect> effect = {}) {
        LockedJournal journal = lock();
        const Result<Entry> planned = journal.append(planned_entry());
        EXPECT_TRUE(planned);
        EXPECT_TRUE(journal.append(follow_up(planned->seq, EntryType::kWritten)));
        Entry last = follow_up(planned->seq, end);
        last.why = std::string(bytes, 'w');
        last.effect = effect;
        EXPECT_TRUE(journal.append(last));
        return planned->seq;
    }
    void freeze(const std::string& group, EntryType type = EntryType::kKnobFrozen) {
        Entry entry;
        entry.type = type;
        entry.target = KnobTarget{LLAMUX_ACTION_CPU_WEIGHT, group, 0};
        entry.by = "jane";
        ASSERT_TRUE(lock().append(entry));
    }
    void pass_days(std::uint64_t days) { machine.clock.advance_ms(days * 86'400'000); }
    std::vector<std::uint64_t> numbers(LockedJournal journal) {
        EXPECT_TRUE(journal.damage().empty()) << journal.damage().front();
        std::vector<std::uint64_t> numbers;
        for (const Change& change : journal.changes()) {
            numbers.push_back(change.number);
        }
        return numbers;
    }
    std::string old_text() const { return machine.read("state/journal.jsonl.1"); }
};

TEST_F(LongJournalTest, KeepsAllThatStillCounts) {
    const std::uint64_t kept = add_change(EntryType::kKept, 10);
    const std::uint64_t theirs = add_change(EntryType::kFrozen, 10);
    Effect none;
    none.verdict = Verdict::kNoEffect;
    const std::uint64_t failed = add_change(EntryType::kUndone, 10, none);
    freeze("/a");
    freeze("/b");
    freeze("/b", EntryType::kKnobFreed);
    std::uint64_t last = 0;
    for (int i = 0; i < 30; i++) {
        last = add_change(EntryType::kUndone);
    }
    pass_days(2);
    const std::uint64_t last_seq = lock(LockMode::kShared).entries().back().seq;
    const std::string whole = machine.read("state/journal.jsonl");
    ASSERT_GT(whole.size(), std::size_t{1} << 20);

    EXPECT_EQ(numbers(lock()), (std::vector<std::uint64_t>{kept, theirs, failed, last}));
    EXPECT_LT(text().size(), std::size_t{60'000});
    EXPECT_EQ(old_text(), whole) << "nothing is lost";
    std::vector<Hold> holds;
    {
        const LockedJournal after = lock();
        holds = holds_of(after.entries(), after.changes(), "boot-1", 1);
    }
    std::vector<HoldReason> reasons;
    for (const Hold& hold : holds) {
        reasons.push_back(hold.reason);
    }
    EXPECT_EQ(reasons, (std::vector<HoldReason>{HoldReason::kAskedFor, HoldReason::kSomeoneElse,
                                                HoldReason::kQuarantine}));
    // And goes on counting where it was.
    EXPECT_EQ(add_change(EntryType::kUndone, 10), last_seq + 1);
    EXPECT_EQ(numbers(lock()).back(), last_seq + 1);
}

TEST_F(LongJournalTest, IsBoundedOverTheYears) {
    for (int day = 0; day < 80; day++) {
        add_change(EntryType::kUndone);
        pass_days(1);
    }
    EXPECT_LT(text().size(), std::size_t{1'200'000});
    EXPECT_LT(old_text().size(), std::size_t{1'200'000});
    EXPECT_LT(numbers(lock()).size(), 30u);
}

TEST_F(LongJournalTest, WhatIsYoungIsNotShortened) {
    for (int i = 0; i < 40; i++) {
        add_change(EntryType::kUndone);
    }
    EXPECT_EQ(numbers(lock()).size(), 40u) << "the limits of the policy count them";
}

TEST_F(LongJournalTest, ACutOffBeginningIsDamage) {
    add_change(EntryType::kKept, 10);
    for (int i = 0; i < 30; i++) {
        add_change(EntryType::kUndone);
    }
    pass_days(2);
    EXPECT_EQ(numbers(lock()).size(), 2u);
    // One of the carried entries is taken out: the count is not met, so that
    // a number is missing among the others.
    const std::string good = text();
    const std::size_t second = good.find('\n') + 1;
    set_text(good.substr(0, second) + good.substr(good.find('\n', second) + 1));
    EXPECT_FALSE(lock(LockMode::kShared).damage().empty());
    set_text(good.substr(second));
    EXPECT_FALSE(lock(LockMode::kShared).damage().empty()) << "without the first line";
}

TEST_F(LongJournalTest, ADamagedOneIsLeftAsItIs) {
    for (int i = 0; i < 30; i++) {
        add_change(EntryType::kUndone);
    }
    pass_days(2);
    const std::string bad = "{\"by\":\"hand\"}\n" + text();
    set_text(bad);
    EXPECT_FALSE(lock().damage().empty());
    EXPECT_EQ(text(), bad);
}

TEST_F(LongJournalTest, WhereItCanNotBeShortenedItStaysLong) {
    for (int i = 0; i < 30; i++) {
        add_change(EntryType::kUndone);
    }
    pass_days(2);
    // A directory of that name: neither unlinked nor linked over.
    std::filesystem::create_directories(path() + ".1");
    EXPECT_EQ(numbers(lock()).size(), 30u);
    add_change(EntryType::kKept, 10);
    EXPECT_EQ(numbers(lock()).size(), 31u);
}

}  // namespace
}  // namespace llamux
