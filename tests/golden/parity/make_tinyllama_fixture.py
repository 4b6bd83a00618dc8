#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Records what llama.cpp computes for the file of make_tinyllama.

Usage: make_tinyllama_fixture.py FILE OUTPUT

Needs the Python package xllamacpp. Tokens go in one at a time. Of the 32000
logits of a position every STRIDEth is kept, the best token, and the logarithm
of the sum of all exponentials, which every logit is part of.
"""
import datetime
import hashlib
import math
import struct
import sys

import llama_cpp

N_TOKENS = 28
STRIDE = 160


def main():
    path, output = sys.argv[1:]
    model = llama_cpp.Model(path)
    # bos and tokens from all over the vocabulary
    tokens = [1] + [(7919 * i * i + 104729 * i) % model.n_vocab for i in range(1, N_TOKENS)]
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    lines = ["# SPDX-License-Identifier: GPL-2.0-only",
             f"# llama.cpp in the Python package xllamacpp {llama_cpp.VERSION}, "
             f"{datetime.date.today()}, by",
             "# tests/golden/parity/make_tinyllama_fixture.py FILE OUTPUT",
             f"# position: best token, log-sum-exp, every {STRIDE}th logit as binary32 in hex",
             "sha256 " + digest,
             f"stride {STRIDE}",
             "tokens " + " ".join(map(str, tokens))]
    for token in tokens:
        logits = model.logits(token)
        first = max(logits)
        log_sum = first + math.log(sum(math.exp(value - first) for value in logits))
        words = (struct.pack(">f", value).hex() for value in logits[::STRIDE])
        lines.append(f"position {logits.index(first)} {log_sum:.6f} " + " ".join(words))
    with open(output, "w", encoding="ascii") as file:
        file.write("\n".join(lines) + "\n")


main()
