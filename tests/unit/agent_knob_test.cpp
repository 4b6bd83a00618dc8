// SPDX-License-Identifier: GPL-2.0-only
//
// Catches: a knob whose text is misread, an undo that does not bring back what
// was there (paired files, side effects), and taking someone else's value for
// ours or ours for theirs.
#include <gtest/gtest.h>

#include "core/knob.hpp"
#include "llamux/telemetry.h"

namespace llamux {
namespace {

Settings dirty_texts(const char* bg_ratio, const char* ratio, const char* bg_bytes,
                     const char* bytes) {
    return {{"vm/dirty_background_ratio", bg_ratio},
            {"vm/dirty_ratio", ratio},
            {"vm/dirty_background_bytes", bg_bytes},
            {"vm/dirty_bytes", bytes}};
}

Settings in_force(llamux_action_kind kind, const Settings& texts) {
    Result<Settings> settings = settings_in_force(kind, texts);
    EXPECT_TRUE(settings) << settings.error().message;
    return settings ? *settings : Settings{};
}

TEST(Knob, EveryRowOfTheCatalogueSaysWhichFilesItHas) {
    for (std::uint32_t kind = 1; kind < LLAMUX_N_ACTIONS; kind++) {
        const auto files = knob_files(static_cast<llamux_action_kind>(kind));
        if (kind == LLAMUX_ACTION_MEMORY_RECLAIM) {
            EXPECT_TRUE(files.empty());
        } else {
            EXPECT_FALSE(files.empty()) << action_row(kind)->name;
        }
        EXPECT_EQ(action_row_of_knob(action_row(kind)->knob()), action_row(kind));
    }
}

TEST(Knob, QuotaKeepsItsPeriod) {
    const Settings present = in_force(LLAMUX_ACTION_CPU_MAX, {{"cpu.max", "20000 50000"}});
    EXPECT_EQ(knob_number(LLAMUX_ACTION_CPU_MAX, present), 20000u);
    EXPECT_EQ(settings_for(LLAMUX_ACTION_CPU_MAX, 40000, present),
              (Settings{{"cpu.max", "40000 50000"}}));
    EXPECT_EQ(knob_number(LLAMUX_ACTION_CPU_MAX, {{"cpu.max", "max 100000"}}), LLAMUX_NO_LIMIT);
}

TEST(Knob, IoWeightIsItsDefaultLine) {
    const Settings present =
        in_force(LLAMUX_ACTION_IO_WEIGHT, {{"io.weight", "default 100\n8:0 300"}});
    EXPECT_EQ(present, (Settings{{"io.weight", "default 100"}}));
    EXPECT_EQ(knob_number(LLAMUX_ACTION_IO_WEIGHT, present), 100u);
    EXPECT_FALSE(settings_in_force(LLAMUX_ACTION_IO_WEIGHT, {{"io.weight", "8:0 300"}}));
}

TEST(Knob, NonsenseIsAnErrorNotANumber) {
    EXPECT_FALSE(settings_in_force(LLAMUX_ACTION_CPU_WEIGHT, {{"cpu.weight", "many"}}));
    EXPECT_FALSE(settings_in_force(LLAMUX_ACTION_CPU_WEIGHT, {{"cpu.weight", ""}}));
    EXPECT_FALSE(settings_in_force(LLAMUX_ACTION_CPU_WEIGHT, {}));
}

TEST(Knob, DirtyHalvesAreRestoredThroughTheTwinInForce) {
    // Writing 0 back to a *_bytes file is EINVAL (TuneD issue 882).
    const Settings ratios = in_force(LLAMUX_ACTION_DIRTY_RATIO, dirty_texts("10", "20", "0", "0"));
    EXPECT_EQ(ratios, (Settings{{"vm/dirty_background_ratio", "10"}, {"vm/dirty_ratio", "20"}}));
    EXPECT_EQ(knob_number(LLAMUX_ACTION_DIRTY_RATIO, ratios), 20u);

    const Settings mixed =
        in_force(LLAMUX_ACTION_DIRTY_RATIO, dirty_texts("0", "20", "1048576", "0"));
    EXPECT_EQ(mixed,
              (Settings{{"vm/dirty_background_bytes", "1048576"}, {"vm/dirty_ratio", "20"}}));

    const Settings bytes =
        in_force(LLAMUX_ACTION_DIRTY_RATIO, dirty_texts("0", "0", "1048576", "4194304"));
    EXPECT_EQ(knob_number(LLAMUX_ACTION_DIRTY_RATIO, bytes), LLAMUX_UNKNOWN);
}

TEST(Knob, BackgroundLimitStaysBelowTheHardOne) {
    for (std::uint64_t hard = 5; hard <= 30; hard++) {
        const Settings settings = settings_for(LLAMUX_ACTION_DIRTY_RATIO, hard, {});
        ASSERT_EQ(settings.size(), 2u);
        EXPECT_LT(std::stoul(settings[0].value), hard);
        EXPECT_GE(std::stoul(settings[0].value), 2u);
        EXPECT_LE(std::stoul(settings[0].value), 10u);
    }
}

TEST(Knob, MemoryIsComparedInPages) {
    EXPECT_TRUE(same_setting({"memory.high", "1000000"}, {"memory.high", "999424"}));
    EXPECT_FALSE(same_setting({"memory.high", "1000000"}, {"memory.high", "995328"}));
    EXPECT_TRUE(same_setting({"cpu.max", "max 100000"}, {"cpu.max", "max  100000"}));
    EXPECT_FALSE(same_setting({"cpu.max", "max 100000"}, {"cpu.max", "max"}));
    EXPECT_FALSE(same_setting({"cpu.weight", "1000000"}, {"cpu.weight", "999424"}));
    EXPECT_FALSE(same_setting({"cpu.weight", "100"}, {"io.weight", "100"}));
}

struct HolderCase {
    const char* name;
    llamux_action_kind kind;
    Settings old_settings;
    Settings new_settings;
    Settings present;
    Holder holder;
};

// Else GoogleTest prints the bytes, padding among them.
void PrintTo(const HolderCase& holder, std::ostream* out) {
    *out << holder.name;
}

class HolderOf : public testing::TestWithParam<HolderCase> {};

TEST_P(HolderOf, IsRight) {
    const HolderCase& c = GetParam();
    EXPECT_EQ(holder_of(c.kind, c.old_settings, c.new_settings, c.present), c.holder);
}

const Settings kWeight100 = {{"cpu.weight", "100"}};
const Settings kWeight50 = {{"cpu.weight", "50"}};
const Settings kDirtyOld = {{"vm/dirty_background_bytes", "1048576"},
                            {"vm/dirty_bytes", "4194304"}};
const Settings kDirtyNew = {{"vm/dirty_background_ratio", "5"}, {"vm/dirty_ratio", "10"}};
const Settings kIdleOld = {{"cpu.idle", "0"}, {"cpu.weight", "250"}};
const Settings kIdleNew = {{"cpu.idle", "1"}};

INSTANTIATE_TEST_SUITE_P(Matrix, HolderOf,
                         testing::Values(HolderCase{"old", LLAMUX_ACTION_CPU_WEIGHT, kWeight100,
                                                    kWeight50, kWeight100, Holder::kOld},
                                         HolderCase{"ours", LLAMUX_ACTION_CPU_WEIGHT, kWeight100,
                                                    kWeight50, kWeight50, Holder::kOurs},
                                         HolderCase{"other",
                                                    LLAMUX_ACTION_CPU_WEIGHT,
                                                    kWeight100,
                                                    kWeight50,
                                                    {{"cpu.weight", "70"}},
                                                    Holder::kSomeoneElse},
                                         HolderCase{"pair_old", LLAMUX_ACTION_DIRTY_RATIO,
                                                    kDirtyOld, kDirtyNew, kDirtyOld, Holder::kOld},
                                         HolderCase{"pair_ours", LLAMUX_ACTION_DIRTY_RATIO,
                                                    kDirtyOld, kDirtyNew, kDirtyNew, Holder::kOurs},
                                         HolderCase{"pair_half_written",
                                                    LLAMUX_ACTION_DIRTY_RATIO,
                                                    kDirtyOld,
                                                    kDirtyNew,
                                                    {kDirtyNew[0], kDirtyOld[1]},
                                                    Holder::kOurs},
                                         HolderCase{"pair_half_restored",
                                                    LLAMUX_ACTION_DIRTY_RATIO,
                                                    kDirtyOld,
                                                    kDirtyNew,
                                                    {kDirtyOld[0], kDirtyNew[1]},
                                                    Holder::kOurs},
                                         HolderCase{"pair_other",
                                                    LLAMUX_ACTION_DIRTY_RATIO,
                                                    kDirtyOld,
                                                    kDirtyNew,
                                                    {kDirtyNew[0], {"vm/dirty_ratio", "25"}},
                                                    Holder::kSomeoneElse},
                                         // cpu.weight reads 0 while cpu.idle is 1
                                         HolderCase{"idle_ours",
                                                    LLAMUX_ACTION_CPU_IDLE,
                                                    kIdleOld,
                                                    kIdleNew,
                                                    {{"cpu.idle", "1"}, {"cpu.weight", "0"}},
                                                    Holder::kOurs},
                                         HolderCase{"idle_old", LLAMUX_ACTION_CPU_IDLE, kIdleOld,
                                                    kIdleNew, kIdleOld, Holder::kOld},
                                         HolderCase{"idle_half_restored",
                                                    LLAMUX_ACTION_CPU_IDLE,
                                                    kIdleOld,
                                                    kIdleNew,
                                                    {{"cpu.idle", "0"}, {"cpu.weight", "100"}},
                                                    Holder::kOurs},
                                         HolderCase{"idle_other",
                                                    LLAMUX_ACTION_CPU_IDLE,
                                                    kIdleOld,
                                                    kIdleNew,
                                                    {{"cpu.idle", "0"}, {"cpu.weight", "70"}},
                                                    Holder::kSomeoneElse}),
                         [](const auto& test) { return test.param.name; });

TEST(Knob, MemoryHighGoesDownASlope) {
    EXPECT_EQ(memory_high_slope(1000, 870), (std::vector<std::uint64_t>{950, 900}));
    EXPECT_TRUE(memory_high_slope(1000, 950).empty()) << "a step of its own";
    EXPECT_TRUE(memory_high_slope(1000, 2000).empty()) << "upwards";
    EXPECT_TRUE(memory_high_slope(1000, LLAMUX_NO_LIMIT).empty());
    EXPECT_EQ(memory_high_slope(1000, 0).size(), 19u);
    EXPECT_LE(memory_high_slope(7, 1).size(), 20u) << "no step is that small";
}

TEST(Knob, OnlyALimitBetweenBothIsOnTheSlope) {
    const auto high = [](const char* value) { return Settings{{"memory.high", value}}; };
    const auto is_between = [&](const char* now) {
        return is_on_slope(LLAMUX_ACTION_MEMORY_HIGH, high("4096000"), high("8192000"), high(now));
    };
    EXPECT_TRUE(is_between("6144000"));
    EXPECT_FALSE(is_between("4096000"));
    EXPECT_FALSE(is_between("9000000"));
    EXPECT_FALSE(is_between("max"));
    EXPECT_TRUE(
        is_on_slope(LLAMUX_ACTION_MEMORY_HIGH, high("max"), high("8192000"), high("9000000")));
    EXPECT_FALSE(is_on_slope(LLAMUX_ACTION_CPU_WEIGHT, {{"cpu.weight", "50"}},
                             {{"cpu.weight", "100"}}, {{"cpu.weight", "70"}}));
}

}  // namespace
}  // namespace llamux
