#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# Catches: a monitor that shows something else than there is, does not fit an
# ordinary terminal, ignores its keys, or leaves the terminal in disorder.
"""llamux-agent monitor in a terminal of 80 x 24, which is tmux."""
import json
import os
import pathlib
import shlex
import subprocess
import time
import zlib

import recording
from harness import BINARY, HEALTHY, NO_DATA, PROBLEM, AgentTest, check, main

BOOT_ID = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def sealed(entry):
    """A line of the journal, by its description in docs/AGENT.md."""
    body = json.dumps(entry, separators=(",", ":"))[:-1]
    return f'{body},"sum":"{zlib.crc32(body.encode()):08x}"}}\n'


def kept_change(number):
    """Entries of a change of a group that does not exist (any more)."""
    common = {"change": number, "wall_ns": 1, "boot_ns": 1, "boot_id": BOOT_ID, "pid": 1,
              "pid_start": 1, "why": ""}
    plan = {"id": "0123456789ab", "knob": "cpu.weight", "cgroup": f"/llamux-test-{number}.slice",
            "cgroup_id": 987654321 + number, "direction": "lower", "value_old": 100,
            "value_new": 50, "old": [{"file": "cpu.weight", "value": "100"}],
            "new": [{"file": "cpu.weight", "value": "50"}], "reversible": True,
            "fact": {"cause": "CPU_CONTENTION", "level": 1, "victim": "", "victim_id": 0,
                     "culprit": "", "culprit_id": 0, "evidence": []}}
    return [{"seq": number, **common, "type": "planned", "plan": plan, "deadline_boot_ns": 2},
            {"seq": number + 1, **common, "type": "written"},
            {"seq": number + 2, **common, "type": "kept"}]


class Terminal:
    """A program in a tmux of its own."""

    def __init__(self, test, command, columns=80, rows=24):
        self.test = test
        self.socket = str(test.folder / "tmux")
        status = test.folder / "status"
        shell = f"{shlex.join(command)}; echo $? >{status}; echo it is over; cat"
        self.status = status
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows), shell)
        test.addCleanup(self.tmux, "kill-server")

    def tmux(self, *words):
        done = subprocess.run(["tmux", "-S", self.socket, *words], capture_output=True, text=True,
                              timeout=30, check=False, env={**os.environ, "TERM": "screen"})
        return done.stdout

    def screen(self):
        return self.tmux("capture-pane", "-p")

    def wait_for(self, text):
        deadline = time.monotonic() + 30
        while text not in (shown := self.screen()):
            self.test.assertLess(time.monotonic(), deadline, f"no {text!r} in\n{shown}")
            time.sleep(0.05)
        return shown

    def press(self, *keys):
        self.tmux("send-keys", *keys)


class MonitorTest(AgentTest):
    def write_recording(self, *frames):
        path = self.folder / "r.gz"
        recording.write(path, *frames)
        return str(path)

    def write_journal(self, *numbers):
        self.state.mkdir(exist_ok=True)
        entries = [entry for number in numbers for entry in kept_change(number)]
        (self.state / "journal.jsonl").write_text("".join(map(sealed, entries)))
        (self.state / "lock").touch()

    def test_shows_what_was_recorded(self):
        path = self.write_recording(recording.frame(0, True), recording.frame(1, False))
        terminal = Terminal(self, self.command("monitor", "--replay", path, "--interval", "3600"))
        shown = terminal.wait_for("q quit")
        for text in ("recording, Linux 6.12.1  2020-09-13 12:26:40 UTC",
                     "/web.slice is slow: another group takes the cpu",
                     "cpu        90.0 %        -", "(99 of 100): 16.4 ms", "CHANGES IN FORCE: 0",
                     "model: none loaded, rules decide", "look 1"):
            self.assertIn(text, shown)
        self.assertRegex(shown, r"(?m)^/batch\.slice +78\.0 % +32\.8 ms .* 256 MiB$")
        self.assertLessEqual(len(shown.rstrip("\n").split("\n")), 24)
        terminal.press("q")
        terminal.wait_for("it is over")
        self.assertEqual(terminal.status.read_text(), "0\n")

    def test_the_recording_goes_on_and_ends(self):
        path = self.write_recording(recording.frame(0, True), recording.frame(1, False))
        terminal = Terminal(self, self.command("monitor", "--replay", path, "--interval", "0.2"))
        shown = terminal.wait_for("the end of the recording")
        self.assertIn("Nothing is wrong", shown)
        self.assertIn("12:26:41 UTC", shown)

    def test_keys_take_changes_back(self):
        self.write_journal(1, 4, 7)
        terminal = Terminal(self, self.command("monitor", "--interval", "3600"))
        shown = terminal.wait_for("CHANGES IN FORCE: 3")
        self.assertRegex(shown, r">  *7  /llamux-test-7\.slice cpu\.weight  100 -> 50  kept")
        terminal.press("Down")
        terminal.wait_for(">   4  /llamux-test-4.slice")
        terminal.press("u")
        terminal.wait_for("Take back change 4? y yes")
        terminal.press("n")
        terminal.wait_for("u undo")
        self.assertEqual(len(self.in_force()), 3, "no is no")
        terminal.press("u")
        terminal.wait_for("Take back change 4? y yes")
        terminal.press("y")
        # The group does not exist: there is nothing to restore.
        terminal.wait_for("CHANGES IN FORCE: 2")
        self.assertEqual([c["change"] for c in self.in_force()], [1, 7])
        terminal.press("U")
        terminal.wait_for("Take back all of them?")
        terminal.press("y")
        shown = terminal.wait_for("CHANGES IN FORCE: 0")
        self.assertIn("gone: change 1: /llamux-test-1.slice cpu.weight", shown)
        self.assertEqual(self.in_force(), [])

    def in_force(self):
        return self.expect_json(PROBLEM, "status")["in_force"]

    def test_a_narrow_terminal_and_a_signal(self):
        path = self.write_recording(recording.frame(0, True))
        # by its short name
        link = self.folder / "llama-mon"
        link.symlink_to(BINARY)
        terminal = Terminal(self, [str(link), "--replay", path], columns=40, rows=12)
        shown = terminal.wait_for("q quit")
        self.assertIn("PRESSURE", shown)
        pid = terminal.tmux("list-panes", "-F", "#{pane_pid}").strip()
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        os.kill(int(children.split()[0]), 15)
        terminal.wait_for("it is over")
        self.assertEqual(terminal.status.read_text(), "0\n")

    def test_without_a_terminal(self):
        path = self.write_recording(recording.frame(0, True))
        self.expect(PROBLEM, "not a terminal", "monitor", "--replay", path)
        said = self.expect(HEALTHY, "/batch.slice", "monitor", "--once", "--replay", path)
        self.assertLessEqual(max(map(len, said.split("\n"))), 80)
        view = self.expect_json(HEALTHY, "monitor", "--replay", path)
        check("monitor", view)
        self.assertEqual(view["groups"][1]["cgroup"], "/batch.slice")
        self.assertEqual(view["pressure"]["cpu"]["some_permille"], 900)
        self.expect(NO_DATA, "No such file", "monitor", "--once", "--replay", path + "x")

    def test_without_the_module(self):
        view = self.expect_json(HEALTHY, "monitor", "--interval", "0.1")
        check("monitor", view)
        self.assertNotIn("model", view)
        self.assertEqual(view["verdict"], "")


if __name__ == "__main__":
    main()
