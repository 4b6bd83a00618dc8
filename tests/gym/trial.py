#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""One trial of the fault suite: a scenario with one runner. Runs in a guest.

  trial.py SCENARIO RUNNER --seed N --out FILE [--tuned PROFILE]

Writes one JSON object to FILE: the response times of each second, what was
seen, suggested, changed and kept. Judges nothing. Of Llamux it uses what
everybody has: the module, `llamux-agent run --apply`, `advise` and `apply`.
"""
import argparse
import configparser
import contextlib
import json
import os
import random
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
from scenarios import BATCH, BY_NAME, DISK_BYTES, DISK_REQUESTS, RUNNERS, WEB  # noqa: E402

BUILD = Path(os.environ["LLAMUX_BUILD"])
WORKLOAD = BUILD / "tests/gym/workload"
AGENT = BUILD / "agent/llamux-agent"
MODEL = Path(os.environ["LLAMUX_REPO"]) / "models/llamux-pilot-q8_0.gguf"
CGROUP = Path("/sys/fs/cgroup")
DISK = Path("/run/disk")
WORK = Path("/tmp/gym")

# Seconds: the service alone; with the load; of these the last that are judged.
ALONE, LOADED, JUDGED = 4, 22, 7
# Until the service has read its file.
START_SECONDS = 40
# The oracle's: after each write, and measured before and after it.
SETTLE, PHASE = 2, 5
# Of 2 s each: how often random and oracle look for trouble.
LOOKS = 5
# Quicker than the service's defaults, so that a trial is short: what is
# measured is the ranking, not how long the agent waits between looks. The model is
# not made to pause: its runner is to show what it is worth.
CONFIG = {
    "interval_seconds": 1,
    "on_exit": "keep",
    "pause_model_permille": 0,
    "measure": {"windows": 3, "settle_seconds": 2, "return_windows": 1},
    "knobs": {"memory.high": "apply"},
}


def boot_seconds():
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def write(path, value):
    Path(path).write_text(f"{value}\n")


def available_mib():
    line = re.search(r"MemAvailable: *(\d+)", Path("/proc/meminfo").read_text())
    return int(line[1]) >> 10


def run(*command, **options):
    return subprocess.run([str(word) for word in command], check=True, **options)


class Stage:
    """The machine of a scenario. close() takes back what it changed, in reverse order."""

    def __init__(self, scenario):
        self.scenario = scenario
        self.undo = contextlib.ExitStack()
        self.close = self.undo.close
        self.loads = []

    def prepare(self):
        scenario = self.scenario
        WORK.mkdir(exist_ok=True)
        if scenario.swap_mib:
            self.add_swap(scenario.swap_mib)
        if scenario.disk:
            self.add_disk(scenario.data_mib)
        if scenario.iocost:
            self.enable_iocost()
        if scenario.recorded_clock:
            self.record_clock(scenario.recorded_clock)
        for group in sorted({WEB, BATCH, scenario.service_group, scenario.load_group}):
            self.add_group(CGROUP / group[1:])
        for (group, file), value in scenario.settings.items():
            write(CGROUP / group[1:] / file, value)
        # What a candidate may move, by the service or by the oracle.
        for name in ("swappiness", "watermark_scale_factor", "dirty_background_ratio", "dirty_ratio"):
            self.sysctl(f"vm.{name}")

    @staticmethod
    def add_group(path):
        if path.parent != CGROUP:
            write(path.parent / "cgroup.subtree_control", "+cpu +memory +io")
        path.mkdir()

    def sysctl(self, name, value=None):
        path = Path("/proc/sys") / name.replace(".", "/")
        self.undo.callback(write, path, path.read_text().strip())
        if value is not None:
            write(path, value)

    def add_swap(self, mib):
        run("modprobe", "zram")
        self.undo.callback(run, "modprobe", "-r", "zram")
        write("/sys/block/zram0/disksize", f"{mib}M")
        run("mkswap", "/dev/zram0", stdout=subprocess.DEVNULL)
        run("swapon", "/dev/zram0")
        self.undo.callback(run, "swapoff", "/dev/zram0")

    def add_disk(self, data_mib):
        for module in ("virtio_blk", "ext4"):
            run("modprobe", module)
        run("mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal", "/dev/vda")
        DISK.mkdir()
        self.undo.callback(DISK.rmdir)
        run("mount", "/dev/vda", DISK)
        self.undo.callback(run, "umount", DISK)
        block = random.Random(1).randbytes(1 << 20)
        with open(DISK / "data", "wb") as data:
            for _ in range(max(data_mib, 1)):
                data.write(block)
        os.sync()
        write("/proc/sys/vm/drop_caches", 3)

    def enable_iocost(self):
        device = Path("/sys/block/vda/dev").read_text().strip()
        speed = " ".join(f"{way}bps={DISK_BYTES} {way}seqiops={DISK_REQUESTS} {way}randiops={DISK_REQUESTS}"
                         for way in "rw")  # fmt: skip
        write(CGROUP / "io.cost.model", f"{device} ctrl=user model=linear {speed}")
        # The latency only sets the period in which it accounts: 1 s without, too long for a trial.
        latency = " ".join(f"{way}pct=95 {way}lat=10000" for way in "rw")
        write(CGROUP / "io.cost.qos", f"{device} enable=1 ctrl=user {latency} min=100 max=100")
        self.undo.callback(write, CGROUP / "io.cost.qos", f"{device} enable=0")

    def record_clock(self, permille):
        """Files as those of a laptop that throttles; the guest has no cpufreq of its own."""
        cpu = Path("/sys/devices/system/cpu")
        online = (cpu / "online").read_text()
        run("mount", "-t", "tmpfs", "tmpfs", cpu)
        self.undo.callback(run, "umount", cpu)
        write(cpu / "online", online.strip())
        (cpu / "cpu0/cpufreq").mkdir(parents=True)
        write(cpu / "cpu0/cpufreq/cpuinfo_max_freq", 4_000_000)
        write(cpu / "cpu0/cpufreq/scaling_cur_freq", 4_000 * permille)

    def start(self, group, arguments, name=""):
        words = shlex.split(arguments.replace("$DISK", str(DISK)))
        program = WORKLOAD
        if name:
            program = WORK / name
            program.symlink_to(WORKLOAD)
        procs = CGROUP / group[1:] / "cgroup.procs"
        process = subprocess.Popen(
            [str(program), *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            preexec_fn=lambda: write(procs, os.getpid()))  # fmt: skip
        self.watch(process)
        return process

    def watch(self, process):
        """To be ended with the stage."""
        self.loads.append(process)
        self.undo.callback(process.wait)
        self.undo.callback(process.kill)

    def died(self):
        """Exit statuses of what should still run."""
        return [load.returncode for load in self.loads if load.poll() is not None]


# ---- Llamux ------------------------------------------------------------------


class Llamux:
    """Module and agent, as an administrator starts them."""

    def __init__(self, with_model):
        model = [f"model={MODEL}"] if with_model else []
        run("insmod", os.environ["LLAMUX_KO"], *model)
        self.state = WORK / "state"
        self.config = WORK / "agent.json"
        self.config.write_text(json.dumps(CONFIG))

    def command(self, *words):
        options = ("--config", self.config, "--state-dir", self.state)
        return [str(word) for word in (AGENT, *options, *words)]

    def start_service(self, acts):
        log = open(WORK / "agent.log", "wb")
        words = ["run", "--apply"] if acts else ["run"]
        self.service = subprocess.Popen(self.command(*words), stderr=log)

    def advise(self, *options):
        """Facts and candidates; the exit status says only whether there are any."""
        done = subprocess.run(
            self.command("--json", "advise", *options), capture_output=True, text=True
        )
        return json.loads(done.stdout)

    def advise_on_trouble(self, *options):
        """The first advice with a fact, or the last of some: trouble may need time to build up."""
        for _ in range(LOOKS):
            advice = self.advise(*options)
            if advice["facts"]:
                break
        return advice

    def try_change(self, candidate):
        group = ["--group", candidate["cgroup"]] if candidate["cgroup"] else []
        subprocess.run(
            self.command("apply", "--knob", candidate["knob"], *group, "--value",
                         str(candidate["value_new"])),
            capture_output=True,
        )  # fmt: skip

    def events(self):
        path = self.state / "audit.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def stop(self):
        self.service.terminate()
        self.service.wait()


def keep_talking():
    """A client that makes the model generate, in a process of its own."""
    loop = "while :; do echo why is it slow >/proc/llamux/prompt; cat /proc/llamux/prompt; done"
    return subprocess.Popen(["sh", "-c", loop], stdout=subprocess.DEVNULL)


# ---- the oracle ----------------------------------------------------------------

FILES = {"vm.swappiness": "vm/swappiness", "vm.watermark_scale_factor": "vm/watermark_scale_factor"}


def writes_of(candidate):
    """[(file, value)] that make the change; docs/SAFETY.md: the dirty pair is one knob."""
    knob, value = candidate["knob"], candidate["value_new"]
    if knob == "vm.dirty_ratio":
        return [(Path("/proc/sys/vm/dirty_background_ratio"), min(max(value // 2, 2), 10)),
                (Path("/proc/sys/vm/dirty_ratio"), value)]  # fmt: skip
    if knob.startswith("vm."):
        return [(Path("/proc/sys") / FILES[knob], value)]
    path = CGROUP / candidate["cgroup"][1:] / knob
    if knob == "cpu.max":
        period = path.read_text().split()[1]
        return [(path, f"{value} {period}")]
    return [(path, value)]


def present(path):
    text = path.read_text().strip() if path.name != "memory.reclaim" else ""
    return re.sub(r"^default ", "", text)


def oracle(llamux, seconds_now):
    """Tries each candidate by itself, between two phases without it; the model only reads."""
    advice = llamux.advise_on_trouble()
    trials = []
    for candidate in advice["candidates"]:
        if candidate["knob"] == "none" or candidate["direction"] == "keep":
            continue
        trial = {"candidate": candidate, "without": [], "with": []}
        old = [(path, present(path)) for path, _ in writes_of(candidate)]
        for with_it in (False, True, False, True):
            for path, value in writes_of(candidate) if with_it else old:
                if value != "":
                    write(path, value)
            time.sleep(SETTLE)
            begin = seconds_now()
            time.sleep(PHASE)
            trial["with" if with_it else "without"].append((begin, seconds_now()))
        for path, value in old:
            if value != "":
                write(path, value)
        trials.append(trial)
    return advice, trials


# ---- runners -------------------------------------------------------------------


def apply_tuned(stage, profile):
    """What of a TuneD profile the guest has files for: [sysctl], and [disk] where there is one."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.read(profile)
    done = []
    for name, value in parser["sysctl"].items():
        path = Path("/proc/sys") / name.replace(".", "/")
        value = value.split("#")[0].strip()
        limit = re.fullmatch(r">(\d+)", value)
        value = limit[1] if limit else value
        if path.exists():
            stage.sysctl(name, value.strip('"'))
            done.append(f"{name}={value}")
    ahead = Path("/sys/block/vda/queue/read_ahead_kb")
    if stage.scenario.disk:
        write(ahead, parser["disk"]["readahead"].lstrip(">"))
        done.append(f"readahead={present(ahead)}")
    return done


class Trial:
    def __init__(self, scenario, runner, seed, tuned):
        self.scenario = scenario
        self.runner = runner
        self.seed = seed
        self.tuned = tuned
        self.stage = Stage(scenario)
        self.result = {"scenario": scenario.name, "runner": runner, "seed": seed,
                       "kernel": os.uname().release}  # fmt: skip
        self.llamux = None
        self.out = WORK / "service.log"

    def perform(self):
        with contextlib.closing(self.stage):
            self.stage.prepare()
            self.play()
        return self.result

    def play(self):
        scenario = self.scenario
        # Every trial has module and telemetry, whose cost is not what is compared.
        self.llamux = Llamux(with_model=scenario.has_model(self.runner))
        if scenario.begins_with_memory:
            load = self.start_load()
            load.stdout.readline()
        self.stage.start(scenario.service_group, f"{scenario.service} --seed {self.seed} --out {self.out}")
        began = self.service_began()
        if self.runner in ("no-op", "tuned", "rules", "model"):
            self.llamux.start_service(acts=self.runner in ("rules", "model"))
            self.stage.undo.callback(self.llamux.stop)
        if self.runner == "tuned":
            self.result["tuned"] = apply_tuned(self.stage, self.tuned)
        time.sleep(ALONE)
        onset = boot_seconds()
        if scenario.begins_with_memory:
            load.stdin.write("\n")
            load.stdin.flush()
        elif scenario.load:
            self.start_load()
        if scenario.asks:
            self.stage.watch(keep_talking())
        self.act(lambda: boot_seconds() - began)
        if self.runner != "oracle":
            time.sleep(max(0, onset + LOADED - boot_seconds()))
        self.record(began, onset)

    def start_load(self):
        scenario = self.scenario
        load = f"{scenario.load} --seed {self.seed}" if "--file" in scenario.load else scenario.load
        return self.stage.start(scenario.load_group, load, scenario.load_name)

    def service_began(self):
        """When the service's second 0 was; it writes its first line at second 1."""
        deadline = boot_seconds() + START_SECONDS
        while not self.out.exists() or not self.out.stat().st_size:
            if boot_seconds() > deadline:
                raise TimeoutError("the service does not start")
            time.sleep(0.05)
        return boot_seconds() - 1

    def act(self, seconds_now):
        if self.runner == "random":
            time.sleep(1)
            advice = self.llamux.advise_on_trouble("--rules-only")
            self.result["facts"] = advice["facts"]
            choice = random.Random(f"{self.scenario.name}{self.seed}").choice(advice["candidates"])
            self.result["suggested"] = choice
            if choice["direction"] != "keep":
                self.llamux.try_change(choice)
        elif self.runner == "oracle":
            time.sleep(4)
            advice, self.result["trials"] = oracle(self.llamux, seconds_now)
            self.result["facts"] = advice["facts"]
            self.result["prompt"] = advice["prompt"]

    def record(self, began, onset):
        lines = [line.split() for line in self.out.read_text().splitlines()]
        self.result["seconds"] = [
            {"at": int(at), "done": int(done), "p50_us": int(p50), "p99_us": int(p99),
             "given_up": int(given_up)}
            for at, done, p50, p99, given_up in lines
        ]  # fmt: skip
        self.result |= {
            "available_mib": available_mib(),
            "onset": onset - began,
            "judged_from": onset - began + LOADED - JUDGED,
            "died": self.stage.died(),
            "pressure": {
                what: Path(f"/proc/pressure/{what}").read_text().split()[1] for what in ("cpu", "memory", "io")
            },
            "events": [
                {**event, "at": event["boot_ns"] / 1e9 - began}
                for event in self.llamux.events()
            ],
        }
        log = WORK / "agent.log"
        if log.exists():
            self.result["log"] = log.read_text(errors="replace")[-4000:]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("scenario", choices=sorted(BY_NAME))
    parser.add_argument("runner", choices=RUNNERS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tuned", type=Path, help="tuned.conf of the profile")
    args = parser.parse_args()
    trial = Trial(BY_NAME[args.scenario], args.runner, args.seed, args.tuned)
    args.out.write_text(json.dumps(trial.perform()))


if __name__ == "__main__":
    main()
