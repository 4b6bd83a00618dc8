#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Records what llama.cpp computes for the tiny models.

Usage: make_fixtures.py MAKE_TINY_MODEL OUTPUT

Needs a build of llama.cpp from the package xllamacpp, whose library is called
through the C API of llama.h. Tokens go in one at a time. Structures that are
only handed on are opaque blobs: by the x86-64 ABI they travel in memory, so a
blob that is too large does no harm.
"""
import ctypes
import datetime
import glob
import os
import struct
import subprocess
import sys
import tempfile

TYPES = ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_K", "Q5_K", "Q6_K", "mixed"]
# bos and 15 tokens of TinyVocab::usual(): bytes, words, letters
TOKENS = [1, 261, 268, 70, 280, 299, 3, 200, 259, 275, 275, 290, 42, 265, 277, 260]
RECORDED = [0, 7, 15]  # positions whose logits are kept
N_GREEDY = 24


class Blob(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_uint8 * 1024)]


class Batch(ctypes.Structure):
    _fields_ = [("n_tokens", ctypes.c_int32)] + [
        (name, ctypes.c_void_p) for name in
        ("token", "embd", "pos", "n_seq_id", "seq_id", "logits")]


def load_library():
    import xllamacpp
    folder = os.path.dirname(xllamacpp.__file__)
    lib = ctypes.CDLL(glob.glob(folder + "/xllamacpp*.so")[0])
    pointer = ctypes.c_void_p
    for name, result, arguments in [
            ("llama_model_default_params", Blob, []),
            ("llama_context_default_params", Blob, []),
            ("llama_model_load_from_file", pointer, [ctypes.c_char_p, Blob]),
            ("llama_init_from_model", pointer, [pointer, Blob]),
            ("llama_free", None, [pointer]),
            ("llama_model_free", None, [pointer]),
            ("llama_batch_get_one", Batch, [pointer, ctypes.c_int32]),
            ("llama_decode", ctypes.c_int32, [pointer, Batch]),
            ("llama_get_logits_ith", ctypes.POINTER(ctypes.c_float),
             [pointer, ctypes.c_int32])]:
        function = getattr(lib, name)
        function.restype = result
        function.argtypes = arguments
    lib.llama_backend_init()
    return lib, xllamacpp.__version__


def decode(lib, context, token, n_vocab):
    cell = ctypes.c_int32(token)
    if lib.llama_decode(context, lib.llama_batch_get_one(ctypes.addressof(cell), 1)):
        sys.exit("llama_decode failed")
    return lib.llama_get_logits_ith(context, -1)[:n_vocab]


def record(lib, path, n_vocab):
    model = lib.llama_model_load_from_file(path.encode(), lib.llama_model_default_params())
    context = lib.llama_init_from_model(model, lib.llama_context_default_params())
    if not context:
        sys.exit("llama.cpp cannot load " + path)
    lines = []
    logits = []
    for position, token in enumerate(TOKENS):
        logits = decode(lib, context, token, n_vocab)
        if position in RECORDED:
            words = (struct.pack(">f", value).hex() for value in logits)
            lines.append(f"logits {position} " + " ".join(words))
    greedy = []
    for _ in range(N_GREEDY):
        greedy.append(max(range(n_vocab), key=logits.__getitem__))
        logits = decode(lib, context, greedy[-1], n_vocab)
    lines.append("greedy " + " ".join(map(str, greedy)))
    lib.llama_free(context)
    lib.llama_model_free(model)
    return lines


def main():
    make_tiny_model, output = sys.argv[1:]
    lib, version = load_library()
    lines = ["# SPDX-License-Identifier: GPL-2.0-only",
             f"# llama.cpp in the Python package xllamacpp {version}, {datetime.date.today()}, by",
             "# tests/golden/parity/make_fixtures.py build/tests/support/make_tiny_model FILE",
             "# logits POSITION: binary32 in hex, one a token of the vocabulary",
             "tokens " + " ".join(map(str, TOKENS))]
    with tempfile.TemporaryDirectory() as folder:
        for name in TYPES:
            path = f"{folder}/{name}.gguf"
            subprocess.run([make_tiny_model, name, path], check=True)
            lines.append("model " + name)
            lines += record(lib, path, 300)
    with open(output, "w", encoding="ascii") as file:
        file.write("\n".join(lines) + "\n")


main()
