# SPDX-License-Identifier: GPL-2.0-only
"""The trials of a kernel that are kept in build/gym, each with what it was made with.

Trials of different builds are never mixed: those that were made with other files
than are there now are as if they were not there.
"""
import hashlib
import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "vm"))
import guest  # noqa: E402
from scenarios import BY_NAME  # noqa: E402

MODEL = HERE.parents[1] / "models/llamux-pilot-q8_0.gguf"


def made_with(build, release):
    """{part: hash} of all that every trial's outcome depends on, but for the machine."""
    parts = {
        "agent": [build / "agent/llamux-agent"],
        "module": [build / "kmod" / release / "llamux.ko"],
        "model": [MODEL],
        "suite": [build / "tests/gym/workload", HERE / "trial.py"],
    }
    return {part: digest(b"".join(path.read_bytes() for path in paths)) for part, paths in parts.items()}


def digest(content):
    return hashlib.sha256(content).hexdigest()[:12]


class Trials:
    def __init__(self, build, release, series):
        self.folder = build / "gym" / series
        self.made_with = made_with(build, release)

    def parts_of(self, trial):
        """What this trial is made with: its scenario, and the model where the module has one."""
        scenario = BY_NAME[trial["scenario"]]
        has_model = scenario.has_model(trial["runner"])
        parts = {part: of for part, of in self.made_with.items() if part != "model" or has_model}
        return parts | {"scenario": digest(repr(scenario).encode())}

    def keep(self, name, trial):
        """In one step: the next run may be cut off at any moment."""
        self.folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(trial | {"made_with": self.parts_of(trial)}, indent=1)
        guest.write_whole(self.folder / f"{name}.json", text.encode())

    def all(self):
        """({name: trial}, how many are of another build)."""
        found = {path.stem: json.loads(path.read_text()) for path in self.folder.glob("*.json")}
        mine = {name: t for name, t in found.items() if t.get("made_with") == self.parts_of(t)}
        return mine, len(found) - len(mine)
