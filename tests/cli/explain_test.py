#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# Catches: an explanation that leaves out what this machine has taught, or that can
# no longer read what an older agent stored.
"""llamux-agent explain, on a suggestion that is stored already."""
import json

from harness import HEALTHY, AgentTest, check, main

ID = "5a92d99f4464"


def candidate(knob, phrase, **more):
    return {"knob": knob, "direction": "lower" if knob else "keep", "cgroup": "", "cgroup_id": 0,
            "value_old": 100, "value_new": 50, "score": 0, "probability_permille": 500,
            "phrase": phrase, **more}


class ExplainTest(AgentTest):
    def store(self, **more):
        folder = self.state / "suggestions"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{ID}.json").write_text(json.dumps({
            "id": ID, "wall_ns": 1, "boot_ns": 1, "snapshot_sequence": 1, "window_ns": 1,
            "ranked_by": "model", "margin_permille": 200, "n_prompt_tokens": 0, "detect_ns": 1,
            "rank_ns": 1, "facts": [], "chosen": 0, "prompt": "",
            "candidates": [candidate("cpu.weight", "lower cpu weight of group B", **more),
                           candidate("", "no change")]}))

    def test_what_was_tried_here(self):
        self.store(here={"tried": 4, "helped": 1, "worse": 0})
        self.expect(HEALTHY, "lower cpu weight of group B: helped 1 of 4 times here, for this "
                    "cause; counts", "explain", ID)
        shown = self.expect_json(HEALTHY, "explain", ID)
        check("explain", shown)
        self.assertEqual(shown["suggestion"]["candidates"][0]["here"],
                         {"tried": 4, "helped": 1, "worse": 0, "weight_permille": 500})

    def test_what_an_older_agent_stored(self):
        self.store()
        self.expect(HEALTHY, "none of them, for this cause", "explain", ID)
        check("explain", self.expect_json(HEALTHY, "explain", ID))


if __name__ == "__main__":
    main()
