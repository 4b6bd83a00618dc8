# SPDX-License-Identifier: GPL-2.0-only
"""The module's speed, measured in a guest from its own counters."""
import fcntl
import glob
import os
import time

CANCEL = 0xB71B  # LLAMUX_IOC_CANCEL


def counters(path):
    """The first two words of each line, a name and its value."""
    with open(path, encoding="ascii") as file:
        words = [line.split() for line in file]
    return {w[0].rstrip(":"): w[1] for w in words if len(w) > 1}


def difference(before, after, *names):
    return [int(after[name]) - int(before[name]) for name in names]


def open_session():
    return os.open("/dev/llamux", os.O_RDWR)


def answer(session, prompt, seconds):
    """Asks, and cuts the answer off after that many seconds of it. Returns the
    counters before and after."""
    before = counters("/proc/llamux/stats")
    os.write(session, prompt)
    os.read(session, 1)  # the prompt is evaluated, generating has begun
    time.sleep(seconds)
    fcntl.ioctl(session, CANCEL)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        after = counters("/proc/llamux/stats")
        if difference(before, after, "generated_tokens")[0]:
            return before, after
        time.sleep(0.1)
    raise SystemExit("bench: the module generated nothing")


def thread_times():
    """Nanoseconds that each of the module's threads ran and waited for a CPU."""
    times = []
    for comm in glob.glob("/proc/[0-9]*/comm"):
        with open(comm, encoding="utf-8", errors="replace") as file:
            if not file.read().startswith("llamux/"):
                continue
        with open(os.path.join(os.path.dirname(comm), "schedstat"), encoding="ascii") as file:
            times.append([int(word) for word in file.read().split()[:2]])
    return times


def count(session, seconds):
    """Lets it generate. Returns tokens, and the nanoseconds that they took."""
    counted = answer(session, b"Count from one to two hundred, in words.\n", seconds)
    return difference(*counted, "generated_tokens", "generate_ns")


def decode_rate(session, seconds):
    """Tokens per second of an answer."""
    tokens, ns = count(session, seconds)
    return 1e9 * tokens / ns


def decode_and_threads(session, seconds):
    """Of an answer: tokens per second, tokens per second that a thread ran, and of
    the threads' time the shares that they ran and waited for a CPU."""
    began, before = time.monotonic_ns(), thread_times()
    tokens, ns = count(session, seconds)
    after, wall_ns = thread_times(), time.monotonic_ns() - began
    ran, waited = (sum(a[i] - b[i] for a, b in zip(after, before)) for i in (0, 1))
    return {"tokens_per_s": 1e9 * tokens / ns, "tokens_per_cpu_s": 1e9 * tokens / ran,
            "ran": ran / wall_ns / len(after), "waited": waited / wall_ns / len(after)}


def prefill_rate(n_tokens):
    """Tokens per second of a prompt of about that many tokens."""
    def ask(n_words):
        session = open_session()  # a new one: nothing of the prompt is known yet
        counted = answer(session, b"word " * n_words, 0)
        os.close(session)
        return difference(*counted, "prompt_tokens", "prompt_ns")

    few, _ = ask(4)
    per_word = (ask(8)[0] - few) / 4
    tokens, ns = ask(max(1, round((n_tokens - few) / per_word) + 4))
    return 1e9 * tokens / ns
