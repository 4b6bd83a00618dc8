#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Follows docs/TUTORIAL.md literally, as root, on the machine it runs on.

  tutorial.py FOLDER

FOLDER has the packages. A block "sh" is run as it is. In a block "console" what
follows "$ " is run, and the lines below must be what it prints: "..." stands
for anything within a line, and alone on a line for any lines.
"""
import re
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
# Commands whose status says what the tutorial shows.
MAY_FAIL = ("llamux-agent status", "llamux-agent ask", "ls ")
# "you can try again": the guest's CPUs are threads of a loaded host.
TRIES = {"llamux-agent apply": 6}


def blocks(text):
    """(kind, lines) of each fenced block."""
    for match in re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.M | re.S):
        yield match[1], match[2]


def steps(text):
    """(command, lines that it must print or None)."""
    for kind, block in blocks(text):
        if kind == "sh":
            yield block, None
            continue
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, *lines = part.splitlines()
            yield command, lines


def pattern(lines):
    """A regular expression for all of what is printed."""
    parts = []
    for line in lines:
        if line == "...":
            parts.append(r"(?:.*\n)*?")
        else:
            words = re.sub(r"\s+", " ", line.strip()).split("...")
            parts.append(".*".join(map(re.escape, words)) + r"\n")
    return re.compile("".join(parts))


def squeezed(text):
    lines = (re.sub(r"[ \t]+", " ", line.strip()) for line in text.splitlines())
    return "".join(f"{line}\n" for line in lines)


def fails(command, lines, folder):
    """Why the command does not do what the tutorial says, or ""."""
    done = subprocess.run(["bash", "-c", command], cwd=folder, text=True, check=False,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    print(f"$ {command}\n{done.stdout}", flush=True)
    if done.returncode and not command.startswith(MAY_FAIL):
        return f"exit status {done.returncode}: {command}"
    if lines and not pattern(lines).fullmatch(squeezed(done.stdout)):
        return f"it prints something else than the tutorial says: {command}"
    return ""


def main():
    folder = Path(sys.argv[1]).resolve()
    n_steps = 0
    for command, lines in steps((REPO / "docs" / "TUTORIAL.md").read_text(encoding="utf-8")):
        n_steps += 1
        for _ in range(next((n for start, n in TRIES.items() if command.startswith(start)), 1)):
            why = fails(command, lines, folder)
            if not why:
                break
        if why:
            subprocess.run(["journalctl", "--no-pager", "-u", "llamux-agent"], check=False)
            return f"FAILED: {why}"
    print(f"ok: {n_steps} steps")
    return 0 if n_steps else "FAILED: no commands in the tutorial"


if __name__ == "__main__":
    sys.exit(main())
