# SPDX-License-Identifier: GPL-2.0-only
"""llama.cpp as the Python package xllamacpp brings it, through the C API of
llama.h: what the scripts beside this one record. Structures that are only
handed on are opaque blobs: by the x86-64 ABI they travel in memory, so a blob
that is too large does no harm.
"""
import ctypes
import glob
import os
import sys

import xllamacpp

VERSION = xllamacpp.__version__
N_THREADS = 1
MAX_TOKENS = 4096
MAX_PIECE = 256


class Blob(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_uint8 * 1024)]


class Batch(ctypes.Structure):
    _fields_ = [("n_tokens", ctypes.c_int32)] + [
        (name, ctypes.c_void_p) for name in
        ("token", "embd", "pos", "n_seq_id", "seq_id", "logits")]


def load_library():
    folder = os.path.dirname(xllamacpp.__file__)
    lib = ctypes.CDLL(glob.glob(folder + "/xllamacpp*.so")[0])
    pointer, number, text = ctypes.c_void_p, ctypes.c_int32, ctypes.c_char_p
    for name, result, arguments in [
            ("llama_model_default_params", Blob, []),
            ("llama_context_default_params", Blob, []),
            ("llama_model_load_from_file", pointer, [text, Blob]),
            ("llama_init_from_model", pointer, [pointer, Blob]),
            ("llama_set_n_threads", None, [pointer, number, number]),
            ("llama_free", None, [pointer]),
            ("llama_model_free", None, [pointer]),
            ("llama_model_get_vocab", pointer, [pointer]),
            ("llama_vocab_n_tokens", number, [pointer]),
            ("llama_vocab_eos", number, [pointer]),
            ("llama_tokenize", number,
             [pointer, text, number, pointer, number, ctypes.c_bool, ctypes.c_bool]),
            ("llama_token_to_piece", number,
             [pointer, number, text, number, number, ctypes.c_bool]),
            ("llama_batch_get_one", Batch, [pointer, number]),
            ("llama_decode", number, [pointer, Batch]),
            ("llama_get_logits_ith", ctypes.POINTER(ctypes.c_float), [pointer, number])]:
        function = getattr(lib, name)
        function.restype = result
        function.argtypes = arguments
    lib.llama_backend_init()
    return lib


LIB = load_library()


class Model:
    """A GGUF file and one context in llama.cpp's default settings, but for the
    context's size and the threads, which change no result."""

    def __init__(self, path, n_ctx=512):
        self.model = LIB.llama_model_load_from_file(path.encode(),
                                                    LIB.llama_model_default_params())
        if not self.model:
            sys.exit("llama.cpp cannot load " + path)
        self.vocab = LIB.llama_model_get_vocab(self.model)
        self.n_vocab = LIB.llama_vocab_n_tokens(self.vocab)
        self.eos = LIB.llama_vocab_eos(self.vocab)
        self.n_ctx = n_ctx
        self.context = None
        self.restart()

    def restart(self):
        """Forgets all tokens."""
        if self.context:
            LIB.llama_free(self.context)
        params = LIB.llama_context_default_params()
        # struct llama_context_params begins with n_ctx.
        ctypes.cast(ctypes.byref(params), ctypes.POINTER(ctypes.c_uint32))[0] = self.n_ctx
        self.context = LIB.llama_init_from_model(self.model, params)
        if not self.context:
            sys.exit("llama.cpp makes no context")
        LIB.llama_set_n_threads(self.context, N_THREADS, N_THREADS)

    def close(self):
        LIB.llama_free(self.context)
        LIB.llama_model_free(self.model)

    def tokens(self, text):
        """bos and the text; control tokens in it are not parsed."""
        raw = text.encode()
        cells = (ctypes.c_int32 * MAX_TOKENS)()
        n = LIB.llama_tokenize(self.vocab, raw, len(raw), cells, MAX_TOKENS, True, False)
        if n < 0:
            sys.exit("llama_tokenize failed")
        return cells[:n]

    def piece(self, token):
        """Bytes; control tokens give none."""
        buffer = ctypes.create_string_buffer(MAX_PIECE)
        n = LIB.llama_token_to_piece(self.vocab, token, buffer, MAX_PIECE, 0, False)
        if n < 0:
            sys.exit("llama_token_to_piece failed")
        return buffer.raw[:n]

    def logits(self, token):
        """Goes on by one token."""
        cell = ctypes.c_int32(token)
        if LIB.llama_decode(self.context, LIB.llama_batch_get_one(ctypes.addressof(cell), 1)):
            sys.exit("llama_decode failed")
        return LIB.llama_get_logits_ith(self.context, -1)[:self.n_vocab]

    def answer(self, tokens, most, is_end):
        """Greedy, from an empty context, with the token that ends it: at most
        @most; gaps: between the best two logits."""
        self.restart()
        for token in tokens:
            logits = self.logits(token)
        chosen, gaps, text = [], [], b""
        while len(chosen) < most:
            second, first = sorted(logits)[-2:]
            gaps.append(round(first - second, 4))
            token = logits.index(first)
            chosen.append(token)
            if is_end(token):
                break
            text += self.piece(token)
            logits = self.logits(token)
        return {"answer": chosen, "gaps": gaps, "text": text.decode(errors="replace")}
