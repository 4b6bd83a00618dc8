#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# Catches: a knob whose freezing is forgotten, not shown, or not given back.
"""llamux-agent freeze and unfreeze, each command a process of its own."""
import json

from harness import HEALTHY, NO_DATA, PROBLEM, AgentTest, main


class FreezeTest(AgentTest):
    def left_alone(self):
        # without the module, status is a problem
        return self.expect_json(PROBLEM, "status")["left_alone"]

    def test_is_kept_shown_and_given_back(self):
        self.assertEqual(self.left_alone(), [])
        self.expect(HEALTHY, "cpu.weight of every group: frozen",
                    "freeze", "cpu.weight", "--why", "a benchmark")
        self.expect(HEALTHY, "/batch.slice memory.high: frozen",
                    "freeze", "memory.high", "--group", "/batch.slice")
        held = self.left_alone()
        self.assertEqual([(h["knob"], h["cgroup"], h["reason"], h["why"]) for h in held],
                         [("cpu.weight", "", "frozen", "a benchmark"),
                          ("memory.high", "/batch.slice", "frozen", "")])
        said = self.expect(PROBLEM, "left alone", "status")
        self.assertRegex(said, r"cpu\.weight of every group: frozen by \S+.*, \d+ s ago: a benchm")
        self.expect(HEALTHY, "may change it again", "unfreeze", "cpu.weight")
        self.assertEqual([h["knob"] for h in self.left_alone()], ["memory.high"])
        self.expect(NO_DATA, "cpu.weight of every group is not frozen", "unfreeze", "cpu.weight")
        self.expect(NO_DATA, "is not frozen", "unfreeze", "memory.high", "--group", "/other")
        self.expect(HEALTHY, "may change it again", "unfreeze", "memory.high")
        self.assertEqual(self.left_alone(), [])

    def test_giving_back_forgets_what_was_learned(self):
        def lesson(knob):
            return {"cause": "CPU_CONTENTION", "knob": knob, "direction": "lower", "wall_ns": 1,
                    "outcomes": {"tried": 3, "helped": 0, "worse": 0}}

        self.expect(HEALTHY, "frozen", "freeze", "cpu.weight")
        file = self.state / "experience.json"
        file.write_text(json.dumps({"lessons": [lesson("cpu.weight"), lesson("cpu.max")]}))
        self.expect(HEALTHY, "may change it again", "unfreeze", "cpu.weight")
        self.assertEqual([one["knob"] for one in json.loads(file.read_text())["lessons"]],
                         ["cpu.max"])

    def test_json(self):
        frozen = self.expect_json(HEALTHY, "freeze", "vm.swappiness")
        self.assertEqual((frozen["knob"], frozen["cgroup"], frozen["frozen"]),
                         ("vm.swappiness", "", True))
        freed = self.expect_json(HEALTHY, "unfreeze", "vm.swappiness")
        self.assertFalse(freed["frozen"])

    def test_mistakes(self):
        self.expect(NO_DATA, "vm.drop_caches is not a knob", "freeze", "vm.drop_caches")
        self.expect(PROBLEM, "vm.swappiness has no group", "freeze", "vm.swappiness",
                    "--group", "/a")
        self.expect(PROBLEM, "not the path of a cgroup", "freeze", "cpu.weight", "--group", "a")
        self.expect(PROBLEM, "knob is required", "freeze")


if __name__ == "__main__":
    main()
