#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Llamux and its peers on the same file, alternately in one run.

Usage: compare.py [--quick] --server BENCH_SERVER --python PYTHON --out FOLDER MODEL.gguf

PYTHON has the peers' packages (run.sh makes it); one that it lacks is named and
left out. Prints a table: medians of 5 rounds with least and most, our ratio to
each peer, and our share of what the machine's memory and multipliers can do.
Writes FOLDER/compare.json and, where matplotlib is there, compare.png.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys

HUGE = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
ROWS = [(what, n, threads) for what, n in (("decode", 64), ("prefill", 128), ("prefill", 512))
        for threads in (1, 2)]
SHORT = {"decode": "tg", "prefill": "pp"}


class Engine:
    """A process that answers each line with a number."""

    def __init__(self, name, command, environment):
        self.name = name
        self.rates = {row: [] for row in ROWS}
        self.process = subprocess.Popen(command, env={**os.environ, **environment}, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.version = self.process.stdout.readline().strip().removeprefix("ready ")

    def ask(self, *words):
        try:
            self.process.stdin.write(" ".join(map(str, words)) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            sys.exit(self.name + " ended")
        return float(self.process.stdout.readline())


def start_engines(options):
    peer = [options.python, os.path.join(os.path.dirname(__file__), "peer.py")]
    variants = [
        ("Llamux", [options.server, options.model], HUGE),
        ("llama.cpp", [*peer, "llama.cpp", options.model], {}),
        ("llama.cpp, 2 MB pages", [*peer, "llama.cpp", options.model], HUGE),
        ("ik", [*peer, "ik", options.model], {}),
        ("ik -rtr 1, 2 MB pages", [*peer, "ik", options.model, "repack"], HUGE),
    ]
    engines = []
    for name, command, environment in variants:
        engine = Engine(name, command, environment)
        if engine.version:
            engines.append(engine)
        else:
            print(f"bench: {name} cannot be had (its message is above): left out")
    return engines


def measure(engines, rows, n_rounds):
    for engine in engines:  # warms caches and clocks
        engine.ask("decode", 4, max(threads for _, _, threads in rows))
    for _ in range(n_rounds):
        for row in rows:
            for engine in engines:
                engine.rates[row].append(engine.ask(*row))


def bounds(ours):
    """Tokens per second that memory and multipliers allow, by row."""
    found = {}
    for threads in (1, 2):
        found["decode", threads] = 1e9 * ours.ask("read", threads) / ours.ask("bytes")
        found["prefill", threads] = 1e9 * ours.ask("multiply", threads) / ours.ask("macs")
    return found


def spread(rates):
    return f"{statistics.median(rates):.1f} ({min(rates):.1f}..{max(rates):.1f})"


def print_table(engines, rows, bound):
    ours = engines[0]
    for what, n, threads in rows:
        row = (what, n, threads)
        median = statistics.median(ours.rates[row])
        most = bound[what, threads]
        print(f"{SHORT[what]}{n}, {threads} thread{'s' * (threads > 1)}"
              f"   bound {most:.1f} tok/s, our share {100 * median / most:.0f} %")
        for engine in engines:
            ratio = median / statistics.median(engine.rates[row])
            note = "" if engine is ours else f"   Llamux is {ratio:.2f} x"
            print(f"  {engine.name:24} {spread(engine.rates[row]):26}{note}")


def plot(engines, rows, bound, path):
    try:
        import matplotlib
    except ImportError:
        print("bench: python3-matplotlib is missing: no plot")
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot
    figure, axes = pyplot.subplots(1, len(rows), figsize=(3 * len(rows), 4))
    for axis, (what, n, threads) in zip(axes, rows):
        values = [engine.rates[what, n, threads] for engine in engines]
        medians = [statistics.median(rates) for rates in values]
        errors = [[m - min(v) for m, v in zip(medians, values)],
                  [max(v) - m for m, v in zip(medians, values)]]
        axis.bar(range(len(engines)), medians, yerr=errors,
                 color=["C1"] + ["C0"] * (len(engines) - 1))
        axis.axhline(bound[what, threads], linestyle="--", color="grey")
        axis.set_title(f"{SHORT[what]}{n}, {threads}T")
        axis.set_xticks(range(len(engines)), [engine.name for engine in engines], rotation=60,
                        ha="right", fontsize=7)
    axes[0].set_ylabel("tokens per second; dashed: bound")
    figure.tight_layout()
    figure.savefig(path)


def write_json(engines, rows, bound, path):
    with open(path, "w", encoding="utf-8") as file:
        json.dump([{"what": what, "n_tokens": n, "threads": threads,
                    "bound_tokens_per_s": bound[what, threads],
                    "tokens_per_s": {e.name: e.rates[what, n, threads] for e in engines},
                    "versions": {e.name: e.version for e in engines}}
                   for what, n, threads in rows], file, indent=1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="three rounds, no pp512")
    for name in ("server", "python", "out"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("model")
    options = parser.parse_args()
    engines = start_engines(options)
    if not engines or engines[0].name != "Llamux":
        sys.exit("bench: no bench_server")
    rows = [row for row in ROWS if row[1] != 512] if options.quick else ROWS
    bound = bounds(engines[0])
    measure(engines, rows, 3 if options.quick else 5)
    print_table(engines, rows, bound)
    loads = [engines[0].ask("load", 1) for _ in range(5)]
    print(f"loading, from the page cache: {statistics.median(loads):.2f}"
          f" ({min(loads):.2f}..{max(loads):.2f}) GB/s; into memory not used before: {loads[0]:.2f}")
    print(f"a loop's start and end on 2 threads: {engines[0].ask('barrier', 2):.2f} us")
    print("versions: " + "; ".join(f"{e.name}: {e.version}" for e in engines))
    write_json(engines, rows, bound, os.path.join(options.out, "compare.json"))
    plot(engines, rows, bound, os.path.join(options.out, "compare.png"))


if __name__ == "__main__":
    main()
