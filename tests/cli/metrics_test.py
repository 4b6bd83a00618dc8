#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# Catches: metrics that Prometheus can not read, that are not what the page
# says, in another unit than their name, or offered to other machines.
"""Scrapes serve_metrics (argv[2]), reads it by Prometheus' own parser, and docs/METRICS.md."""
import re
import subprocess
import sys
import urllib.error
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from harness import HEALTHY, PROBLEM, REPO, AgentTest, main
from ports import free_port

SERVER = sys.argv.pop(2)
# prometheus-cpp counts its own scrapes
NOT_OURS = "exposer_"


class MetricsTest(AgentTest):
    def scrape(self):
        """{(name, labels): value}, and the families."""
        port = free_port()
        server = subprocess.Popen([SERVER, f"127.0.0.1:{port}"], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True)
        self.addCleanup(server.communicate)
        self.assertEqual(server.stdout.readline(), "ready\n")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            self.assertTrue(answer.headers["Content-Type"].startswith("text/plain"))
            text = answer.read().decode()
        with self.assertRaises(urllib.error.HTTPError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/etc/passwd", timeout=10)
        taken = subprocess.run([SERVER, f"127.0.0.1:{port}"], stdin=subprocess.DEVNULL,
                               capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual((taken.returncode, taken.stderr),
                         (1, f"metrics can not be served on 127.0.0.1:{port}\n"))
        families = [family for family in text_string_to_metric_families(text)
                    if not family.name.startswith(NOT_OURS)]
        samples = {(s.name, tuple(sorted(s.labels.values()))): s.value
                   for family in families for s in family.samples}
        return samples, families

    def test_values(self):
        samples, _ = self.scrape()
        for name, labels, value in (
            ("looks_total", (), 3),
            ("degraded", (), 1),
            ("pressure_ratio", ("cpu", "some"), 0.25),
            ("pressure_ratio", ("full", "memory"), 0.05),
            ("runq_latency_seconds_count", (), 4),
            ("runq_latency_seconds_sum", (), 1.5),
            ("runq_latency_seconds_bucket", ("2e-06",), 3),
            ("runq_latency_seconds_bucket", ("0.524288",), 3),
            ("runq_latency_seconds_bucket", ("+Inf",), 4),
            ("block_io_latency_seconds_bucket", ("0.002048",), 7),
            ("direct_reclaim_seconds_total", (), 0.25),
            ("suggestions_total", ("model", "vm.swappiness"), 1),
            ("refusals_total", ("CoolDown",), 1),
            ("actions_total", ("cpu.weight", "kept"), 1),
            ("actions_total", ("cpu.weight", "undone"), 2),
            ("action_reverts_total", ("asked",), 1),
            ("action_reverts_total", ("worse",), 1),
            ("admin_overrides_total", (), 1),
            ("inference_tokens_total", ("prompt",), 140),
            ("inference_seconds_total", ("prompt",), 3),
            ("inference_queue_length", (), 2),
            ("self_cpu_seconds_total", ("agent",), 0.75),
        ):
            self.assertAlmostEqual(samples[f"llamux_{name}", labels], value, msg=(name, labels))
        self.assertNotIn(("llamux_pressure_ratio", ("io", "some")), samples, "unknown is no value")

    def test_the_page_has_each_metric_with_its_kind_and_labels(self):
        _, families = self.scrape()
        scraped = {}
        for family in families:
            name = family.name + ("_total" if family.type == "counter" else "")
            labels = {label for s in family.samples for label in s.labels} - {"le"}
            scraped[name] = (family.type, labels)
        page = (REPO / "docs" / "METRICS.md").read_text(encoding="utf-8")
        documented = {
            name: (kind, set(re.findall(r"`(\w+)`", labels)))
            for name, kind, labels in re.findall(r"^\| `(\w+)` \| (\w+) \|([^|]*)\|", page, re.M)}
        self.assertEqual(documented, scraped)

    def test_names(self):
        """The conventions of Prometheus, as promtool checks them."""
        _, families = self.scrape()
        for family in families:
            self.assertTrue(family.documentation.endswith("."), family.name)
            self.assertRegex(family.name, r"^llamux_[a-z_]+$")
            self.assertNotRegex(family.name, r"_(ms|us|ns|milliseconds|permille|percent|count)$")

    def test_only_this_machine_may_be_offered_them(self):
        for listen, mistake in (("127.0.0.1:9756", False), ("[::1]:80", False), ("", False),
                                ("0.0.0.0:9756", True), ("9756", True), ("127.0.0.1", True),
                                ("127.0.0.1:0", True), ("127.0.0.1:99999", True), ("x:y", True),
                                ("127.0.0.1:80,0.0.0.0:81", True)):
            self.config.write_text('{"metrics": {"listen": "%s"}}' % listen)
            with self.subTest(listen):
                self.expect(PROBLEM if mistake else HEALTHY,
                            "1:14: metrics.listen must be a loopback address" if mistake
                            else "no mistakes", "config", "check")


if __name__ == "__main__":
    main()
