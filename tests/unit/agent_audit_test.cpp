// SPDX-License-Identifier: GPL-2.0-only
//
// Catches: an audit log that fills the disk, loses or mixes lines when it is
// rotated or written by several processes at once; an entry of systemd's journal
// that can not be asked for by knob, change or verdict.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <fstream>
#include <map>

#include "audit.hpp"
#include "kernel/audit_log.hpp"
#include "support/fake_machine.hpp"

namespace llamux {
namespace {

class AuditTest : public testing::Test {
  protected:
    std::string path(int age) const {
        return machine.roots.state + "/audit.jsonl" + (age == 0 ? "" : "." + std::to_string(age));
    }
    // Numbers of the records, oldest first.
    std::vector<int> numbers() const {
        std::vector<int> all;
        for (int age = AuditLog::kOldFiles; age >= 0; age--) {
            std::ifstream file(path(age));
            for (std::string line; std::getline(file, line);) {
                const Result<Json> json = parse_json(line);
                EXPECT_TRUE(json) << line.substr(0, 80);
                all.push_back(json ? (*json)["n"].get<int>() : -1);
            }
        }
        return all;
    }

    FakeMachine machine;
    AuditLog log{machine.roots.state};
};

TEST_F(AuditTest, IsForRootOnly) {
    ASSERT_TRUE(log.append({{"n", 1}}));
    struct stat attributes {};
    ASSERT_EQ(::stat(path(0).c_str(), &attributes), 0);
    EXPECT_EQ(attributes.st_mode & 0777, 0600u);
}

TEST_F(AuditTest, IsRotatedAndKeepsTheNewest) {
    const std::string filling(100'000, 'x');
    constexpr int kRecords = 100;  // twice what is kept
    for (int i = 0; i < kRecords; i++) {
        ASSERT_TRUE(log.append({{"n", i}, {"filling", filling}}));
    }
    const std::vector<int> kept = numbers();
    ASSERT_FALSE(kept.empty());
    EXPECT_GE(kept.size(), 41u) << "four full files and the newest";
    for (std::size_t i = 0; i < kept.size(); i++) {
        EXPECT_EQ(kept[i], kRecords - static_cast<int>(kept.size() - i));
    }
    for (int age = 0; age <= AuditLog::kOldFiles; age++) {
        EXPECT_LE(std::filesystem::file_size(path(age)), AuditLog::kMaxBytes);
    }
    EXPECT_FALSE(std::filesystem::exists(path(AuditLog::kOldFiles + 1)));
}

TEST_F(AuditTest, ARecordLargerThanAFileIsWrittenAllTheSame) {
    ASSERT_TRUE(log.append({{"n", 0}}));
    ASSERT_TRUE(log.append({{"n", 1}, {"filling", std::string(AuditLog::kMaxBytes, 'x')}}));
    ASSERT_TRUE(log.append({{"n", 2}}));
    EXPECT_EQ(numbers(), (std::vector<int>{0, 1, 2}));
}

TEST_F(AuditTest, ProcessesDoNotLoseEachOthersLines) {
    constexpr int kProcesses = 4;
    constexpr int kEach = 40;  // 160 of 20 kB: three rotations
    const std::string filling(20'000, 'x');
    for (int child = 0; child < kProcesses; child++) {
        if (::fork() == 0) {
            bool good = true;
            for (int i = 0; i < kEach; i++) {
                good = good && log.append({{"n", child * kEach + i}, {"filling", filling}}).ok();
            }
            ::_exit(good ? 0 : 1);
        }
    }
    for (int child = 0; child < kProcesses; child++) {
        int status = -1;
        ASSERT_GT(::wait(&status), 0);
        EXPECT_EQ(status, 0);
    }
    std::vector<int> all = numbers();
    std::sort(all.begin(), all.end());
    ASSERT_EQ(all.size(), static_cast<std::size_t>(kProcesses * kEach));
    for (std::size_t i = 0; i < all.size(); i++) {
        EXPECT_EQ(all[i], static_cast<int>(i));
    }
}

std::map<std::string, std::string> fields_of(const Event& event) {
    std::map<std::string, std::string> fields;
    for (const JournalField& field : journal_fields(event)) {
        fields[field.name] = field.value;
    }
    return fields;
}

TEST(JournalFields, SayWhatBecameOfWhichKnob) {
    Change change;
    change.number = 7;
    change.state = EntryType::kKept;
    change.plan.id = "5a92d99f4464";
    change.plan.target = {LLAMUX_ACTION_CPU_WEIGHT, "/batch.slice", 30};
    change.plan.value_old = 100;
    change.plan.value_new = 50;
    change.effect = Effect{};
    change.effect->verdict = Verdict::kImproved;
    const std::map<std::string, std::string> expected = {{"LLAMUX_EVENT", "kept"},
                                                         {"LLAMUX_CHANGE", "7"},
                                                         {"LLAMUX_KNOB", "cpu.weight"},
                                                         {"LLAMUX_SUGGESTION", "5a92d99f4464"},
                                                         {"LLAMUX_CGROUP", "/batch.slice"},
                                                         {"LLAMUX_OLD", "100"},
                                                         {"LLAMUX_NEW", "50"},
                                                         {"LLAMUX_VERDICT", "improved"}};
    EXPECT_EQ(fields_of(event_of(change)), expected);
}

TEST(JournalFields, OnlyWhatTheEventHas) {
    Event refused = make_event(EventType::kRefused, "x");
    refused.refusal = Refusal{RefusalReason::kCoolDown, "60 s"};
    const std::map<std::string, std::string> expected = {
        {"LLAMUX_EVENT", "refused"},
        {"LLAMUX_REFUSAL", std::string(refusal_name(RefusalReason::kCoolDown))}};
    EXPECT_EQ(fields_of(refused), expected);
}

}  // namespace
}  // namespace llamux
