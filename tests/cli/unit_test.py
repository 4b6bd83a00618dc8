#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# Catches: a unit that systemd does not understand, that gives the service more
# than it needs, or that does not hold it to what is promised.
"""agent/system/llamux-agent.service by systemd's own checks, without systemd running."""
import re
import subprocess

from harness import BINARY, REPO, AgentTest, main

# systemd-analyze counts from 0 (nothing is exposed) to 10. What is left is
# what the service is for: BPF, cgroup files, sysctls, being root.
MOST_EXPOSED = 2.5


class UnitTest(AgentTest):
    def setUp(self):
        super().setUp()
        text = (REPO / "agent" / "system" / "llamux-agent.service.in").read_text(encoding="utf-8")
        binary = self.folder / "sbin" / "llamux-agent"
        binary.parent.mkdir()
        binary.symlink_to(BINARY)
        self.unit = self.folder / "llamux-agent.service"
        self.unit.write_text(text.replace("@CMAKE_INSTALL_PREFIX@", str(self.folder)))

    def analyze(self, *words):
        return subprocess.run(["systemd-analyze", *words, str(self.unit)], capture_output=True,
                              text=True, timeout=60, check=False)

    def test_systemd_understands_it(self):
        done = self.analyze("--man=no", "verify")
        about_us = [line for line in done.stderr.splitlines() if "llamux" in line]
        self.assertEqual(about_us, [])

    def test_it_says_what_is_promised(self):
        """docs/SAFETY.md: it is no burden, and does not die or hang unnoticed."""
        settings = dict(line.split("=", 1) for line in self.unit.read_text().splitlines()
                        if "=" in line and not line.startswith("#"))
        promised = {"CPUQuota": "20%", "MemoryHigh": "64M", "Type": "notify",
                    "Restart": "on-failure", "WatchdogSec": "5min", "NoNewPrivileges": "yes",
                    "CapabilityBoundingSet": "CAP_SYS_ADMIN CAP_BPF CAP_PERFMON CAP_DAC_OVERRIDE"}
        self.assertEqual({name: settings.get(name) for name in promised}, promised)
        self.assertRegex(settings["ExecStart"], "/sbin/llamux-agent run$", "it only advises")

    def test_exposure(self):
        done = self.analyze("security", "--offline=true", "--no-pager")
        level = re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)
        self.assertIsNotNone(level, done.stdout + done.stderr)
        self.assertLessEqual(float(level[1]), MOST_EXPOSED)


if __name__ == "__main__":
    main()
