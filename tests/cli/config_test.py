#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# Catches: a mistake in the configuration that is not shown with its place, and
# a value in force that comes from somewhere else than is said.
"""llamux-agent config check and config show; docs/AGENT.md against both."""
import json
import re

from harness import HEALTHY, NO_DATA, PROBLEM, REPO, AgentTest, main


def flat(fields, prefix=""):
    """{"limits": {"a": 1}} as {"limits.a": 1}; knobs keep their dots."""
    out = {}
    for name, value in fields.items():
        if isinstance(value, dict):
            out.update(flat(value, f"{prefix}{name}."))
        else:
            out[prefix + name] = value
    return out


class ConfigTest(AgentTest):
    def test_check(self):
        self.expect(HEALTHY, "no mistakes", "config", "check")
        self.config.write_text('{\n  "aply": true,\n  "nice": 99, // too nice\n}\n')
        said = self.expect(PROBLEM, f"{self.config}:4:1: syntax error", "config", "check")
        self.assertEqual(said.count("\n"), 1)
        self.config.write_text('{\n  "aply": true, // a word too short\n  "nice": 99\n}\n')
        said = self.expect(PROBLEM, f"{self.config}:2:3: aply is not a field", "config", "check")
        self.assertIn(f"{self.config}:3:3: nice must be a whole number from -20 to 19\n", said)
        mistakes = self.expect_json(PROBLEM, "config", "check")["mistakes"]
        self.assertEqual([(m["line"], m["column"]) for m in mistakes], [(2, 3), (3, 3)])
        # every command says the same
        self.expect(PROBLEM, f"{self.config}:2:3: aply", "history")
        self.config.unlink()
        self.expect(NO_DATA, "No such file", "config", "check")

    def test_show_says_where_each_value_comes_from(self):
        self.config.write_text('{\n\n  "apply": true,\n  "knobs": {"cpu.max": "off"}}')
        fields = {f["field"]: f for f in self.expect_json(HEALTHY, "config", "show")["fields"]}
        self.assertEqual((fields["apply"]["value"], fields["apply"]["from"]),
                         (True, f"{self.config}:3"))
        self.assertEqual((fields["knobs.cpu.max"]["value"], fields["knobs.cpu.max"]["from"]),
                         ("off", f"{self.config}:4"))
        self.assertEqual((fields["nice"]["value"], fields["nice"]["from"]), (5, "default"))
        self.assertRegex(self.expect(HEALTHY, "", "config", "show"), r"\napply +true +/.*:3\n")

    def test_the_documented_defaults_are_the_defaults(self):
        page = (REPO / "docs" / "AGENT.md").read_text(encoding="utf-8")
        documented = flat(json.loads(re.search(r"```json\n(\{.*?\n\})\n```", page, re.S)[1]))
        shown = {f["field"]: f["value"]
                 for f in self.expect_json(HEALTHY, "config", "show")["fields"]
                 if not f["field"].startswith("knobs.")}
        documented.pop("knobs", None)
        self.assertEqual(documented, shown)


if __name__ == "__main__":
    main()
