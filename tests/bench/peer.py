#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""A build of llama.cpp from a Python package, as compare.py measures it.

Usage: peer.py {llama.cpp|ik} MODEL.gguf [repack]

Loads the file, prints "ready VERSION" and answers lines like bench_server:
"decode N THREADS" and "prefill N THREADS" with tokens per second. The library
is called through the C API of llama.h. repack: ik_llama.cpp's -rtr 1, which
reads the file into memory of its own and repacks it.
"""
import ctypes
import glob
import importlib.metadata
import os
import sys
import time

N_CTX = 1024
N_BATCH = 512


class Blob(ctypes.Structure):
    """Parameters that are only handed on: by the x86-64 ABI they travel in
    memory, so a blob that is too large does no harm."""
    _fields_ = [("words", ctypes.c_uint32 * 256)]


class Batch(ctypes.Structure):
    _fields_ = [("n_tokens", ctypes.c_int32)] + [
        (name, ctypes.c_void_p) for name in
        ("token", "embd", "pos", "n_seq_id", "seq_id", "logits")]


LOG = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
SILENT = LOG(lambda level, text, data: None)


class LlamaCpp:
    package = "xllamacpp"

    def __init__(self, path, _repack):
        import xllamacpp
        lib = ctypes.CDLL(glob.glob(os.path.dirname(xllamacpp.__file__) + "/xllamacpp*.so")[0])
        pointer = ctypes.c_void_p
        for name, result, arguments in [
                ("llama_log_set", None, [LOG, pointer]),
                ("llama_model_default_params", Blob, []),
                ("llama_context_default_params", Blob, []),
                ("llama_model_load_from_file", pointer, [ctypes.c_char_p, Blob]),
                ("llama_init_from_model", pointer, [pointer, Blob]),
                ("llama_set_n_threads", None, [pointer, ctypes.c_int32, ctypes.c_int32]),
                ("llama_get_memory", pointer, [pointer]),
                ("llama_memory_clear", None, [pointer, ctypes.c_bool]),
                ("llama_batch_get_one", Batch, [pointer, ctypes.c_int32]),
                ("llama_decode", ctypes.c_int32, [pointer, Batch]),
                ("llama_get_logits_ith", pointer, [pointer, ctypes.c_int32])]:
            function = getattr(lib, name)
            function.restype = result
            function.argtypes = arguments
        lib.llama_log_set(SILENT, None)
        lib.llama_backend_init()
        model = lib.llama_model_load_from_file(path.encode(), lib.llama_model_default_params())
        parameters = lib.llama_context_default_params()
        # n_ctx, n_batch and n_ubatch lead the structure.
        parameters.words[:3] = [N_CTX, N_BATCH, N_BATCH]
        self.lib = lib
        self.context = lib.llama_init_from_model(model, parameters)
        if not self.context:
            sys.exit("llama.cpp cannot load " + path)

    def set_threads(self, n_threads):
        self.lib.llama_set_n_threads(self.context, n_threads, n_threads)

    def clear(self):
        self.lib.llama_memory_clear(self.lib.llama_get_memory(self.context), False)

    def eval(self, n_tokens):
        cells = (ctypes.c_int32 * n_tokens)(*[5] * n_tokens)
        batch = self.lib.llama_batch_get_one(ctypes.addressof(cells), n_tokens)
        if self.lib.llama_decode(self.context, batch):
            sys.exit("llama_decode failed")
        self.lib.llama_get_logits_ith(self.context, -1)


class Ik:
    package = "ik-llama-cpp-python"

    def __init__(self, path, repack):
        import ik_llama_cpp._ctypes_api as api
        self.api = api
        api._lib.llama_log_set.argtypes = [LOG, ctypes.c_void_p]
        api._lib.llama_log_set(SILENT, None)
        api._lib.llama_set_n_threads.argtypes = [ctypes.c_void_p, ctypes.c_uint32,
                                                 ctypes.c_uint32]
        api.llama_backend_init()
        model_parameters = api.llama_model_default_params()
        model_parameters.repack_tensors = repack
        model_parameters.use_mmap = not repack
        model = api.llama_model_load_from_file(path.encode(), model_parameters)
        parameters = api.llama_context_default_params()
        parameters.n_ctx = N_CTX
        parameters.n_batch = parameters.n_ubatch = N_BATCH
        self.context = api.llama_init_from_model(model, parameters)
        if not self.context:
            sys.exit("ik_llama.cpp cannot load " + path)
        self.batch = api.llama_batch_init(N_BATCH, 0, 1)
        self.n_past = 0

    def set_threads(self, n_threads):
        self.api._lib.llama_set_n_threads(self.context, n_threads, n_threads)

    def clear(self):
        self.api.llama_kv_cache_clear(self.context)
        self.n_past = 0

    def eval(self, n_tokens):
        batch = self.batch
        batch.n_tokens = n_tokens
        for i in range(n_tokens):
            batch.token[i] = 5
            batch.pos[i] = self.n_past + i
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = 0
            batch.logits[i] = i == n_tokens - 1
        self.n_past += n_tokens
        if self.api.llama_decode(self.context, batch):
            sys.exit("llama_decode failed")
        self.api.llama_get_logits_ith(self.context, n_tokens - 1)


def main():
    kind, path = sys.argv[1:3]
    peer = {"llama.cpp": LlamaCpp, "ik": Ik}[kind](path, "repack" in sys.argv[3:])
    peer.set_threads(1)
    peer.eval(1)
    print("ready", peer.package, importlib.metadata.version(peer.package), flush=True)
    for line in sys.stdin:
        what, n_tokens, n_threads = line.split()
        n_tokens = int(n_tokens)
        at_once = n_tokens if what == "prefill" else 1
        peer.set_threads(int(n_threads))
        peer.clear()
        begin = time.monotonic()
        for _ in range(0, n_tokens, at_once):
            peer.eval(at_once)
        print(n_tokens / (time.monotonic() - begin), flush=True)


main()
