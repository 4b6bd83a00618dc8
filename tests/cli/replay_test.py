#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# Catches: a recording that can not be made, sent and decided on again as the
# manual says, or a broken one that is not told in one line.
"""llamux-agent record and replay."""
import recording
from harness import HEALTHY, NO_DATA, PROBLEM, AgentTest, check, main
from recording import SECOND, frame


class ReplayTest(AgentTest):
    def setUp(self):
        super().setUp()
        self.file = self.folder / "r.gz"

    def command(self, *words):
        # without --config: as recorded
        own = super().command(*words)
        return own[:1] + own[3:] if words[-1] != "--own-config" else own[:-1]

    def write(self, *frames, **header):
        recording.write(self.file, *frames, **header)

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
        said = self.expect(PROBLEM, "a recording of version 3, telemetry 2; this agent reads "
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
