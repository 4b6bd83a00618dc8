#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# Catches: a recording that can not be made, sent and decided on again as the
# manual says, or a broken one that is not told in one line.
"""llamux-agent record and replay; the recording is written here, by its description."""
import gzip
import json

from harness import HEALTHY, NO_DATA, PROBLEM, AgentTest, check, main

SECOND = 1_000_000_000
HEADER = {"llamux_recording": 1, "telemetry_schema": 1, "boot_id": "b", "kernel": "6.12.1",
          "model": "", "clock_boot_ns": 100 * SECOND, "clock_wall_ns": 1_600_000_000 * SECOND,
          "tuners": [], "config": {}, "journal": ""}


def group(path, number, cpu_permille, **record):
    return {"path": path, "n_siblings": 1, "cpu_permille": cpu_permille,
            "runq_wait_p99_us": 32768,
            "record": {"run_ns": cpu_permille * 8_000_000, **record},
            "signals": {"cgroup_id": number, "cpu_weight": 100, "cpu_max_quota_us": "max",
                        "cpu_max_period_us": 100000, "memory_high_bytes": "max",
                        "io_weight": 100, "memory_current_bytes": 1 << 28}}


def frame(second, trouble):
    """Four seconds of two CPUs; with trouble /batch.slice takes them from /web.slice."""
    web = group("/web.slice", 20, 200, switches=400, runq_wait_ns=1_600_000_000,
                runq_wait_count=400)
    batch = group("/batch.slice", 30, 780, switches=2000, preempted_by_self=1500,
                  preempted_by_other=500, runq_wait_ns=6_000_000_000, runq_wait_count=2000)
    return {"boot_ns": (100 + second) * SECOND, "wall_ns": (1_600_000_000 + second) * SECOND,
            "has_pressure": True,
            "snapshot": {"sequence": second + 1, "window_start_ns": (96 + second) * SECOND,
                         "window_ns": 4 * SECOND, "runq_wait_p99_us": 16384,
                         "record": {"idle_ns": 160_000_000 if trouble else 8 * SECOND},
                         "signals": {"n_cpus": 2, "memory_total_bytes": 1 << 32,
                                     "memory_available_bytes": 3 << 30, "vm_swappiness": 60,
                                     "cpu_mhz_permille": "unknown",
                                     "psi": {"cpu_some_us": 3_600_000 if trouble else 0}},
                         "groups": [web, batch] if trouble else []}}


class ReplayTest(AgentTest):
    def setUp(self):
        super().setUp()
        self.file = self.folder / "r.gz"

    def command(self, *words):
        # without --config: as recorded
        own = super().command(*words)
        return own[:1] + own[3:] if words[-1] != "--own-config" else own[:-1]

    def write(self, *frames, **header):
        lines = [{**HEADER, **header}, *frames]
        with gzip.open(self.file, "wt") as out:
            out.writelines(json.dumps(line) + "\n" for line in lines)

    def test_decides_again(self):
        self.write(*(frame(i, i < 3) for i in range(5)))
        said = self.expect(PROBLEM, "5 looks, recorded on Linux 6.12.1 with no model",
                           "replay", str(self.file))
        self.assertRegex(said, r"2020-09-13T12:26:40\.000Z suggestion: [0-9a-f]{12}: /batch\.slice "
                               r"cpu\.weight 100 -> 50 .*ranked by rules")
        self.assertIn("2020-09-13T12:26:43.000Z healthy: ", said)
        self.assertNotIn("refused", said)
        self.assertEqual(said, self.expect(PROBLEM, "", "replay", str(self.file)))
        self.assertFalse(self.state.exists(), "it has no part in this machine's state")

    def test_another_configuration(self):
        self.write(*(frame(i, True) for i in range(2)))
        self.config.write_text('{"apply": true, "knobs": {"cpu.weight": "advise"}}')
        self.expect(PROBLEM, "for advice only", "replay", str(self.file), "--own-config")
        said = self.expect(PROBLEM, "measuring before the change", "replay", "--apply",
                           str(self.file))
        self.assertNotIn("for advice only", said)

    def test_json(self):
        self.write(frame(0, True))
        done = self.expect_json(PROBLEM, "replay", str(self.file))
        check("replay", done)
        self.assertEqual((done["frames"], done["file_damage"]), (1, ""))
        event = done["events"][0]
        self.assertEqual(event["suggestion"]["facts"][0]["culprit"], "/batch.slice")
        self.assertEqual(event["wall_ns"], 1_600_000_000 * SECOND)

    def test_a_healthy_recording(self):
        self.write(frame(0, False), frame(1, False))
        self.expect(HEALTHY, "2 looks", "replay", str(self.file))

    def test_broken_files_are_one_line(self):
        self.expect(NO_DATA, "No such file", "replay", str(self.file))
        self.write(llamux_recording=3)
        said = self.expect(PROBLEM, "a recording of version 3, telemetry 1; this agent reads "
                           "version 1", "replay", str(self.file))
        self.assertEqual(said.count("\n"), 1)
        self.file.write_text("hello\n")
        said = self.expect(PROBLEM, "not a recording of llamux-agent", "replay", str(self.file))
        self.assertEqual(said.count("\n"), 1)
        self.write(frame(0, False), frame(1, False))
        self.file.write_bytes(self.file.read_bytes()[:-9])
        said = self.expect(PROBLEM, "the file is cut off", "replay", str(self.file))
        self.assertEqual(said.count("llamux-agent: "), 1)

    def test_nothing_is_recorded_without_the_module(self):
        self.expect(NO_DATA, "module is not loaded", "record", str(self.file))
        self.assertFalse(self.file.exists())


if __name__ == "__main__":
    main()
