// SPDX-License-Identifier: GPL-2.0-only
//
// Catches: terminal escapes let through, invented numbers shown, letters that
// become the wrong group, answers without evidence, undo or unit.
#include <gtest/gtest.h>

#include "report/answer.hpp"
#include "report/narration.hpp"
#include "report/text.hpp"

namespace llamux {
namespace {

TEST(Printable, KeepsTextAndNeutralisesEverythingATerminalObeys) {
    EXPECT_EQ(printable("batch.slice"), "batch.slice");
    EXPECT_EQ(printable("gr\xc3\xbc\xc3\x9f \xf0\x9f\xa6\x99"),
              "gr\xc3\xbc\xc3\x9f \xf0\x9f\xa6\x99");
    EXPECT_EQ(printable("\x1b[31mred\n"), "\\x1b[31mred\\x0a");
    EXPECT_EQ(printable("\xc2\x9b"
                        "31m"),
              "\\xc2\\x9b31m");  // C1 CSI
    EXPECT_EQ(printable("a\xe2\x80\xae"
                        "b"),
              "a\\xe2\\x80\\xaeb");                           // right-to-left override
    EXPECT_EQ(printable("\xff\xc0\x80"), "\\xff\\xc0\\x80");  // not UTF-8, overlong
    EXPECT_EQ(printable("\xe2\x82"), "\\xe2\\x82");           // cut off
}

TEST(Wrap, BreaksAtSpacesAndIndentsEveryLine) {
    EXPECT_EQ(wrap("one two three", 9, "  "), "  one two\n  three");
    EXPECT_EQ(wrap("unbreakable", 4, " "), " unbreakable");
    EXPECT_EQ(wrap("", 10, " "), "");
}

TEST(FormatMeasure, WritesUnitsAsPeopleDo) {
    EXPECT_EQ(format_measure(413, "permille"), "41.3 %");
    EXPECT_EQ(format_measure(999, "us"), "999 us");
    EXPECT_EQ(format_measure(23400, "us"), "23.4 ms");
    EXPECT_EQ(format_measure(2500000, "us/s"), "2.5 s/s");
    EXPECT_EQ(format_measure(2048, "KiB/s"), "2.0 MiB/s");
    EXPECT_EQ(format_measure(17, "/s"), "17 /s");
}

TEST(Table, CutsTheLastColumnOnly) {
    Table table({"ID", "WHY"});
    table.add({"abc", "a very long reason"});
    EXPECT_EQ(table.text(12), "ID   WHY\nabc  a very \n");
}

TEST(Narration, PutsNamesInForLetters) {
    Narration narration({"/batch.slice", "/web.slice"});
    EXPECT_EQ(narration.feed("Group A takes the cpu from group B. It"),
              "/batch.slice takes the cpu from /web.slice. ");
    EXPECT_EQ(narration.feed(" stops"), "");
    EXPECT_EQ(narration.finish(), "It stops ");
}

TEST(Narration, LeavesLettersThatAreNoGroup) {
    Narration narration({"/a"});
    EXPECT_EQ(narration.feed("Subgroup A, group Z and group Abc wait. "),
              "Subgroup A, group Z and group Abc wait. ");
}

TEST(Narration, DropsASentenceThatStatesANumber) {
    Narration narration({"/a"});
    EXPECT_EQ(narration.feed("Group A uses 99 percent. It can wait.\n"), "It can wait. ");
    EXPECT_EQ(narration.sentences_dropped(), 1);
}

TEST(Narration, NameOfAGroupCannotMoveTheCursor) {
    Narration narration({"/x\x1b[2J"});
    EXPECT_EQ(narration.feed("Group A waits.\n"), "/x\\x1b[2J waits. ");
}

Suggestion contention() {
    Suggestion suggestion;
    suggestion.id = "0123456789ab";
    suggestion.window_ns = 2'000'000'000;
    suggestion.ranked_by = LLAMUX_RANKED_BY_MODEL;
    suggestion.margin_permille = 620;
    Fact fact;
    fact.cause = LLAMUX_CAUSE_CPU_CONTENTION;
    fact.level = 2;
    fact.victim_path = "/web.slice";
    fact.culprit_path = "/batch.slice";
    fact.evidence = {{LLAMUX_SOURCE_RUNQ_WAIT_P99_US, "/web.slice", 32768, LLAMUX_UNKNOWN, 5000},
                     {LLAMUX_SOURCE_PSI_CPU_SOME_PERMILLE, "", 900, 20, 100}};
    suggestion.facts = {fact};
    Candidate change;
    change.kind = LLAMUX_ACTION_CPU_WEIGHT;
    change.direction = LLAMUX_LOWER;
    change.cgroup_path = "/batch.slice";
    change.value_old = 100;
    change.value_new = 50;
    suggestion.candidates = {Candidate{}, change};
    suggestion.chosen = 1;
    return suggestion;
}

TEST(Answer, VerdictNamesVictimCauseAndCulprit) {
    const std::string line = verdict_line(contention());
    EXPECT_NE(line.find("/web.slice"), std::string::npos) << line;
    EXPECT_NE(line.find("another group takes the cpu (high)"), std::string::npos) << line;
    EXPECT_NE(line.find("/batch.slice"), std::string::npos) << line;
    EXPECT_EQ(verdict_line(Suggestion{}), "Nothing is wrong that Llamux can see.");
}

TEST(Answer, LettersFollowTheOrderOfFirstMention) {
    Suggestion suggestion;
    Fact first;
    first.victim_id = 7;
    first.victim_path = "/v";
    first.culprit_id = 9;
    first.culprit_path = "/c";
    Fact second = first;
    second.victim_id = 0;  // the system has no letter
    second.victim_path = "";
    second.culprit_id = 11;
    second.culprit_path = "/d";
    suggestion.facts = {first, second, first};
    EXPECT_EQ(lettered_names(suggestion), (std::vector<std::string>{"/v", "/c", "/d"}));
}

TEST(Answer, EvidenceHasGroupValueUsualThresholdAndWindow) {
    EXPECT_EQ(
        evidence_lines(contention()),
        (std::vector<std::string>{
            "longest wait for a cpu (99 of 100), /web.slice: 32.8 ms (usual value not known "
            "yet, counts from 5.0 ms; last 2.0 s; llamux_cgroups.runq_wait_hist)",
            "time in which tasks waited for a cpu: 90.0 % (usually 2.0 %, counts from 10.0 %; "
            "last 2.0 s; cpu.pressure)"}));
}

TEST(Answer, ChangeIsADiffWithItsUndo) {
    const Suggestion suggestion = contention();
    const auto lines = diff_lines(*suggestion.change());
    ASSERT_EQ(lines.size(), 2U);
    EXPECT_EQ(lines[0], "- cpu.weight of /batch.slice: 100");
    EXPECT_EQ(lines[1], "+ cpu.weight of /batch.slice: 50");
    const std::string text = answer_text(suggestion, llamux_snapshot{}, Style(false), 80);
    EXPECT_NE(text.find("llamux-agent rollback 0123456789ab"), std::string::npos) << text;
    EXPECT_NE(text.find("sure (ranked by the model, 62.0 %"), std::string::npos) << text;
    EXPECT_EQ(text.find('\x1b'), std::string::npos);
}

TEST(Answer, SaysWhatWasTriedHereBefore) {
    Suggestion suggestion = contention();
    EXPECT_TRUE(experience_lines(suggestion).empty());
    const std::string untried = answer_text(suggestion, llamux_snapshot{}, Style(false), 80);
    EXPECT_EQ(untried.find("Tried here"), std::string::npos) << untried;
    suggestion.candidates[1].phrase = "lower cpu weight of group B";
    suggestion.candidates[1].here = {4, 1, 1};
    EXPECT_EQ(
        experience_lines(suggestion),
        (std::vector<std::string>{"lower cpu weight of group B: helped 1 of 4 times here, for "
                                  "this cause, made it worse 1; counts 42.8 %"}));
    const std::string text = answer_text(suggestion, llamux_snapshot{}, Style(false), 80);
    EXPECT_NE(text.find("Tried here\n  lower cpu weight"), std::string::npos) << text;
}

TEST(Answer, SaysWhatWasNotChecked) {
    llamux_snapshot snapshot{};
    EXPECT_EQ(not_checked_line(snapshot), "");
    snapshot.flags = LLAMUX_SNAPSHOT_NO_MAPS;
    snapshot.signals.psi.cpu.some_us = LLAMUX_UNKNOWN;
    EXPECT_EQ(not_checked_line(snapshot),
              "scheduler and memory events (the BPF maps are not bound); pressure (PSI is off)");
}

TEST(Answer, NothingIsProposedWhenNothingIsToBeDone) {
    Suggestion healthy;
    healthy.candidates = {Candidate{}};
    EXPECT_TRUE(evidence_lines(healthy).empty());
    const std::string text = answer_text(healthy, llamux_snapshot{}, Style(false), 80);
    EXPECT_NE(text.find("Proposed change\n  none"), std::string::npos) << text;
}

}  // namespace
}  // namespace llamux
