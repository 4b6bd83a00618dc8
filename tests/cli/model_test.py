#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# Catches: a model that is taken for whole or sound and is not, a download that
# starts over where it could go on, a failure without one clear line.
"""llamux-agent model against a web server on this machine."""
import hashlib
import http.server
import json
import os
import pty
import random
import re
import resource
import signal
import subprocess
import threading
import time
import unittest

from harness import HEALTHY, NO_DATA, NOT_PERMITTED, PROBLEM, REPO, AgentTest, main

CONTENT = random.Random(1).randbytes(3_000_000)
HALF = len(CONTENT) // 2


class Handler(http.server.BaseHTTPRequestHandler):
    """One way to misbehave per first part of the path."""

    def do_GET(self):
        way = self.path.split("/")[1]
        self.server.requests.append((way, self.headers.get("Range")))
        if way == "moved":
            self.send_response(302)
            self.send_header("Location", "/good/model.gguf")
            self.end_headers()
        elif way == "missing":
            self.send_error(404)
        elif way == "forbidden":
            self.send_error(403)
        elif way == "other-size":
            self.answer(200, CONTENT[:-1])
        elif way == "wrong":
            self.answer(200, bytes(len(CONTENT)))
        elif way == "no-range":
            self.answer(200, CONTENT)
        elif way == "short":
            self.ranged(until=HALF)
        elif way == "slow":
            self.ranged(until=HALF, then_wait=True)
        else:
            self.ranged(until=len(CONTENT))

    def ranged(self, until, then_wait=False):
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        first = int(match[1]) if match else 0
        self.send_response(206 if match else 200)
        if match:
            self.send_header("Content-Range", f"bytes {first}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.send_header("Content-Length", str(len(CONTENT) - first))
        self.end_headers()
        self.wfile.write(CONTENT[first:until])
        if then_wait:
            self.wfile.flush()
            self.server.released.wait(60)

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass


class ModelTest(AgentTest):
    def setUp(self):
        super().setUp()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.requests = []
        self.server.released = threading.Event()
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.addCleanup(self.server.released.set)
        self.models = self.state / "models"
        self.file = self.models / "model.gguf"
        self.part = self.models / "model.gguf.part"
        self.manifest = self.folder / "manifest.json"
        self.describe()

    def describe(self, **fields):
        entry = {
            "name": "test",
            "file": "model.gguf",
            "shipped": False,
            "bytes": len(CONTENT),
            "sha256": hashlib.sha256(CONTENT).hexdigest(),
            "url": "{host}/model.gguf",
            "host": self.host("good"),
        }
        self.manifest.write_text(json.dumps({"models": [{**entry, **fields}]}))

    def host(self, way):
        return f"http://127.0.0.1:{self.server.server_port}/{way}"

    def model(self, *words):
        return ("model", "--manifest", str(self.manifest), *words)

    def fetch_from(self, way):
        return self.model("fetch", "test", "--host", self.host(way))

    def test_fetches_verifies_and_names_it(self):
        said = self.expect(HEALTHY, "fetched, verified", *self.model("fetch", "test"))
        self.assertEqual(self.file.read_bytes(), CONTENT)
        self.assertFalse(self.part.exists())
        lines = [line for line in said.splitlines() if line.startswith("test:")]
        self.assertIn("3.0 of 3.0 MB", lines[-1])
        self.assertLessEqual(len(lines), 11, "a log gets a line for each tenth")
        # and does not do it again
        self.expect(HEALTHY, "was here already", *self.model("fetch", "test"))
        self.assertEqual(len(self.server.requests), 1)

    def test_goes_on_where_the_connection_broke(self):
        said = self.expect(NO_DATA, f"only {HALF} of {len(CONTENT)} bytes", *self.fetch_from("short"))
        self.assertEqual(said.count("llamux-agent:"), 1)
        self.assertFalse(self.file.exists())
        self.assertEqual(self.part.read_bytes(), CONTENT[:HALF])
        self.expect(HEALTHY, "50 % of it is here", *self.model("list"))
        self.expect(HEALTHY, "verified", *self.fetch_from("good"))
        self.assertEqual(self.server.requests[-1], ("good", f"bytes={HALF}-"))
        self.assertEqual(self.file.read_bytes(), CONTENT)

    def test_goes_on_after_it_was_killed_and_only_one_fetches(self):
        first = subprocess.Popen(self.command(*self.fetch_from("slow")), stderr=subprocess.DEVNULL)
        self.addCleanup(first.wait)
        self.addCleanup(first.kill)
        deadline = time.monotonic() + 30
        while not (self.part.exists() and self.part.stat().st_size == HALF):
            self.assertLess(time.monotonic(), deadline, "nothing comes")
            time.sleep(0.01)
        self.expect(PROBLEM, "is being fetched already", *self.fetch_from("good"))
        first.send_signal(signal.SIGKILL)
        first.wait()
        self.expect(HEALTHY, "verified", *self.fetch_from("good"))
        self.assertEqual(self.server.requests[-1], ("good", f"bytes={HALF}-"))

    def test_starts_over_where_the_server_knows_no_range(self):
        self.expect(NO_DATA, "only", *self.fetch_from("short"))
        self.expect(HEALTHY, "verified", *self.fetch_from("no-range"))
        self.assertEqual(self.file.read_bytes(), CONTENT)

    def test_follows_a_redirection(self):
        self.expect(HEALTHY, "verified", *self.fetch_from("moved"))

    def test_the_host_is_configured(self):
        self.config.write_text(json.dumps({"models": {"host": self.host("missing")}}))
        self.expect(NO_DATA, "/missing/model.gguf: the server answers 404",
                    *self.model("fetch", "test"))
        self.expect(HEALTHY, "verified", *self.fetch_from("good"))

    def test_the_directory_is_configured(self):
        place = self.folder / "elsewhere" / "models"
        self.config.write_text(json.dumps({"models": {"directory": str(place)}}))
        self.expect(HEALTHY, str(place), *self.model("fetch", "test"))
        self.assertTrue((place / "model.gguf").exists())

    def test_each_failure_is_one_clear_line(self):
        for way, status, text in (
            ("missing", NO_DATA, "the server answers 404"),
            ("forbidden", NOT_PERMITTED, "the server answers 403"),
            ("other-size", PROBLEM, "has 2999999 bytes, the manifest says 3000000"),
            ("wrong", PROBLEM, "its SHA-256 is"),
        ):
            with self.subTest(way):
                done = self.run_agent(*self.fetch_from(way))
                errors = [l for l in done.stderr.splitlines() if l.startswith("llamux-agent:")]
                self.assertEqual(done.returncode, status, done.stderr)
                self.assertEqual(len(errors), 1, done.stderr)
                self.assertIn(text, errors[0])
                self.assertFalse(self.file.exists())
        self.assertFalse(self.part.exists(), "wrong bytes are not gone on from")

    def test_nobody_listens(self):
        self.server.shutdown()
        self.server.server_close()
        self.expect(NO_DATA, "Failed to connect", *self.model("fetch", "test"))

    def test_no_space(self):
        self.describe(bytes=1 << 62)
        self.expect(PROBLEM, "No space left", *self.model("fetch", "test"))
        self.assertEqual(self.server.requests, [], "asked before it had room")

    def test_a_write_that_fails_while_it_comes(self):
        def limit_file_size():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

        self.expect(PROBLEM, "writing what came: File too large", *self.model("fetch", "test"),
                    preexec_fn=limit_file_size)
        self.assertFalse(self.file.exists())

    def test_no_permission(self):
        self.models.mkdir(parents=True)
        self.models.chmod(0o555)
        command = self.command(*self.model("fetch", "test"))
        if os.geteuid() == 0:
            # root without any capability is bound by the mode as others are
            command = ["setpriv", "--bounding-set", "-all", *command]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, NOT_PERMITTED, done.stderr)
        self.assertIn("Permission denied", done.stderr)

    def test_verify_finds_a_damaged_file(self):
        self.expect(NO_DATA, "no model is here", *self.model("verify"))
        self.expect(NO_DATA, "No such file", *self.model("verify", "test"))
        self.expect(HEALTHY, "verified", *self.model("fetch", "test"))
        self.expect(HEALTHY, "test: as the manifest says", *self.model("verify"))
        self.file.write_bytes(CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]))
        self.expect(PROBLEM, "its SHA-256 is", *self.model("verify", "test"))
        self.expect(PROBLEM, "its SHA-256 is", *self.model("load", "test"))
        # fetching it again mends it
        self.expect(HEALTHY, "fetched, verified", *self.model("fetch", "test"))
        self.assertEqual(self.file.read_bytes(), CONTENT)

    def test_json(self):
        self.assertEqual(self.expect_json(NO_DATA, *self.fetch_from("missing"))["exit_status"], 2)
        fetched = self.expect_json(HEALTHY, *self.model("fetch", "test"))
        self.assertTrue(fetched["present"])
        self.assertEqual(self.expect_json(HEALTHY, *self.model("list"))["models"], [fetched])
        verified = self.expect_json(HEALTHY, *self.model("verify"))["models"]
        self.assertEqual([(m["name"], m["sound"]) for m in verified], [("test", True)])

    def test_a_terminal_gets_a_bar(self):
        leader, follower = pty.openpty()
        done = subprocess.run(self.command(*self.model("fetch", "test")), stderr=follower,
                              stdout=subprocess.DEVNULL, timeout=60, check=False)
        os.close(follower)
        drawn = b""
        try:
            while block := os.read(leader, 65536):
                drawn += block
        except OSError:  # the other end is closed and all is read
            pass
        os.close(leader)
        self.assertEqual(done.returncode, HEALTHY)
        self.assertRegex(drawn.decode(), r"\rtest \[#+\] 100 %  3\.0 of 3\.0 MB")
        self.assertTrue(drawn.endswith(b"\n"), "the prompt gets a line of its own")

    def test_a_manifest_that_names_a_path_is_refused(self):
        for fields in ({"file": "../x"}, {"file": ".x"}, {"sha256": "A" * 64}, {"bytes": -1}):
            with self.subTest(fields):
                self.describe(**fields)
                self.expect(PROBLEM, "manifest.json", *self.model("list"))

    def test_without_the_module(self):
        self.expect(NO_DATA, "module is not loaded", *self.model("info"))
        self.expect(NO_DATA, "there is no model x; known: test", *self.model("load", "x"))
        self.expect(NO_DATA, "there is no model x; known: test", *self.model("fetch", "x"))
        self.expect(PROBLEM, "chatlm not in {chatml,llama-2,llama-3,plain,zephyr}",
                    *self.model("load", "--chat-template", "chatlm", "x"))


class OwnManifestTest(AgentTest):
    # The numbers are those the project's issue gives for the official file.
    def test_has_the_official_tinyllama(self):
        models = self.expect_json(HEALTHY, "model", "--manifest",
                                  str(REPO / "models" / "manifest.json"), "list")["models"]
        entry = next(model for model in models if model["name"] == "tinyllama")
        self.assertEqual(entry["bytes"], 668788096)
        self.assertEqual(entry["sha256"],
                         "9fecc3b3cd76bba89d504f29b616eedf7da85b96540e490ca5824d3f7d2776a0")
        self.assertTrue(entry["file"].endswith("/tinyllama-1.1b-chat-v1.0.Q4_K_M.gguf"))

    def test_the_shipped_model_is_sound(self):
        self.expect(HEALTHY, "pilot: as the manifest says", "model", "--manifest",
                    str(REPO / "models" / "manifest.json"), "verify", "pilot")
        self.expect(NO_DATA, "comes with the package", "model", "--manifest",
                    str(self.copy_of_manifest()), "fetch", "pilot")

    def copy_of_manifest(self):
        copy = self.folder / "manifest.json"
        copy.write_text((REPO / "models" / "manifest.json").read_text())
        return copy


if __name__ == "__main__":
    main()
