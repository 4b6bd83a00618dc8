#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# Catches: a file that `make install` installs and no Debian package has, a
# package without files, and parts that disagree on the version.
"""The install rules of the build folder $1 against agent/debian; builds nothing."""
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
BUILD = Path(sys.argv[1])
DEBIAN = REPO / "agent" / "debian"
# Only in a package; `make install` has the module itself.
ONLY_PACKAGED = re.compile(r"/src/llamux-[\d.]+/")


def installed(*options):
    """Paths that `cmake --install` makes."""
    with tempfile.TemporaryDirectory(prefix="llamux-install-") as root:
        subprocess.run(["cmake", "--install", BUILD, *options], check=True,
                       stdout=subprocess.DEVNULL, env={**os.environ, "DESTDIR": root})
        return {"/" + str(path.relative_to(root)) for path in Path(root).rglob("*")
                if path.is_symlink() or path.is_file()}


def only_group(pattern, path):
    found = re.search(pattern, path.read_text(encoding="utf-8"), re.M)
    return found[1] if found else f"not found in {path}"


class ContentsTest(unittest.TestCase):
    def test_every_installed_file_is_in_one_package(self):
        control = (DEBIAN / "control").read_text(encoding="utf-8")
        packages = re.findall(r"^Package: (\S+)", control, re.M)
        self.assertEqual(len(packages), 4)
        packaged = []
        for package in packages:
            files = installed("--component", package)
            self.assertTrue(files, package)
            packaged += files
        self.assertEqual(len(packaged), len(set(packaged)), "a file in two packages")
        everything = installed()
        self.assertEqual(everything - set(packaged), set())
        more = set(packaged) - everything
        self.assertEqual({path for path in more if not ONLY_PACKAGED.search(path)}, set())

    def test_the_headers_can_be_used_as_installed(self):
        with tempfile.TemporaryDirectory(prefix="llamux-install-") as root:
            subprocess.run(["cmake", "--install", BUILD, "--component", "llamux-dev"], check=True,
                           stdout=subprocess.DEVNULL, env={**os.environ, "DESTDIR": root})
            folder = next(Path(root).rglob("include"))
            headers = sorted(folder.rglob("*.h"))
            self.assertIn(folder / "llamux" / "llamux.h", headers)
            for header in headers:
                for language in ("c", "c++"):
                    done = subprocess.run(
                        ["gcc", "-x", language, "-Wall", "-Wextra", "-Werror", "-fsyntax-only",
                         "-I", folder, "-include", header.relative_to(folder), "-"],
                        input="int main(void) { return 0; }", text=True, capture_output=True,
                        check=False)
                    self.assertEqual(done.returncode, 0, done.stderr)

    def test_the_module_has_all_its_sources(self):
        sources = {path.relative_to(REPO) for folder in ("kmod", "include")
                   for path in (REPO / folder).rglob("*")
                   if path.suffix in (".c", ".h") or path.name == "Kbuild"}
        packaged = {ONLY_PACKAGED.split(path)[-1]
                    for path in installed("--component", "llamux-dkms")}
        self.assertLessEqual({str(path) for path in sources} | {"Kbuild", "dkms.conf"}, packaged)

    def test_one_version(self):
        version = only_group(r"^project\(llamux VERSION (\S+) ", REPO / "CMakeLists.txt")
        self.assertEqual(version, only_group(r"^llamux \((.*)\)", DEBIAN / "changelog"))
        self.assertEqual(version, only_group(r'MODULE_VERSION\("(.*)"\)', REPO / "kmod" / "main.c"))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
