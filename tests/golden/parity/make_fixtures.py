#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Records what llama.cpp computes for the tiny models.

Usage: make_fixtures.py MAKE_TINY_MODEL OUTPUT

Needs the Python package xllamacpp. Tokens go in one at a time.
"""
import datetime
import struct
import subprocess
import sys
import tempfile

import llama_cpp

TYPES = ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K",
         "Q5_K", "Q6_K", "mixed"]
# bos and 15 tokens of TinyVocab::usual(): bytes, words, letters
TOKENS = [1, 261, 268, 70, 280, 299, 3, 200, 259, 275, 275, 290, 42, 265, 277, 260]
RECORDED = [0, 7, 15]  # positions whose logits are kept
N_GREEDY = 24


def record(path):
    model = llama_cpp.Model(path)
    lines = []
    logits = []
    for position, token in enumerate(TOKENS):
        logits = model.logits(token)
        if position in RECORDED:
            words = (struct.pack(">f", value).hex() for value in logits)
            lines.append(f"logits {position} " + " ".join(words))
    greedy = []
    for _ in range(N_GREEDY):
        greedy.append(max(range(model.n_vocab), key=logits.__getitem__))
        logits = model.logits(greedy[-1])
    lines.append("greedy " + " ".join(map(str, greedy)))
    model.close()
    return lines


def main():
    make_tiny_model, output = sys.argv[1:]
    lines = ["# SPDX-License-Identifier: GPL-2.0-only",
             f"# llama.cpp in the Python package xllamacpp {llama_cpp.VERSION}, "
             f"{datetime.date.today()}, by",
             "# tests/golden/parity/make_fixtures.py build/tests/support/make_tiny_model FILE",
             "# logits POSITION: binary32 in hex, one a token of the vocabulary",
             "tokens " + " ".join(map(str, TOKENS))]
    with tempfile.TemporaryDirectory() as folder:
        for name in TYPES:
            path = f"{folder}/{name}.gguf"
            subprocess.run([make_tiny_model, name, path], check=True)
            lines.append("model " + name)
            lines += record(path)
    with open(output, "w", encoding="ascii") as file:
        file.write("\n".join(lines) + "\n")


main()
