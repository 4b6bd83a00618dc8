#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Catches: a harness that reports success where a guest test failed.

Runs a suite of guest tests that misbehave, each in its own way, and checks
what is reported for each; first without a guest, the kernel log rules alone.
"""
import os
import subprocess
import sys
from pathlib import Path

sys.dont_write_bytecode = True
import guest  # noqa: E402

BUILD = Path(sys.argv[1]).resolve()
KERNEL = sys.argv[2]
WORK = BUILD / "vm" / "selftest"

# (name, seconds, shell command, passes, text the report must have)
CASES = (
    ("good", 20, "echo fine", True, "fine"),
    ("exit-status", 20, "echo some output; exit 3", False, "exit status 3"),
    ("no-such-program", 20, "/nonexistent", False, "exit status 127"),
    ("warning", 20, "echo 'WARNING: made up' >/dev/kmsg", False, "WARNING: made up"),
    ("after-warning", 20, "true", True, ""),
    ("timeout", 2, "echo before; sleep 100", False, "timed out after 2 s"),
    # its child must not live on and write in the name of the next test
    ("daemon", 20, "(sleep 2; echo 'BUG: late' >/dev/kmsg) & true", True, ""),
    ("after-daemon", 20, "sleep 3", True, ""),
    ("panic", 20, "echo last words; sleep 1; echo c >/proc/sysrq-trigger", False, "Kernel panic"),
    ("after-panic", 20, "echo second boot", True, "second boot"),
    ("power-off", 20, "echo o >/proc/sysrq-trigger; sleep 15", False, "guest went away"),
    ("host-write", 20, f"echo x >{WORK}/leak && cat {WORK}/leak", True, "x"),
)

# Module defects that only the checkers of a User Mode Linux see. Lockdep is off
# after its first report, and after any of KASAN.
INSERT = "insmod $LLAMUX_BUILD/tests/vm/uml/defect/llamux_defect.ko defect={} && rmmod llamux_defect"
DEFECTS = (
    ("lock-inversion", "possible circular locking dependency"),
    ("sleep-in-atomic", "sleeping function called from invalid context"),
    ("slab-out-of-bounds", "KASAN: slab-out-of-bounds"),
    ("use-after-free", "KASAN: slab-use-after-free"),
    ("vmalloc-out-of-bounds", "KASAN: vmalloc-out-of-bounds"),
    ("stack-out-of-bounds", "KASAN: stack-out-of-bounds"),
    ("shift-out-of-bounds", "UBSAN: shift-out-of-bounds"),
)
if KERNEL == "uml":
    CASES += tuple((name, 20, INSERT.format(name), False, text) for name, text in DEFECTS)

# One sample of each kind of complaint, as kernels print them.
BAD = """\
WARNING: CPU: 1 PID: 7 at kernel/x.c:1 f+0x1/0x2
BUG: unable to handle page fault for address: ffffffff
BUG: sleeping function called from invalid context at mm/x.c:1
Oops: 0000 [#1] PREEMPT SMP NOPTI
general protection fault, probably for non-canonical address 0xdead: 0000 [#1]
Kernel panic - not syncing: sysrq triggered crash
WARNING: possible circular locking dependency detected
INFO: task x:1 blocked for more than 120 seconds.
rcu: INFO: rcu_preempt self-detected stall on CPU
watchdog: BUG: soft lockup - CPU#0 stuck for 22s!
unreferenced object 0xffff888003 (size 64):
kmemleak: 3 new suspected memory leaks; possible memory leak
UBSAN: array-index-out-of-bounds in x.c:1
refcount_t: underflow; use-after-free.
WARNING: suspicious RCU usage"""
FINE = """\
llamux: loading out-of-tree module taints kernel.
llamux: module verification failed: signature and/or required key missing - tainting kernel
Memory cgroup out of memory: Killed process 7 (hog)
traps: a.out[7] general protection fault ip:401000 sp:7ffc error:0 in a.out[401000+1000]
clocksource: timekeeping watchdog on CPU0: Marking clocksource 'tsc' as unstable"""

errors = []


def expect(condition, what):
    if not condition:
        errors.append(what)
    print("ok:" if condition else "WRONG:", what)


def check_rules():
    for line in BAD.splitlines():
        expect(guest.bad_lines(line) == [line], f"is bad: {line}")
    for line in FINE.splitlines():
        expect(not guest.bad_lines(line), f"is fine: {line}")
    fault = guest.STALE_BREAKPOINT.search
    expect(fault("[   43.9] Oops: int3: 0000 [#1] PREEMPT SMP NOPTI"), "6.12's stale breakpoint")
    expect(fault("[   43.9] int3: 0000 [#1] PREEMPT SMP NOPTI"), "6.1's stale breakpoint")
    expect(not any(map(fault, BAD.splitlines())), "no other oops is the emulator's fault")
    parts = guest.split_log("a\nllamux-vm: begin t\nb\nllamux-vm: end t\nc")
    expect(parts == {"boot": "a\nc", "t": "b"}, "kernel lines go to the test that was running")


def suite(*more):
    command = [guest.VM_DIR / "run-suite", "--build", BUILD, "--kernel", KERNEL]
    command += ["--suite", WORK / "suite", "--results", WORK / "results", *more]
    environment = {k: v for k, v in os.environ.items() if k != "LLAMUX_VM_ONLY"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return done.returncode, done.stdout + done.stderr


def check_suite():
    WORK.mkdir(parents=True, exist_ok=True)
    lines = [f"{name}\t{seconds}\t{command}\n" for name, seconds, command, _, _ in CASES]
    (WORK / "suite").write_text("".join(lines))
    status, output = suite()
    print(output)
    expect(status == 0, "the boot fixture passes: each failure belongs to a test")
    for name, _, _, passes, text in CASES:
        status, output = suite("--report", name)
        expect((status == 0) == passes, f"{name} is reported as {'passed' if passes else 'failed'}")
        expect(text in output, f"{name} says {text!r}")
    expect(not (WORK / "leak").exists(), "what a guest writes does not reach the host's files")
    status, output = suite("--report", "never-run")
    expect(status != 0 and "no result" in output, "a test without a result fails")


check_rules()
check_suite()
sys.exit(f"{len(errors)} expectations failed" if errors else 0)
