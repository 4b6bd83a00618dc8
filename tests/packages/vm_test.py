#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Installs, upgrades, removes and purges the packages, over a change of kernels.

  vm_test.py --build build VERSION NEWER

Two boots, Linux 6.1 and then 6.12, that write to the same disk; guest.sh says
what happens in them. Needs what build-all made.
"""
import argparse
import subprocess
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "vm"))
import guest  # noqa: E402

SECONDS = 5400
BOOTS = (("6.1-systemd", "before"), ("6.12-systemd", "after"))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("versions", nargs=2)
    args = parser.parse_args()
    build = args.build.resolve()
    folder = build / "vm" / "packages"
    folder.mkdir(parents=True, exist_ok=True)
    disk = folder / "disk.img"
    disk.unlink(missing_ok=True)
    with open(disk, "wb") as image:
        image.truncate(1 << 30)
    subprocess.run(["/sbin/mkfs.ext4", "-q", disk], check=True)
    for series, step in BOOTS:
        machine = guest.Machine(
            build, guest.Kernel.find(series, build), disk=disk, append="vm_upper=/dev/vda"
        )
        command = " ".join(["tests/packages/guest.sh", step, *args.versions])
        run = guest.run_on_disk(machine, (step, SECONDS, command), folder / "share")
        if run.died == "boot":
            print(run.boot_error())
            return 1
        print((run.share / f"{step}.out").read_text(errors="replace"))
        why, bad = run.judge(step, run.console())
        if why:
            print(f"FAILED in Linux {series}:", *why, *bad, sep="\n  ")
            return 1
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except guest.HarnessError as error:
        print(f"vm_test: {error}", file=sys.stderr)
        sys.exit(guest.EXIT_HARNESS)
