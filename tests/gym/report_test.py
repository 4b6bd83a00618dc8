#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Catches: a judge of the fault suite that takes noise for help, harm for help, a wrong
action for a right one, or cannot read what the agent says."""
import random
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
import report  # noqa: E402
import trials as kept_trials  # noqa: E402
from scenarios import BATCH, BY_NAME, SCENARIOS, WEB  # noqa: E402


def seconds(values):
    return [{"at": i + 1, "done": 50, "p50_us": v // 2, "p99_us": v, "given_up": 0}
            for i, v in enumerate(values)]  # fmt: skip


def noisy(level, n=8, seed=1):
    draw = random.Random(seed)
    return [int(level * draw.uniform(0.9, 1.1)) for _ in range(n)]


def candidate(knob="cpu.weight", direction="lower", cgroup=BATCH):
    return {"knob": knob, "direction": direction, "cgroup": cgroup, "value_new": 50, "phrase": "move it",
            "probability_permille": 800}  # fmt: skip


def suggestion(chosen, cause="CPU_CONTENTION"):
    return {"at": 6, "event": "suggestion", "text": "",
            "suggestion": {"id": "a", "facts": [{"cause": cause}], "candidates": [chosen], "chosen": 0,
                           "ranked_by": "model", "rank_ns": 200_000_000}}  # fmt: skip


def trial(runner, level, events=(), scenario="cpu-hog", seed=1):
    return {"scenario": scenario, "runner": runner, "seed": 1, "onset": 4, "judged_from": 0,
            "seconds": seconds(noisy(level, seed=seed)), "events": list(events)}  # fmt: skip


def kept(chosen):
    return {"at": 15, "event": "kept", "text": "", "change": {"plan": chosen}}


def applied(chosen, identity):
    return {"at": 10, "event": "applied", "text": "", "change": {"plan": {**chosen, "id": identity}}}


def judge(trials, recorded=None):
    return report.judge(trials, recorded or {})


def row_of(rows, runner):
    return next(row for row in rows if row["runner"] == runner)


class Improvement(unittest.TestCase):
    def test_half_is_half(self):
        estimate, low, high = report.improvement(noisy(100_000), noisy(50_000, seed=2))
        self.assertAlmostEqual(estimate, 0.5, delta=0.1)
        self.assertTrue(0.3 < low <= estimate <= high < 0.6)

    def test_noise_is_no_improvement(self):
        _, low, high = report.improvement(noisy(100_000), noisy(100_000, seed=2))
        self.assertTrue(low <= 0.1 and high >= -0.1 and high - low < 0.3)

    def test_harm_is_negative(self):
        self.assertLess(report.improvement(noisy(50_000), noisy(100_000))[2], 0)

    def test_a_second_without_an_answer_is_a_long_one(self):
        silent = {"at": 1, "done": 0, "p50_us": -1, "p99_us": -1, "given_up": 0}
        self.assertEqual(report.felt_us(silent), 1_000_000)

    def test_a_service_that_stopped_counting_answered_nobody(self):
        stopped = trial("rules", 50_000) | {"judged_from": 1_000}
        self.assertEqual(report.judged_seconds(stopped), [1_000_000])


class Judge(unittest.TestCase):
    def test_right_action_kept(self):
        chosen = candidate()
        rows = judge([trial("no-op", 100_000),
                      trial("model", 50_000, [suggestion(chosen), kept(chosen)])])  # fmt: skip
        row = row_of(rows, "model")
        self.assertTrue(row["cause_found"] and row["right"] and not row["harmful"])
        self.assertEqual(row["kept_after_s"], 11)

    def test_wrong_direction_is_wrong(self):
        row = row_of(judge([trial("model", 1, [suggestion(candidate(direction="raise"))])]), "model")
        self.assertFalse(row["right"])

    def test_a_kept_change_that_hurts_is_harmful(self):
        chosen = candidate()
        rows = judge([trial("no-op", 50_000),
                      trial("rules", 100_000, [suggestion(chosen), kept(chosen)])])  # fmt: skip
        self.assertTrue(row_of(rows, "rules")["harmful"])
        self.assertEqual(report.summarise(rows)["rules"]["harmful"], 1)

    def test_where_the_load_was_killed_nothing_is_compared(self):
        chosen = candidate()
        killed = trial("no-op", 1) | {"died": [-9]}
        saved = trial("rules", 50_000, [suggestion(chosen), kept(chosen)])
        rows = judge([killed, saved])
        self.assertNotIn("improvement", row_of(rows, "rules"))
        self.assertFalse(row_of(rows, "rules")["harmful"])
        self.assertIn("| 0, load killed |", report.scenario_table(rows))
        rows = judge([trial("no-op", 50_000), saved | {"died": [-9]}])
        self.assertTrue(row_of(rows, "rules")["harmful"], "it was alive without")

    def test_what_was_before_the_onset_does_not_count(self):
        early = {**suggestion(candidate()), "at": 2}
        row = row_of(judge([trial("model", 1, [early])]), "model")
        self.assertIsNone(row["chosen"])
        self.assertFalse(row["cause_found"])

    def test_nothing_said_on_a_healthy_machine_is_right(self):
        row = row_of(judge([trial("model", 1, scenario="healthy-idle")]), "model")
        self.assertTrue(row["right"] and row["cause_found"])
        summary = report.summarise([row])["model"]
        self.assertEqual(summary["no_op_healthy"], (1, 1))

    def test_what_was_written_counts_and_not_what_was_dropped_before(self):
        passing, lasting = suggestion(candidate(), "MEMORY_LEAK"), suggestion(candidate("memory.low", "raise", WEB))
        lasting["suggestion"]["id"] = "b"
        written = applied(candidate("memory.low", "raise", WEB), "b")
        row = row_of(judge([trial("model", 1, [passing, lasting, written])]), "model")
        self.assertEqual((row["causes"], row["chosen"][0]), (["CPU_CONTENTION"], "memory.low"))
        row = row_of(judge([trial("model", 1, [passing, lasting])]), "model")
        self.assertEqual((row["causes"], row["chosen"][0]), (["MEMORY_LEAK"], "cpu.weight"))

    def test_trouble_without_a_change_names_its_cause(self):
        event = {"at": 6, "event": "trouble", "text": "the cpu clock is held down; no change is better"}
        row = row_of(judge([trial("model", 1, [event], scenario="clock")]), "model")
        self.assertEqual(row["causes"], ["CLOCK_THROTTLED"])
        self.assertTrue(row["cause_found"] and row["right"])

    def test_a_failed_trial_is_shown_and_not_counted(self):
        rows = judge([{"scenario": "leak", "runner": "model", "seed": 1, "failed": "guest died"}])
        self.assertEqual(report.summarise(rows), {})
        self.assertIn("guest died", report.scenario_table(rows))


class Goals(unittest.TestCase):
    @staticmethod
    def found(*trials):
        lines = report.goal_lines(report.summarise(judge(trials))["model"])
        return {goal: (found, met) for goal, _, found, met in lines}

    def test_what_is_reached_and_what_is_not(self):
        chosen = candidate()
        goals = self.found(
            trial("rules", 50_000),
            trial("model", 100_000, [suggestion(chosen), kept(chosen)]),
            trial("model", 1, [suggestion(candidate(direction="raise"))], scenario="low-weight"),
        )
        self.assertEqual(goals["cause found"], ("2 of 2", True))
        self.assertEqual(goals["right action, where there is one"], ("1 of 2", False))
        self.assertEqual(goals["onset to a kept change"], ("1 of 1 in time", True))
        self.assertEqual(goals["the ranking itself"], ("2 of 2 in time", True))
        self.assertEqual(goals["in its own trial worse than the rules"], ("cpu-hog", False))

    def test_what_was_not_run_is_not_met(self):
        goals = self.found(trial("model", 1, scenario="lock-convoy"))
        for goal in ("no change on a healthy machine", "onset to a kept change", "the ranking itself",
                     "share of the oracle's improvement"):  # fmt: skip
            self.assertIsNone(goals[goal][1], goal)

    def test_the_table_says_so(self):
        summary = report.summarise(judge([trial("model", 1, scenario="clock")]))["model"]
        self.assertIn("| cause found | at least 90% | 0 of 1 | no |", report.goal_table(summary))


class Oracle(unittest.TestCase):
    def test_an_episode_has_what_helped_by_more_than_chance(self):
        def tried(phrase, *improvement):
            return {"phrase": phrase, "improvement": improvement}

        found = {"prompt": "machine: best change:", "causes": ["CPU_CONTENTION"], "candidates": [
            tried("lower it", 0.9, -0.1, 0.95), tried("raise it", 0.5, 0.4, 0.6)]}  # fmt: skip
        harmful = {**found, "candidates": [tried("lower it", -0.2, -0.4, 0.1)]}
        episodes = report.episodes({"6.12": {"cpu-hog": found, "leak": harmful,
                                             "clock": {**found, "candidates": []}}})  # fmt: skip
        self.assertEqual([e["scenario"] for e in episodes], ["6.12 cpu-hog", "6.12 leak"])
        self.assertEqual(episodes[0]["samples"][0]["target"], " raise it")
        self.assertEqual(episodes[0]["samples"][0]["candidates"], [" lower it", " raise it", " no change"])
        self.assertEqual(episodes[1]["samples"][0]["target"], " no change")

    def test_best_candidate_first_and_share_of_it(self):
        values = [100_000] * 6 + [50_000] * 6 + [100_000] * 6 + [90_000] * 6
        oracle = {**trial("oracle", 1), "seconds": seconds(values), "trials": [
            {"candidate": candidate("cpu.weight", "raise", WEB), "without": [(12, 18)], "with": [(18, 24)]},
            {"candidate": candidate(), "without": [(0, 6)], "with": [(6, 12)]},
        ]}  # fmt: skip
        second = candidate("cpu.weight", "raise", WEB)
        rows = judge([trial("no-op", 100_000), oracle,
                      trial("model", 75_000, [suggestion(candidate()), kept(candidate())]),
                      trial("rules", 75_000, [suggestion(second), kept(second)]),
                      trial("random", 75_000)])  # fmt: skip
        best = row_of(rows, "oracle")["candidates"][0]
        self.assertEqual(best["action"], ("cpu.weight", "lower", BATCH))
        self.assertAlmostEqual(report.best_of_oracle(rows)["cpu-hog"], 0.5)
        summary = report.summarise(rows)
        self.assertAlmostEqual(summary["model"]["of_oracle"][0], 1)
        self.assertAlmostEqual(summary["rules"]["of_oracle"][0], 0.2)
        self.assertEqual(summary["random"]["of_oracle"][0], 0, "kept nothing")


class Recorded(unittest.TestCase):
    FOUND = {"cpu-hog": {"date": "2026-11-27", "release": "6.12", "candidates": [
        {"action": ["cpu.weight", "lower", BATCH], "improvement": [0.5, 0.4, 0.6]}]}}  # fmt: skip

    def test_a_recorded_oracle_stands_for_its_trial(self):
        rows = judge([trial("model", 1, [suggestion(candidate()), kept(candidate())])], self.FOUND)
        self.assertEqual(row_of(rows, "model")["worth"], (0.5, 0.4, 0.6))
        self.assertEqual(report.best_of_oracle(rows), {"cpu-hog": 0.5})

    def test_a_trial_comes_before_what_was_recorded(self):
        values = [100_000] * 6 + [90_000] * 6
        oracle = {**trial("oracle", 1), "seconds": seconds(values), "trials": [
            {"candidate": candidate(), "without": [(0, 6)], "with": [(6, 12)]}]}  # fmt: skip
        rows = judge([trial("no-op", 1), oracle], self.FOUND)
        self.assertAlmostEqual(report.best_of_oracle(rows)["cpu-hog"], 0.1)

    def test_of_scenarios_that_did_not_run_nothing_is_told(self):
        self.assertEqual(judge([trial("no-op", 1, scenario="leak")], self.FOUND)[-1]["scenario"], "leak")
        self.assertEqual(len(judge([trial("no-op", 1, scenario="leak")], self.FOUND)), 1)


class Kept(unittest.TestCase):
    def test_trials_of_another_build_are_as_if_not_there(self):
        with tempfile.TemporaryDirectory() as folder:
            build = Path(folder)
            for part in ("agent/llamux-agent", "kmod/6.12/llamux.ko", "tests/gym/workload"):
                (build / part).parent.mkdir(parents=True)
                (build / part).write_text("one")
            kept_trials.Trials(build, "6.12", "6.12").keep("a", trial("rules", 1))
            mine, n_others = kept_trials.Trials(build, "6.12", "6.12").all()
            self.assertEqual((list(mine), n_others), (["a"], 0))
            (build / "kmod/6.12/llamux.ko").write_text("two")
            self.assertEqual(kept_trials.Trials(build, "6.12", "6.12").all(), ({}, 1))

    def test_another_scenario_of_the_same_name_does_not_count(self):
        trials = kept_trials.Trials.__new__(kept_trials.Trials)
        trials.made_with = {}
        hog, leak = (trials.parts_of(trial("rules", 1, scenario=name)) for name in ("cpu-hog", "leak"))
        self.assertNotEqual(hog, leak)

    def test_another_model_matters_where_the_module_has_one(self):
        trials = kept_trials.Trials.__new__(kept_trials.Trials)
        trials.made_with = {"agent": "a", "model": "m"}
        for runner, scenario, parts in (("rules", "leak", {"agent"}), ("model", "leak", {"agent", "model"}),
                                        ("rules", "self", {"agent", "model"})):  # fmt: skip
            self.assertEqual(set(trials.parts_of(trial(runner, 1, scenario=scenario))), parts | {"scenario"})


class Reliability(unittest.TestCase):
    def test_sure_and_wrong_is_an_error(self):
        right = trial("model", 1, [suggestion(candidate())])
        wrong = trial("model", 1, [suggestion(candidate(direction="raise"))])
        _, error = report.reliability([right] * 4 + [wrong])
        self.assertAlmostEqual(error, 0, msg="80 % sure, four of five right")
        bins, error = report.reliability([wrong])
        self.assertAlmostEqual(error, 0.8)
        self.assertEqual(bins, [(0.8, 0.9, 1, 0.8, 0)])


class Table(unittest.TestCase):
    def test_causes_are_those_of_the_header(self):
        known = set(report.causes_by_words().values())
        for scenario in SCENARIOS:
            self.assertLessEqual(set(scenario.causes), known, scenario.name)

    def test_there_are_enough_scenarios(self):
        self.assertGreaterEqual(len(BY_NAME), 18)
        self.assertEqual(len(BY_NAME), len(SCENARIOS))


if __name__ == "__main__":
    unittest.main()
