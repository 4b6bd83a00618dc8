#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# Catches: metrics, alerts, a dashboard, a DaemonSet or an Ansible role that the
# programs they are made for refuse, or that ask for what is not there.
"""docs/monitoring and docs/fleet. argv[1]: serve_metrics; argv[2]: promtool."""
import json
import re
import subprocess
import sys
import tempfile
import unittest
import urllib.request
from pathlib import Path

import kubernetes.client
import yaml

sys.dont_write_bytecode = True
REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "tests" / "cli"))
SERVER, PROMTOOL = sys.argv[1:3]
from ports import free_port  # noqa: E402

MONITORING = REPO / "docs" / "monitoring"
FLEET = REPO / "docs" / "fleet"
# What Grafana fills in.
GRAFANA = {"$instance": "a", "$__rate_interval": "5m"}


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          timeout=120, check=False, **options)
    return done.returncode, done.stdout + done.stderr


def documented_metrics():
    page = (REPO / "docs" / "METRICS.md").read_text(encoding="utf-8")
    return set(re.findall(r"^\| `(\w+)` \|", page, re.M))


def expressions(dashboard):
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            text = target["expr"]
            for name, value in GRAFANA.items():
                text = text.replace(name, value)
            yield text


class MonitoringTest(unittest.TestCase):
    def test_promtool_is_there(self):
        self.assertTrue(Path(PROMTOOL).exists(), "no promtool: tests/support/setup.sh fetches it")

    def test_promtool_has_nothing_to_say_about_the_metrics(self):
        port = free_port()
        with subprocess.Popen([SERVER, f"127.0.0.1:{port}"], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True) as server:
            self.assertEqual(server.stdout.readline(), "ready\n")
            url = f"http://127.0.0.1:{port}/metrics"
            text = urllib.request.urlopen(url, timeout=10).read().decode()
            server.communicate()
        # prometheus-cpp's own do not keep the rules.
        ours = "".join(line for line in text.splitlines(keepends=True)
                       if "exposer_" not in line)
        self.assertIn("llamux_looks_total", ours)
        self.assertEqual(run(PROMTOOL, "check", "metrics", input=ours), (0, ""))

    def test_alerts(self):
        status, said = run(PROMTOOL, "check", "rules", MONITORING / "alerts.yml")
        self.assertEqual(status, 0, said)
        status, said = run(PROMTOOL, "test", "rules", REPO / "tests" / "examples" / "alerts.yml")
        self.assertEqual(status, 0, said)

    def test_the_dashboard_asks_for_what_is_there(self):
        dashboard = json.loads((MONITORING / "dashboard.json").read_text(encoding="utf-8"))
        rules = [{"record": f"panel:{i}", "expr": text}
                 for i, text in enumerate(expressions(dashboard))]
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
            yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}, file)
            status, said = run(PROMTOOL, "check", "rules", file.name)
            self.assertEqual(status, 0, said)
        self.assertEqual({name for rule in rules for name in self.metrics_in(rule["expr"])},
                         documented_metrics() - {"llamux_build_info"})

    def test_alerts_ask_for_what_is_there(self):
        alerts = yaml.safe_load((MONITORING / "alerts.yml").read_text(encoding="utf-8"))
        for rule in alerts["groups"][0]["rules"]:
            self.assertLessEqual(self.metrics_in(rule["expr"]), documented_metrics())

    def test_the_panels_do_not_lie_upon_each_other(self):
        dashboard = json.loads((MONITORING / "dashboard.json").read_text(encoding="utf-8"))
        taken = set()
        for panel in dashboard["panels"]:
            place = panel["gridPos"]
            cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                     for y in range(place["y"], place["y"] + place["h"])}
            self.assertLessEqual(place["x"] + place["w"], 24, panel["title"])
            self.assertFalse(cells & taken, panel["title"])
            taken |= cells
        numbers = [panel["id"] for panel in dashboard["panels"]]
        self.assertEqual(len(numbers), len(set(numbers)))

    @staticmethod
    def metrics_in(expression):
        return {re.sub(r"_bucket$", "", name) for name in re.findall(r"llamux_\w+", expression)}


class FleetTest(unittest.TestCase):
    def test_kubernetes_knows_every_field(self):
        """Read as what it says it is and written again, nothing is lost."""
        client = kubernetes.client.ApiClient()
        text = (FLEET / "daemonset.yaml").read_text(encoding="utf-8")
        kinds = []
        for written in yaml.safe_load_all(text):
            kind = written["kind"]
            kinds.append(kind)

            class Answer:
                data = json.dumps(written)

            read = client.deserialize(Answer, "V1" + kind)
            self.assertEqual(client.sanitize_for_serialization(read), written)
        self.assertEqual(kinds, ["Namespace", "ConfigMap", "DaemonSet"])

    def test_the_daemonset_only_advises_and_its_configuration_is_one(self):
        documents = {d["kind"]: d for d in yaml.safe_load_all(
            (FLEET / "daemonset.yaml").read_text(encoding="utf-8"))}
        config = json.loads(documents["ConfigMap"]["data"]["agent.json"])
        self.assertFalse(config["apply"])
        spec = documents["DaemonSet"]["spec"]["template"]["spec"]
        container = spec["containers"][0]
        volumes = {volume["name"] for volume in spec["volumes"]}
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        self.assertEqual(set(mounts), volumes)
        textfile = config["metrics"]["textfile"]
        self.assertEqual(mounts["textfile"], textfile.rsplit("/", 1)[0])

    def test_ansible_understands_the_role(self):
        with tempfile.TemporaryDirectory(prefix="llamux-ansible-") as home:
            status, said = run("ansible-playbook", "--syntax-check", "-i", "localhost,",
                               FLEET / "ansible" / "playbook.yml",
                               env={"HOME": home, "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"})
        self.assertEqual(status, 0, said)
        self.assertIn("playbook: ", said)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
