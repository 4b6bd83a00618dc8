#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""What inference does to others: how late a waking task runs, in a guest.

Usage: neighbour.py --out FOLDER [--kernel 6.12|6.1|uml-plain] MODEL.gguf

cyclictest's threads, one for each CPU, at the usual priority (SCHED_OTHER, nice
0), sleep for 2 ms again and again, in turn beside nothing, beside the module
that answers a user without end, and beside a program that spins at nice 19, for
comparison. Prints percentiles in microseconds and writes
FOLDER/neighbour-KERNEL.json. The emulated CPU of a QEMU guest is an order of
magnitude slower, and so are its FPU sections; a User Mode Linux has the host's
speed, but its timers are signals.
"""
import argparse
import json
import os
import subprocess
import sys
import threading

sys.dont_write_bytecode = True
import in_guest  # noqa: E402
from module import count, counters, open_session  # noqa: E402

ROUNDS = 3
SECONDS = 10
INTERVAL_US = 2000
LATEST_US = 100000
PERCENTILES = (50, 99, 99.9)
REST, INFERENCE, SPINNING = "at rest", "beside inference", "beside a spinning program"


def cyclictest():
    """How many wake-ups were that many microseconds late, all CPUs together."""
    said = subprocess.run(
        ["cyclictest", "--policy=other", "--default-system", "-q", "-a", "-t", f"-i{INTERVAL_US}",
         f"-D{SECONDS}", f"-h{LATEST_US}"], check=True, text=True, stdout=subprocess.PIPE).stdout
    late = {}
    for line in said.splitlines():
        if line and not line.startswith("#"):
            microseconds, *numbers = map(int, line.split())
            late[microseconds] = sum(numbers)
        elif line.startswith("# Histogram Overflows:"):
            late[LATEST_US] = sum(map(int, line.split(":")[1].split()))
    return late


def percentile(late, percent):
    remaining = sum(late.values()) * (1 - percent / 100)
    for microseconds in sorted(late, reverse=True):
        remaining -= late[microseconds]
        if remaining < 0:
            return microseconds
    return 0


class Inference(threading.Thread):
    """Keeps the module answering while it lives."""

    def __init__(self):
        super().__init__()
        self.ending = threading.Event()

    def run(self):
        session = open_session()
        while not self.ending.is_set():
            count(session, 1)

    def __enter__(self):
        self.start()

    def __exit__(self, *_):
        self.ending.set()
        self.join()


def spinning():
    return subprocess.Popen(["nice", "-n", "19", "stress-ng", "-q", "--cpu", str(os.cpu_count()),
                             "--cpu-method", "int64"])


def guest(model):
    subprocess.run(["insmod", os.environ["LLAMUX_KO"], "n_ctx=512", "model=" + model], check=True)
    late = {REST: [], INFERENCE: [], SPINNING: []}
    for _ in range(ROUNDS):
        late[REST].append(cyclictest())
        with Inference():
            late[INFERENCE].append(cyclictest())
        with spinning() as program:
            late[SPINNING].append(cyclictest())
            program.terminate()
    rounds = {beside: [[percentile(one, p) for p in PERCENTILES] + [max(us for us in one if one[us])]
                       for one in of] for beside, of in late.items()}
    in_guest.give({
        "kernel": os.uname().release, "percentiles": PERCENTILES, "late_us": rounds,
        "longest_section_us": int(counters("/proc/llamux/stats")["fpu_longest_ns"]) / 1000})


def report(result):
    print(f"  {'':26}{''.join(f'p{p:<18}' for p in PERCENTILES)}latest (of {ROUNDS} rounds each)")
    middle = {}
    for beside, rounds in result["late_us"].items():
        columns = [sorted(column) for column in zip(*rounds)]
        middle[beside] = [column[len(column) // 2] for column in columns]
        print(f"  {beside:26}" + "".join(f"{f'{c[len(c) // 2]} ({c[0]}..{c[-1]})':19}"
                                         for c in columns))
    at = PERCENTILES.index(99)
    for beside in (INFERENCE, SPINNING):
        rise = 100 * (middle[beside][at] / max(1, middle[REST][at]) - 1)
        print(f"  p99 {beside}: {rise:+.0f} %")
    print(f"  longest FPU section {result['longest_section_us']:.0f} us")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out")
    parser.add_argument("--kernel", default="6.12")
    parser.add_argument("--in-guest", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("model")
    options = parser.parse_args()
    if options.in_guest:
        guest(options.model)
        return
    result = in_guest.ask(__file__, options.kernel, [os.path.abspath(options.model)])
    with open(os.path.join(options.out, f"neighbour-{options.kernel}.json"), "w",
              encoding="utf-8") as file:
        json.dump(result, file, indent=1)
    report(result)


main()
