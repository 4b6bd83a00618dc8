# SPDX-License-Identifier: GPL-2.0-only
"""Recordings, written by their description in docs/AGENT.md."""
import gzip
import json

SECOND = 1_000_000_000
HEADER = {"llamux_recording": 1, "telemetry_schema": 2, "boot_id": "b", "kernel": "6.12.1",
          "model": "", "clock_boot_ns": 100 * SECOND, "clock_wall_ns": 1_600_000_000 * SECOND,
          "tuners": [], "config": {}, "journal": ""}


def group(path, number, cpu_permille, **record):
    return {"path": path, "n_siblings": 1, "cpu_permille": cpu_permille,
            "runq_wait_p99_us": 32768,
            "record": {"run_ns": cpu_permille * 8_000_000, **record},
            "signals": {"cgroup_id": number, "cpu_weight": 100, "cpu_max_quota_us": "max",
                        "cpu_max_period_us": 100000, "memory_high_bytes": "max",
                        "io_weight": 100, "memory_current_bytes": 1 << 28}}


def frame(second, trouble):
    """Four seconds of two CPUs; with trouble /batch.slice takes them from /web.slice."""
    web = group("/web.slice", 20, 200, switches=400, runq_wait_ns=1_600_000_000,
                runq_wait_count=400)
    batch = group("/batch.slice", 30, 780, switches=2000, preempted_by_self=1500,
                  preempted_by_other=500, runq_wait_ns=6_000_000_000, runq_wait_count=2000)
    return {"boot_ns": (100 + second) * SECOND, "wall_ns": (1_600_000_000 + second) * SECOND,
            "has_pressure": True,
            "snapshot": {"sequence": second + 1, "window_start_ns": (96 + second) * SECOND,
                         "window_ns": 4 * SECOND, "runq_wait_p99_us": 16384,
                         "record": {"idle_ns": 160_000_000 if trouble else 8 * SECOND},
                         "signals": {"n_cpus": 2, "memory_total_bytes": 1 << 32,
                                     "memory_available_bytes": 3 << 30, "vm_swappiness": 60,
                                     "cpu_mhz_permille": "unknown",
                                     "psi": {"cpu_some_us": 3_600_000 if trouble else 0}},
                         "groups": [web, batch] if trouble else []}}


def write(path, *frames, **header):
    with gzip.open(path, "wt") as out:
        out.writelines(json.dumps(line) + "\n" for line in ({**HEADER, **header}, *frames))
