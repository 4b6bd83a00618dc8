#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# Catches: JSON output or an audit line that is not what the schema says, which
# breaks whoever reads it by program.
"""docs/agent.schema.json against what --json prints and what the loop audits.

argv[2]: agent_loop_test, whose scenario with every kind of event is replayed.
"""
import json
import os
import subprocess
import sys

import jsonschema

from harness import HEALTHY, NO_DATA, PROBLEM, REPO, SCHEMA, AgentTest, check, main

LOOP_TEST = sys.argv.pop(2)


class SchemaTest(AgentTest):
    def test_the_schema_is_one_and_refuses_what_it_does_not_know(self):
        jsonschema.Draft202012Validator.check_schema(SCHEMA)
        check("error", {"error": "x", "exit_status": 2})
        for wrong in ({"error": "x"}, {"error": "x", "exit_status": 0},
                      {"error": "x", "exit_status": 1, "more": 1}):
            with self.assertRaises(jsonschema.ValidationError):
                check("error", wrong)

    def test_what_commands_print(self):
        profiles = ("--profiles", str(REPO / "agent" / "goals"))
        manifest = ("--manifest", str(REPO / "models" / "manifest.json"))
        for name, status, words in (
            ("freeze", HEALTHY, ("freeze", "cpu.weight", "--why", "x")),
            ("status", PROBLEM, ("status",)),
            ("freeze", HEALTHY, ("unfreeze", "cpu.weight")),
            ("history", HEALTHY, ("history",)),
            ("model list", HEALTHY, ("model", *manifest, "list")),
            ("model fetch", HEALTHY, ("model", *manifest, "fetch", "pilot")),
            ("model verify", HEALTHY, ("model", *manifest, "verify", "pilot")),
            ("goal --list", HEALTHY, ("goal", *profiles, "--list")),
            ("goal", HEALTHY, ("goal", *profiles, "default", "--dry-run")),
            ("config check", HEALTHY, ("config", "check")),
            ("config show", HEALTHY, ("config", "show")),
            ("error", NO_DATA, ("explain", "0123456789ab")),
            ("error", NO_DATA, ("rollback", "1")),
            ("error", NO_DATA, ("model", "info")),
        ):
            with self.subTest(words):
                check(name, self.expect_json(status, *words))

    def test_what_commands_audit(self):
        self.expect(HEALTHY, "frozen", "freeze", "cpu.weight", "--why", "x")
        self.expect(HEALTHY, "may change", "unfreeze", "cpu.weight")
        records = self.audited(self.state)
        self.assertEqual([r["event"] for r in records], ["knob-frozen", "knob-freed"])
        self.assertEqual(records[0]["hold"]["why"], "x")

    def test_what_the_loop_audits(self):
        done = subprocess.run(
            [LOOP_TEST, "--gtest_filter=LoopTest.EveryKindOfEventIsAudited"],
            env={**os.environ, "LLAMUX_AUDIT_DIRECTORY": str(self.folder)},
            capture_output=True, text=True, timeout=60, check=False,
        )
        self.assertEqual(done.returncode, 0, done.stdout)
        records = self.audited(self.folder)
        events = {record["event"] for record in records}
        self.assertLessEqual({"suggestion", "measuring", "applied", "kept", "refused", "undone",
                              "frozen", "degraded", "recovered", "healthy"}, events)
        kept = next(record for record in records if record["event"] == "kept")
        self.assertEqual(kept["change"]["effect"]["verdict"], "improved")
        advice = next(record for record in records if record["event"] == "suggestion")
        self.assertEqual([c["knob"] for c in advice["suggestion"]["candidates"]],
                         ["cpu.weight", ""])

    def audited(self, folder):
        lines = (folder / "audit.jsonl").read_text(encoding="utf-8").splitlines()
        records = [json.loads(line) for line in lines]
        self.assertTrue(records)
        for record in records:
            check("audit", record)
        return records


if __name__ == "__main__":
    main()
