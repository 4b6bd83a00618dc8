#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# Catches: a mistake in the configuration that is not shown with its place, and
# a value in force that comes from somewhere else than is said.
"""llamux-agent config check and config show; docs/AGENT.md against both."""
import json
import re

import jsonschema

from harness import HEALTHY, NO_DATA, PROBLEM, REPO, AgentTest, main

MAN = REPO / "docs" / "man"


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


class ConfigSchemaTest(AgentTest):
    """docs/agent.conf.schema.json says what config check says."""

    def setUp(self):
        super().setUp()
        path = REPO / "docs" / "agent.conf.schema.json"
        schema = json.loads(path.read_text(encoding="utf-8"))
        jsonschema.Draft202012Validator.check_schema(schema)
        self.validator = jsonschema.Draft202012Validator(schema)
        self.fields = self.expect_json(HEALTHY, "config", "show")["fields"]

    def agree(self, config):
        """Schema and agent take it, or both do not. Whether they do."""
        self.config.write_text(json.dumps(config))
        done = self.run_agent("config", "check")
        self.assertEqual(done.returncode == HEALTHY, self.validator.is_valid(config),
                         f"{config}: {done.stdout}{list(self.validator.iter_errors(config))}")
        return done.returncode == HEALTHY

    @staticmethod
    def with_value(path, value):
        section, _, name = path.partition(".")
        return {section: {name: value}} if name else {section: value}

    def test_the_defaults_and_the_example(self):
        config = {}
        for field in self.fields:
            for section, value in self.with_value(field["field"], field["value"]).items():
                known = config.setdefault(section, {}) if isinstance(value, dict) else None
                if known is None:
                    config[section] = value
                else:
                    known.update(value)
        self.assertTrue(self.agree(config))
        for page in ("docs/AGENT.md", "docs/METRICS.md"):
            text = (REPO / page).read_text(encoding="utf-8")
            for example in re.findall(r"```json\n(\{.*?\})\n```", text, re.S):
                self.assertTrue(self.agree(json.loads(example)), page)
        man = (MAN / "llamux-agent.conf.5").read_text(encoding="utf-8")
        example = re.search(r"\.Bd -literal\n(\{.*?)\.Ed", man, re.S)[1]
        example = "\n".join(line.split("//")[0] for line in example.splitlines())
        self.assertTrue(self.agree(json.loads(example)))

    def test_every_field_with_odd_values(self):
        odd = (True, -21, -20, 0, 0.05, 0.1, 2, 9.5, 19, 60, 101, 999, 1001, 86400, 86401, 10**9,
               "", "revert", "off", "apply", "127.0.0.1:1", "127.0.0.1:x", None, [], ["/a"], ["a"],
               [3], {}, {"x": 1})
        taken = 0
        for field in self.fields:
            for value in odd:
                taken += self.agree(self.with_value(field["field"], value))
        self.assertGreater(taken, 60)
        for section in {field["field"].split(".")[0] for field in self.fields}:
            self.assertFalse(self.agree({section + "x": 1}))


if __name__ == "__main__":
    main()
