#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The module in a kernel at native speed, next to user space: one thread each.

Usage: uml.py --server BENCH_SERVER --python PYTHON --out FOLDER MODEL.gguf

A User Mode Linux has one CPU, whose code runs on the host's as it is. Its memory
is a file of the host's, in 4 KB pages, so the user-space build is measured with
pages of 4 KB, too. All take turns; prints the module's ratio to each and writes
FOLDER/uml.json.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from compare import HUGE, Engine, measure, spread  # noqa: E402
from in_guest import REPO  # noqa: E402
from module import decode_rate, open_session, prefill_rate  # noqa: E402

ROWS = [("decode", 64, 1), ("prefill", 128, 1)]
DECODE_SECONDS = 2  # about 64 tokens
MEMORY = "2G"
BOOT_SECONDS = 120


def replace(path, text):
    with open(path + ".part", "w", encoding="ascii") as file:
        file.write(text)
    os.rename(path + ".part", path)


def wait_for(path, process=None, seconds=None):
    begin = time.monotonic()
    while not os.path.exists(path):
        if process and process.poll() is not None:
            sys.exit(f"bench: the guest ended with {process.returncode}")
        if seconds and time.monotonic() - begin > seconds:
            sys.exit(f"bench: the guest has not answered for {seconds} s")
        time.sleep(0.05)
    with open(path, encoding="ascii") as file:
        return file.read()


class Module:
    """Answers as compare.Engine does. Requests and answers are files that the
    guest sees through hostfs."""

    def __init__(self, folder, model):
        self.name = "Llamux in the kernel"
        self.rates = {row: [] for row in ROWS}
        self.folder = folder
        self.n_asked = 0
        os.makedirs(folder, exist_ok=True)
        for name in os.listdir(folder):
            os.unlink(os.path.join(folder, name))
        self.log = open(os.path.join(folder, "guest.log"), "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [os.path.join(REPO, "tests/vm/run-vm"), "--kernel", "uml-plain", "--mem", MEMORY,
             "--timeout", "1800", "--", "/usr/bin/python3", os.path.abspath(__file__), "--in-guest",
             "--out", folder, os.path.abspath(model)], stdout=self.log, stderr=self.log)
        self.version = wait_for(os.path.join(folder, "ready"), self.process, BOOT_SECONDS)

    def ask(self, what, n_tokens, _threads):
        request = f"{self.folder}/{self.n_asked}"
        self.n_asked += 1
        replace(request, f"{what} {n_tokens}")
        return float(wait_for(request + ".answer", self.process, BOOT_SECONDS))

    def end(self):
        replace(f"{self.folder}/{self.n_asked}", "end 0")
        self.process.wait()


def guest(folder, model):
    subprocess.run(["insmod", os.environ["LLAMUX_KO"], "threads=1", "model=" + model], check=True)
    # Not through the overlay on top of it, which remembers what is not there.
    subprocess.run(["mount", "-t", "hostfs", "-o", folder, "none", "/mnt"], check=True)
    replace("/mnt/ready", os.uname().release)
    session = open_session()
    number = 0
    while True:
        what, n_tokens = wait_for(f"/mnt/{number}").split()
        if what == "end":
            return
        rate = (decode_rate(session, DECODE_SECONDS) if what == "decode"
                else prefill_rate(int(n_tokens)))
        replace(f"/mnt/{number}.answer", str(rate))
        number += 1


def main():
    parser = argparse.ArgumentParser()
    for name in ("server", "python", "out"):
        parser.add_argument("--" + name)
    parser.add_argument("--in-guest", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("model")
    options = parser.parse_args()
    if options.in_guest:
        guest(options.out, options.model)
        return
    peer = [options.python, os.path.join(REPO, "tests/bench/peer.py"), "llama.cpp", options.model]
    server = [options.server, options.model]
    module = Module(os.path.join(os.path.abspath(options.out), "uml"), options.model)
    engines = [module] + [Engine(*what) for what in [
        ("user space", server, {}), ("user space, 2 MB pages", server, HUGE),
        ("llama.cpp as packaged", peer, {})]]
    measure(engines, ROWS, 5)
    module.end()
    for row in ROWS:
        print(f"{row[0]} {row[1]}, 1 thread")
        for engine in engines:
            ratio = statistics.median(a / b for a, b in zip(module.rates[row], engine.rates[row]))
            note = "" if engine is module else f"   the module is {ratio:.2f} x"
            print(f"  {engine.name:24} {spread(engine.rates[row]):26}{note}")
    with open(os.path.join(options.out, "uml.json"), "w", encoding="utf-8") as file:
        json.dump([{"what": row[0], "n_tokens": row[1], "kernel": module.version,
                    "tokens_per_s": {e.name: e.rates[row] for e in engines}} for row in ROWS],
                  file, indent=1)


main()
