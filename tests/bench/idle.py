#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""What the service takes where nothing is wrong: CPU time and memory.

Usage: idle.py --out FOLDER [--seconds 120] AGENT

Runs the service with a journal of its own, lets it settle, and reads what the
kernel has counted for it. Without module, BPF or PSI it does less; it says so,
and this prints it. In a guest everything is there, but emulated:

  tests/vm/run-vm -- sh -c 'insmod $LLAMUX_KO model=models/llamux-pilot-q8_0.gguf &&
    tests/bench/idle.py --out /tmp $LLAMUX_BUILD/agent/llamux-agent'

Writes FOLDER/idle.json.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

SETTLE_SECONDS = 15
# docs/SAFETY.md: the self-limits.
MOST_CPU_PERCENT = 0.1
MOST_RESIDENT_KIB = 15 * 1024


def runtime_ns(pid):
    """Time on a CPU, of all threads."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total


def resident_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


def measure(agent, seconds):
    with tempfile.TemporaryDirectory(prefix="llamux-idle-") as folder:
        config = os.path.join(folder, "agent.json")
        with open(config, "w", encoding="ascii") as file:
            file.write("{}")
        command = [agent, "--config", config, "--state-dir", folder, "run"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as service:
            time.sleep(SETTLE_SECONDS)
            if service.poll() is not None:
                sys.exit(f"idle: the service does not run: {service.stderr.read().strip()}")
            began, before = time.monotonic(), runtime_ns(service.pid)
            time.sleep(seconds)
            used_ns, passed = runtime_ns(service.pid) - before, time.monotonic() - began
            resident = resident_kib(service.pid)
            service.terminate()
            said = [line for line in service.stderr.read().splitlines() if " warning " in line]
    return {"cpu_percent": used_ns / 1e7 / passed, "resident_kib": resident, "seconds": passed,
            "said": said}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", required=True)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("agent")
    args = parser.parse_args()
    result = measure(args.agent, args.seconds)
    with open(os.path.join(args.out, "idle.json"), "w", encoding="ascii") as file:
        json.dump(result, file)
    for line in result["said"]:
        print(line)
    print(f"the service, idle: {result['cpu_percent']:.3f} % of a CPU (at most {MOST_CPU_PERCENT}),"
          f" {result['resident_kib'] / 1024:.1f} MiB resident (at most {MOST_RESIDENT_KIB // 1024})")


if __name__ == "__main__":
    main()
