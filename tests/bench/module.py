# SPDX-License-Identifier: GPL-2.0-only
"""The module's speed, measured in a guest from its own counters."""
import os
import time


def counters(path):
    """The first two words of each line, a name and its value."""
    with open(path, encoding="ascii") as file:
        words = [line.split() for line in file]
    return {w[0].rstrip(":"): w[1] for w in words if len(w) > 1}


def difference(before, after, *names):
    return [int(after[name]) - int(before[name]) for name in names]


def answer(prompt, seconds):
    """Asks, and cuts the answer off after that many seconds of it. Returns the
    counters before and after."""
    before = counters("/proc/llamux/stats")
    device = os.open("/dev/llamux", os.O_RDWR)
    os.write(device, prompt)
    os.read(device, 1)  # the prompt is evaluated, generating has begun
    time.sleep(seconds)
    os.close(device)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        after = counters("/proc/llamux/stats")
        if difference(before, after, "generated_tokens")[0]:
            return before, after
        time.sleep(0.1)
    raise SystemExit("bench: the module generated nothing")


def decode_rate(seconds):
    """Tokens per second of an answer."""
    counted = answer(b"Count from one to two hundred, in words.\n", seconds)
    tokens, ns = difference(*counted, "generated_tokens", "generate_ns")
    return 1e9 * tokens / ns


def prefill_rate(n_tokens):
    """Tokens per second of a prompt of about that many tokens."""
    def ask(n_words):
        counted = answer(b"word " * n_words, 0)
        return difference(*counted, "prompt_tokens", "prompt_ns")

    few, _ = ask(4)
    per_word = (ask(8)[0] - few) / 4
    tokens, ns = ask(max(1, round((n_tokens - few) / per_word) + 4))
    return 1e9 * tokens / ns
