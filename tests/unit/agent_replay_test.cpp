// SPDX-License-Identifier: GPL-2.0-only
//
// Catches: a recording that loses what the loop saw, a replay that decides
// otherwise than the service would or differently each time, a hostile file
// that is obeyed or takes the reader down.
#include <gtest/gtest.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>

#include "advise/advise.hpp"
#include "replay/replay.hpp"
#include "support/fake_machine.hpp"
#include "support/snapshots.hpp"

namespace llamux {
namespace {

constexpr std::uint64_t kWeb = 20;
constexpr std::uint64_t kBatch = 30;

class ReplayTest : public testing::Test {
  protected:
    ReplayTest() {
        header.boot_id = "boot-1";
        header.kernel = "6.12";
        header.config = R"({"apply": true})";
        header.clock_boot_ns = 100 * kNsPerSecond;
        header.clock_wall_ns = 1'600'000'000 * kNsPerSecond;
        path = machine.directory() + "/recording";
    }

    // A second in which batch takes the CPU from web, or no longer.
    Frame frame(int second, std::uint64_t weight, std::uint64_t web_waits_permille) {
        test::SnapshotBuilder built = test::SnapshotBuilder::noisy_neighbour();
        built->groups[1].signals.cpu_weight = weight;
        built->groups[0].signals.psi.cpu.some_us = web_waits_permille * 4000;
        Frame frame;
        frame.boot_ns = header.clock_boot_ns + static_cast<std::uint64_t>(second) * kNsPerSecond;
        frame.wall_ns = header.clock_wall_ns + static_cast<std::uint64_t>(second) * kNsPerSecond;
        frame.has_pressure = true;
        built->sequence = static_cast<__u64>(second) + 1;
        frame.seen.snapshot = std::make_shared<llamux_snapshot>(*built);
        frame.seen.tree.nodes = {{kWeb, 0, "/web.slice", 1}, {kBatch, 0, "/batch.slice", 1}};
        return frame;
    }

    void record(const std::vector<Frame>& frames) {
        std::filesystem::remove(path);
        Result<RecordingWriter> writer = RecordingWriter::create(path, header);
        ASSERT_TRUE(writer) << writer.error().message;
        for (const Frame& one : frames) {
            ASSERT_TRUE(writer->append(one));
        }
        ASSERT_TRUE(writer->finish());
    }

    // The events' texts; an error is the last line.
    std::vector<std::string> replayed() {
        Result<RecordingReader> reader = RecordingReader::open(path);
        if (!reader) {
            return {reader.error().message};
        }
        const Result<Config> config = load_config_text(reader->header().config, "recorded");
        Result<std::unique_ptr<Replay>> replay =
            config ? Replay::make(reader->header(), *config)
                   : Result<std::unique_ptr<Replay>>(config.error());
        if (!replay) {
            return {replay.error().message};
        }
        std::vector<std::string> lines;
        for (;;) {
            Result<std::optional<Frame>> next = reader->next();
            if (!next) {
                lines.push_back(next.error().message);
                return lines;
            }
            if (!*next) {
                n_unfit = (*replay)->world().n_scores_unfit();
                changes = (*replay)->journal().lock(LockMode::kShared)->changes();
                return lines;
            }
            for (const Event& event : (*replay)->tick(std::move(**next)).events) {
                lines.push_back(std::string(event_word(event.type)) + " " + event.text);
            }
        }
    }

    // As JSON lines, to be damaged and written anew.
    std::string lines() const {
        gzFile file = ::gzopen(path.c_str(), "rb");
        std::string text(1 << 20, '\0');
        text.resize(static_cast<std::size_t>(::gzread(file, text.data(), 1 << 20)));
        ::gzclose(file);
        return text;
    }
    void write_plain(const std::string& text) const { std::ofstream(path) << text; }

    FakeMachine machine;
    RecordingHeader header;
    std::string path;
    std::vector<Change> changes;
    std::uint64_t n_unfit = 0;
};

bool has_line(const std::vector<std::string>& lines, const std::string& text) {
    for (const std::string& line : lines) {
        if (line.find(text) != std::string::npos) {
            return true;
        }
    }
    return false;
}

TEST_F(ReplayTest, ASnapshotComesBackAsItWas) {
    Frame before = frame(3, 77, 500);
    auto odd = std::make_shared<llamux_snapshot>(*before.seen.snapshot);
    odd->signals.cpu_mhz_permille = LLAMUX_UNKNOWN;
    odd->groups[0].signals.memory_high_bytes = LLAMUX_NO_LIMIT;
    odd->groups[0].record.runq_wait_hist[7] = UINT64_MAX - 5;
    odd->record.block_io_hist[LLAMUX_HIST_SLOTS - 1] = 9;
    odd->flags = LLAMUX_SNAPSHOT_LOST;
    before.seen.snapshot = odd;
    record({before});
    Result<RecordingReader> reader = RecordingReader::open(path);
    ASSERT_TRUE(reader) << reader.error().message;
    Result<std::optional<Frame>> after = reader->next();
    ASSERT_TRUE(after) << after.error().message;
    ASSERT_TRUE(*after);
    EXPECT_EQ(std::memcmp((*after)->seen.snapshot.get(), odd.get(), sizeof(*odd)), 0);
    EXPECT_EQ((*after)->seen.tree.find(kBatch)->path, "/batch.slice");
    EXPECT_EQ((*after)->boot_ns, before.boot_ns);
    EXPECT_FALSE(reader->next().value().has_value());
}

TEST_F(ReplayTest, DecidesTheSameEachTime) {
    std::vector<Frame> frames;
    for (int i = 0; i < 30; i++) {
        // The change was made in the recorded world, too, and helped; the old value
        // was back for a while.
        const bool is_lowered = i > 6 && (i < 14 || i > 18);
        frames.push_back(frame(i, is_lowered ? 50 : 100, is_lowered ? 100 : 900));
    }
    record(frames);
    const std::vector<std::string> first = replayed();
    EXPECT_TRUE(has_line(first, "suggestion ")) << testing::PrintToString(first);
    EXPECT_TRUE(has_line(first, "applied change 1: /batch.slice cpu.weight 100 -> 50"))
        << testing::PrintToString(first);
    EXPECT_TRUE(has_line(first, "kept change 1")) << testing::PrintToString(first);
    EXPECT_EQ(first, replayed());
    ASSERT_FALSE(changes.empty());
    EXPECT_EQ(changes[0].effect->verdict, Verdict::kImproved);
    EXPECT_EQ(changes[0].effect->returned, 900);
    EXPECT_EQ(changes[0].boot_id, "boot-1");
}

TEST_F(ReplayTest, AChangeThatWasNotMadeThenHasNoEffect) {
    std::vector<Frame> frames;
    for (int i = 0; i < 30; i++) {
        frames.push_back(frame(i, 100, 900));
    }
    record(frames);
    const std::vector<std::string> lines = replayed();
    EXPECT_TRUE(has_line(lines, "undone change 1")) << testing::PrintToString(lines);
    EXPECT_TRUE(has_line(lines, "no effect"));
}

TEST_F(ReplayTest, AKnobThatMovesInTheRecordingIsSomeoneElses) {
    std::vector<Frame> frames;
    for (int i = 0; i < 30; i++) {
        frames.push_back(frame(i, i > 10 ? 70 : 100, 900));
    }
    record(frames);
    const std::vector<std::string> lines = replayed();
    EXPECT_TRUE(has_line(lines, "frozen change 1")) << testing::PrintToString(lines);
}

TEST_F(ReplayTest, AdviceOnlyDecidesNothing) {
    header.config = "{}";
    record({frame(0, 100, 900), frame(1, 100, 900)});
    const std::vector<std::string> lines = replayed();
    EXPECT_TRUE(has_line(lines, "suggestion ")) << testing::PrintToString(lines);
    EXPECT_TRUE(has_line(lines, "ranked by rules"));
    EXPECT_TRUE(changes.empty());
}

TEST_F(ReplayTest, TheRecordedJournalAndTunersAreHeeded) {
    {
        Result<LockedJournal> journal = machine.journal().lock(LockMode::kExclusive);
        Entry frozen;
        frozen.type = EntryType::kKnobFrozen;
        frozen.target = KnobTarget{LLAMUX_ACTION_CPU_WEIGHT, "", 0};
        frozen.by = "jane";
        ASSERT_TRUE(journal->append(std::move(frozen)));
    }
    const std::string journal = machine.read("state/journal.jsonl") + "\n";
    header.journal = journal;
    record({frame(0, 100, 900)});
    EXPECT_TRUE(has_line(replayed(), "refused: this knob is left alone (frozen by jane"))
        << testing::PrintToString(replayed());
    EXPECT_EQ(machine.read("state/journal.jsonl") + "\n", journal) << "a copy is used";
    header.journal.clear();
    header.tuners = {"ananicy-cpp"};
    record({frame(0, 100, 900)});
    EXPECT_TRUE(has_line(replayed(), "another program looks after this knob"))
        << testing::PrintToString(replayed());
}

TEST_F(ReplayTest, TheScoresOfTheModelCountIfTheyAreOfTheSameCandidates) {
    header.config = R"({"pause_model_permille": 0})";
    Frame scored = frame(0, 100, 900);
    ReplayWorld world;
    world.show(scored);
    const Result<Advice> rules = world.open_device()->advise(nullptr, LLAMUX_ADVISE_RULES_ONLY);
    ASSERT_TRUE(rules);
    ASSERT_GE(rules->answer.n_candidates, 2u);
    Suggestion model = *make_suggestion(*rules, scored.seen.tree, world.clock());
    model.ranked_by = LLAMUX_RANKED_BY_MODEL;
    model.chosen = model.candidates.size() - 1;
    scored.advice = model;
    record({scored});
    EXPECT_TRUE(has_line(replayed(), "no change is better")) << testing::PrintToString(replayed());
    EXPECT_EQ(n_unfit, 0u);
    scored.advice->candidates[0].value_new++;
    record({scored});
    EXPECT_TRUE(has_line(replayed(), "ranked by rules")) << testing::PrintToString(replayed());
    EXPECT_EQ(n_unfit, 1u);
}

TEST_F(ReplayTest, NeverOverwrites) {
    record({});
    EXPECT_EQ(RecordingWriter::create(path, header).error().code, EEXIST);
}

TEST_F(ReplayTest, ACutFileIsReplayedUpToThereAndSaysSo) {
    record({frame(0, 100, 900), frame(1, 100, 900), frame(2, 100, 900)});
    const std::uintmax_t whole = std::filesystem::file_size(path);
    for (std::uintmax_t bytes = 0; bytes < whole; bytes += 97) {
        record({frame(0, 100, 900), frame(1, 100, 900), frame(2, 100, 900)});
        std::filesystem::resize_file(path, bytes);
        const std::vector<std::string> lines = replayed();
        ASSERT_FALSE(lines.empty()) << bytes;
        EXPECT_TRUE(has_line({lines.back()}, "cut off") ||
                    has_line({lines.back()}, "not a recording"))
            << bytes << ": " << lines.back();
    }
}

TEST_F(ReplayTest, FlippedBytesNeverPass) {
    record({frame(0, 100, 900), frame(1, 100, 900)});
    std::ifstream in(path, std::ios::binary);
    const std::string good((std::istreambuf_iterator<char>(in)), {});
    for (std::size_t at = 10; at < good.size(); at += 61) {
        std::string bad = good;
        bad[at] = static_cast<char>(bad[at] ^ 0x55);
        write_plain(bad);
        const std::vector<std::string> lines = replayed();
        ASSERT_FALSE(lines.empty());
        EXPECT_NE(lines.back().find(path), std::string::npos) << at << ": " << lines.back();
    }
}

TEST_F(ReplayTest, HostileLinesGiveOneClearError) {
    record({frame(5, 100, 900)});
    const std::string good = lines();
    const std::string head = good.substr(0, good.find('\n') + 1);
    const std::string one = good.substr(head.size());
    const auto with = [&](const std::string& from, const std::string& to) {
        std::string text = good;
        const std::size_t at = text.find(from);
        EXPECT_NE(at, std::string::npos) << from;
        return text.replace(at, from.size(), to);
    };
    std::string many_groups =
        "{\"boot_ns\":200000000000,\"wall_ns\":1,\"has_pressure\":true,"
        "\"snapshot\":{\"groups\":[{}";
    for (int i = 0; i < LLAMUX_MAX_GROUPS; i++) {
        many_groups += ",{}";
    }
    const std::vector<std::pair<std::string, std::string>> cases = {
        {"", "not a recording"},
        {"\x01\x02", "not a recording"},
        {"{}\n", "not a recording"},
        {with("\"llamux_recording\":1", "\"llamux_recording\":2"), "a recording of version 2"},
        {with("\"telemetry_schema\":2", "\"telemetry_schema\":9"), "telemetry 9"},
        {with("\"boot_id\":\"boot-1\"", "\"boot_id\":7"), "boot_id is no text"},
        {with("\"config\":{\"apply\":true}", "\"config\":{\"aply\":true}"), "aply is not a field"},
        {head + "{}\n", "boot_ns is missing"},
        {head + "[1]\n", "not an object"},
        {head + "{\"a\":\n", "not JSON"},
        {head + std::string(100'000, '[') + "\n", "nested too deeply"},
        {head + std::string("{\0}\n", 4), "not text"},
        {head + one.substr(0, one.size() - 1), "the last line has no end"},
        {head + many_groups + "]}}\n", "more than 64 groups"},
        {with("\"cpu_weight\":100", "\"cpu_weight\":-1"), "cpu_weight is no number"},
        {with("\"cpu_permille\":200", "\"cpu_permille\":4294967296"), "cpu_permille is too large"},
        {with("\"boot_ns\":105", "\"boot_ns\":99"), "time goes backwards"},
        {with("\"wall_ns\":1600000005", "\"wall_ns\":9999999999"), "time is out of range"},
    };
    for (const auto& [text, error] : cases) {
        write_plain(text);
        const std::vector<std::string> said = replayed();
        ASSERT_FALSE(said.empty()) << error;
        EXPECT_NE(said.back().find(error), std::string::npos) << error << ": " << said.back();
        EXPECT_EQ(said.back().find('\n'), std::string::npos);
    }
}

TEST_F(ReplayTest, ALineWithoutEndIsNotReadForEver) {
    record({});
    write_plain(lines() + std::string(17 << 20, ' ') + "\n");
    EXPECT_TRUE(has_line(replayed(), "a line of more than 16 MiB"));
}

}  // namespace
}  // namespace llamux
