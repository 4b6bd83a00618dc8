#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Writes size and sha256 of the shipped model into manifest.json.

  manifest.py MODELS-DIRECTORY
"""
import hashlib
import json
import pathlib
import sys


def main():
    folder = pathlib.Path(sys.argv[1])
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    for model in manifest["models"]:
        file = folder / model["file"]
        if model["shipped"]:
            raw = file.read_bytes()
            model["bytes"] = len(raw)
            model["sha256"] = hashlib.sha256(raw).hexdigest()
    path.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
