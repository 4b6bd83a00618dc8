# SPDX-License-Identifier: GPL-2.0-only
"""A benchmark that runs itself once more, in a guest, for its figures."""
import json
import os
import subprocess
import sys

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RESULT = "result in the guest: "


def give(result):
    """In the guest: hands the figures over."""
    print(RESULT + json.dumps(result))


def ask(script, kernel, arguments, *vm_options):
    """On the host: runs `script --in-guest arguments` there, returns what it gives."""
    run = subprocess.run(
        [os.path.join(REPO, "tests/vm/run-vm"), "--kernel", kernel, "--timeout", "900", *vm_options,
         "--", "/usr/bin/python3", os.path.abspath(script), "--in-guest", *arguments],
        check=False, text=True, stdout=subprocess.PIPE)
    found = [line for line in run.stdout.splitlines() if line.startswith(RESULT)]
    if run.returncode or not found:
        print(run.stdout)
        sys.exit(f"bench: the guest ended with {run.returncode}")
    return json.loads(found[0].removeprefix(RESULT))
