#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Speed while the machine thrashes: the module, and llama.cpp beside it.

Usage: thrash.py --python PYTHON --out FOLDER [--kernel 6.12] MODEL.gguf

Boots a guest with 1 GB of memory and a swap disk. Both generate from the same
file in turn, first at rest, then while programs at idle priority write to more
memory than there is, so that the CPU is free and memory is not. PYTHON has
llama.cpp (peer.py). Before that, how long an administrator waits for an answer
about the machine, with the model of this repository. Prints a table and what
the module's threads did, writes FOLDER/thrash.json and, where matplotlib is
there, thrash.png.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time

sys.dont_write_bytecode = True
import in_guest  # noqa: E402
from module import counters, decode_and_threads, open_session  # noqa: E402

ROUNDS = 4
SECONDS = 8
PEER_TOKENS = 8
GUEST_MEMORY = "1G"
SWAP_MIB = 2048
HOG_MEMORY = "1000m"  # of both together
AGENT = os.path.join(in_guest.REPO, "build/agent/llamux-agent")
PILOT = os.path.join(in_guest.REPO, "models/llamux-pilot-q8_0.gguf")
MODULE, PEER = "Llamux in the kernel", "llama.cpp, mapped file"
REST, THRASH = "at rest", "thrashing"


class Peer:
    def __init__(self, python, model):
        self.process = subprocess.Popen(
            [python, os.path.join(in_guest.REPO, "tests/bench/peer.py"), "llama.cpp", model],
            text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.version = self.process.stdout.readline().strip().removeprefix("ready ")
        if not self.version:
            raise SystemExit("thrash: llama.cpp cannot be had (its message is above)")

    def rate(self):
        self.process.stdin.write(f"decode {PEER_TOKENS} {os.cpu_count()}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


def swapped_pages():
    return int(counters("/proc/vmstat")["pswpin"])


class Hog:
    """Two programs that write to more memory than there is, while it lives."""

    def __enter__(self):
        before = swapped_pages()
        self.process = subprocess.Popen(
            ["chrt", "-i", "0", "stress-ng", "-q", "--vm", "2", "--vm-bytes", HOG_MEMORY, "--vm-keep",
             "--vm-method", "rand-set"])
        deadline = time.monotonic() + 120
        while swapped_pages() < before + 1000:
            if time.monotonic() > deadline:
                raise SystemExit("thrash: the guest does not swap")
            time.sleep(1)

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def ask():
    """Seconds until llamux-agent has answered."""
    began = time.monotonic()
    answer = subprocess.run([AGENT, "--state-dir", "/tmp/agent", "ask", "why is my system slow?"],
                            check=False, capture_output=True, text=True)
    if answer.returncode > 1:
        raise SystemExit("thrash: llamux-agent: " + answer.stderr)
    return time.monotonic() - began


def asked():
    subprocess.run(["insmod", os.environ["LLAMUX_KO"], "model=" + PILOT], check=True)
    seconds = {REST: [ask() for _ in range(ROUNDS)]}
    with Hog():
        seconds[THRASH] = [ask() for _ in range(ROUNDS)]
    subprocess.run(["rmmod", "llamux"], check=True)
    return seconds


def guest(python, model):
    subprocess.run(["modprobe", "virtio_blk"], check=True)
    subprocess.run(["mkswap", "-q", "/dev/vda"], check=True)
    subprocess.run(["swapon", "/dev/vda"], check=True)
    answers = asked()
    # Both at nice 0, which the module gives an administrator's questions, too:
    # kswapd, which has it, is busy.
    subprocess.run(["insmod", os.environ["LLAMUX_KO"], "nice=0", "model=" + model], check=True)
    peer = Peer(python, model)
    rates = {name: {REST: [], THRASH: []} for name in (MODULE, PEER)}
    threads = {REST: [], THRASH: []}
    session = open_session()

    def measure(when):
        for _ in range(ROUNDS):
            module = decode_and_threads(session, SECONDS)
            rates[MODULE][when].append(module.pop("tokens_per_s"))
            threads[when].append(module)
            rates[PEER][when].append(peer.rate())

    measure(REST)
    with Hog():
        begin, pages = time.monotonic(), swapped_pages()
        measure(THRASH)
        pages_per_s = (swapped_pages() - pages) / (time.monotonic() - begin)
    in_guest.give({
        "answer_s": answers, "tokens_per_s": rates, "module_threads": threads,
        "swap_in_pages_per_s": pages_per_s,
        "guest_memory_kib": int(counters("/proc/meminfo")["MemTotal"]), "peer": peer.version,
        "isa": counters("/proc/llamux/status")["isa"]})


def plot(rates, path):
    try:
        import matplotlib
    except ImportError:
        print("bench: python3-matplotlib is missing: no plot")
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot
    figure, axis = pyplot.subplots(figsize=(5, 4))
    for i, (name, by_when) in enumerate(rates.items()):
        rest = statistics.median(by_when[REST])
        shares = [[100 * rate / rest for rate in by_when[when]] for when in (REST, THRASH)]
        axis.bar([i - 0.2, i + 0.2], [statistics.median(s) for s in shares], width=0.38,
                 color=["C0", "C1"])
        for x, share in zip((i - 0.2, i + 0.2), shares):
            axis.plot([x] * len(share), share, "k.", markersize=4)
    axis.set_xticks(range(len(rates)), list(rates))
    axis.set_ylabel("tokens per second, % of the median at rest")
    axis.set_title("blue: at rest, orange: while the guest swaps")
    figure.tight_layout()
    figure.savefig(path)


def report(result, out):
    for when, seconds in result["answer_s"].items():
        print(f"  llamux-agent ask, {when}: {statistics.median(seconds):.1f} s"
              f" ({min(seconds):.1f}..{max(seconds):.1f})")
    for name, by_when in result["tokens_per_s"].items():
        rest, thrash = (by_when[when] for when in (REST, THRASH))
        print(f"  {name:24} at rest {statistics.median(rest):6.2f} ({min(rest):.2f}..{max(rest):.2f})"
              f"   thrashing {statistics.median(thrash):6.2f} ({min(thrash):.2f}..{max(thrash):.2f})"
              f"   {100 * statistics.median(thrash) / statistics.median(rest):.0f} %")
    for when, rounds in result["module_threads"].items():
        per_cpu_s, ran, waited = (statistics.median(r[what] for r in rounds)
                                  for what in ("tokens_per_cpu_s", "ran", "waited"))
        print(f"  the module's threads {when}: ran {ran:.0%} of the time, waited for a CPU"
              f" {waited:.0%}; {per_cpu_s:.2f} tokens a second of their CPU time")
    print(f"  swapped in {result['swap_in_pages_per_s']:.0f} pages a second;"
          f" {result['peer']}, module's table {result['isa']}")
    plot(result["tokens_per_s"], os.path.join(out, "thrash.png"))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--python", required=True)
    parser.add_argument("--out")
    parser.add_argument("--kernel", default="6.12")
    parser.add_argument("--in-guest", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("model")
    options = parser.parse_args()
    if options.in_guest:
        guest(options.python, options.model)
        return
    result = in_guest.ask(
        __file__, options.kernel,
        ["--python", os.path.abspath(options.python), os.path.abspath(options.model)],
        "--mem", GUEST_MEMORY, "--disk", str(SWAP_MIB))
    with open(os.path.join(options.out, "thrash.json"), "w", encoding="utf-8") as file:
        json.dump(result, file, indent=1)
    report(result, options.out)


main()
