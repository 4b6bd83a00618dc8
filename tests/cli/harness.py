# SPDX-License-Identifier: GPL-2.0-only
"""What the tests of the command line share: the binary on its own state."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
from schema import REPO, SCHEMA, check  # noqa: E402, F401 the tests take them from here

BINARY = sys.argv[1]
HEALTHY, PROBLEM, NO_DATA, NOT_PERMITTED = range(4)


class AgentTest(unittest.TestCase):
    """A test with a state directory and a configuration file of its own."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="llamux-cli-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.state = self.folder / "state"
        self.config = self.folder / "agent.json"
        self.config.write_text("{}")

    def command(self, *words):
        return [BINARY, "--config", str(self.config), "--state-dir", str(self.state), *words]

    def run_agent(self, *words, **options):
        """The finished command; its output as text."""
        return subprocess.run(
            self.command(*words),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "no_proxy": "*"},
            **options,
        )

    def expect(self, status, text, *words, **options):
        """Runs it; @text must be in what it printed. What it printed."""
        done = self.run_agent(*words, **options)
        said = done.stdout + done.stderr
        self.assertEqual(done.returncode, status, said)
        self.assertIn(text, said)
        self.assertNotIn("terminate called", said)
        return said

    def expect_json(self, status, *words):
        """Runs it with --json; the one object that it printed."""
        done = self.run_agent("--json", *words)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        self.assertEqual(done.stdout.count("\n"), 1, done.stdout)
        return json.loads(done.stdout)


def main():
    unittest.main(argv=sys.argv[:1] + sys.argv[2:], verbosity=2)
