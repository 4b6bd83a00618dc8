#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Records how llama.cpp and the package tokenizers cut texts with byte-level BPE.

Usage: make_fixtures.py MAKE_TINY_MODEL OUTPUT [SMOLLM2.gguf OUTPUT]

Needs the Python packages xllamacpp (a build of llama.cpp, called through the C API
of llama.h), tokenizers, regex and gguf. Both must agree on every text; where a text
is not UTF-8, llama.cpp would see U+FFFD instead of the byte. There the words are
those that the regular expression finds in the text with U+FFFD, and their bytes are
merged by the package tokenizers.
"""
import ctypes
import datetime
import glob
import os
import random
import subprocess
import sys
import tempfile

import gguf
import regex
import tokenizers
from tokenizers import Regex, models, pre_tokenizers

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|"
          r"\p{N}{%s}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
# Each cuts what the one before left over and what it matched.
EXPRESSIONS = {
    "default": [r"[\p{P}$+<=>^~|]+", GPT2, r"\p{N}+", r"[0-9][0-9][0-9]"],
    "gpt-2": [GPT2],
    "smollm": [r"\p{N}", GPT2],
    "llama-bpe": [LLAMA3 % "1,3"],
    "qwen2": [LLAMA3 % "1"],
}
WHOLE_WORDS = ["llama-bpe"]

# One a line, as in a Python string.
TEXTS = r"""The scheduler doesn't pick the task that they've slept with.
IT'S WHAT WE'LL SAY: YOU'RE, I'M, HE'D; 'tis 'Twas ''s '' 'x it's's
1 12 123 1234 12345 1234567 1,234,567.89 0x1f 3rd 2nd4 a1b22c333d4444
  leading,   middle   and trailing\x20\x20\x20
tabs\t\tand \t mixed \t\t spaces\t
line\nline\n\nline\n\n\n  line  \n  \n line \r\n\r\n\tx\r\r\n
\n\n\n
    if (!page)\n\t\treturn -ENOMEM;\n    }\n\n
e\u0301e\u0301 n\u0303o \u0928\u092e\u0938\u094d\u0924\u0947 \u0e01\u0e33
L'\u00e9t\u00e9 co\u00fbte 12\u00a0\u20ac, \u00ab\u00a0l\u00e0\u00a0\u00bb!
\u0397 \u03bc\u03bd\u03ae\u03bc\u03b7 \u03b5\u03af\u03bd\u03b1\u03b9 \u041f\u0430\u043c\u044f\u0442\u044c
\u5185\u5b58\u4e0d\u8db3\uff0c\u7cfb\u7edf\u5f88\u6162\u3002\u3000\u30e1\u30e2\u30ea\u3000\u3000\ud55c\uad6d\uc5b4
\u0661\u0662\u0663\u0664 12\u0663456 \u0967\u0968\u0969 \u2460\u2461\u2462\u2463 \u00bd\u00bc x\u00b2\u00b3 \u3007\u4e00
ok \U0001f600 \U0001f600\U0001f600 \U0001f44d\U0001f3fd\U0001f468\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f
$5 + <b>~x|y^z`w` == 7 >= 3 `` a`b #tag @me 50% a&b (c) [d] {e} \\f
\u2026\u2014\u201cquoted\u201d\u2018s \u2019s \u00a7\u00b6\u00b0\u00b1\u00d7\u00f7
\u0085x\u0085 \u2003\u2003y\u2028z\u205f\u202f\u1680 \u200b\ufeff w
\x00\x01\x02\x1c\x1d\x1e\x1f\x7f\x80\x9f
<|im_start|>user <|tool|> <|tool <|endoftext|> <s> </s> <|eot_id|>
lept slept leptlept      five     spaces          ten
\u2581\u2581x \u0120the \u010a
every nothing scheduler doesn doesn't  every  scheduler
"""

PARTS = ["the", " the", "'s", "'S", "'ll", "'", "1", "12", "1234", " 7", " ", "  ", "\n", "\r\n", "\t",
         "\u00a0", "\u3000", "\u00e9", "e\u0301", "\u5185\u5b58", "\u3002", "\U0001f600", "\u0663",
         "\u00b2", ".", "...", " !", "(", "+", "`", "$", "scheduler", " every", "doesn", "lept",
         "<|tool|>", "     ", "<|im_end|>", "\u20ac", "\u2028", "_", "\ufffd"]
WRONG = [b"\xff", b"\xc3", b"\xe2\x96", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf0\x9f\x98", b"\x80",
         b"\xf4\x90\x80\x80", b"\xfe"]
N_RANDOM = 60
N_WRONG = 30
USER_DEFINED = 4


class Blob(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_uint8 * 1024)]


def load_llama_cpp():
    import xllamacpp
    folder = os.path.dirname(xllamacpp.__file__)
    lib = ctypes.CDLL(glob.glob(folder + "/xllamacpp*.so")[0])
    pointer = ctypes.c_void_p
    for name, result, arguments in [
            ("llama_model_default_params", Blob, []),
            ("llama_model_load_from_file", pointer, [ctypes.c_char_p, Blob]),
            ("llama_model_get_vocab", pointer, [pointer]),
            ("llama_tokenize", ctypes.c_int32,
             [pointer, ctypes.c_char_p, ctypes.c_int32, pointer, ctypes.c_int32, ctypes.c_bool,
              ctypes.c_bool])]:
        function = getattr(lib, name)
        function.restype = result
        function.argtypes = arguments
    lib.llama_backend_init()
    return lib, xllamacpp.__version__


class LlamaCpp:
    def __init__(self, lib, path):
        self.lib = lib
        self.model = lib.llama_model_load_from_file(path.encode(), lib.llama_model_default_params())
        self.vocab = lib.llama_model_get_vocab(self.model)

    def encode(self, text, special=False):
        """With bos and control tokens if @special."""
        ids = (ctypes.c_int32 * (len(text) + 2))()
        n = self.lib.llama_tokenize(self.vocab, text, len(text), ctypes.addressof(ids), len(ids),
                                    special, special)
        return list(ids[:n])


def byte_characters():
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {**{byte: chr(byte) for byte in shown},
            **{byte: chr(256 + i) for i, byte in enumerate(hidden)}}


class Reference:
    """The package tokenizers for the merges, regex for the words."""

    def __init__(self, path, pre):
        fields = gguf.GGUFReader(path).fields
        tokens = fields["tokenizer.ggml.tokens"].contents()
        types = fields["tokenizer.ggml.token_type"].contents()
        merges = fields["tokenizer.ggml.merges"].contents()
        self.vocab = {token: i for i, token in enumerate(tokens)}
        self.model = models.BPE(self.vocab, [tuple(merge.split(" ")) for merge in merges],
                                ignore_merges=pre in WHOLE_WORDS)
        self.expressions = [regex.compile(e) for e in EXPRESSIONS[pre]]
        self.split = pre_tokenizers.Sequence(
            [pre_tokenizers.Split(Regex(e), "isolated") for e in EXPRESSIONS[pre]])
        self.characters = byte_characters()
        user = [token for token, kind in zip(tokens, types) if kind == USER_DEFINED]
        self.user = regex.compile(
            "|".join(map(regex.escape, sorted(user, key=len, reverse=True))) or "(?!)")

    def words(self, text):
        """Of a text in which surrogates stand for bytes that are no UTF-8."""
        shown = regex.sub("[\udc80-\udcff]", "\ufffd", text)
        parts = [(0, len(text))]
        for expression in self.expressions:
            cut = []
            for begin, end in parts:
                at = begin
                for match in expression.finditer(shown[begin:end]):
                    if begin + match.start() > at:
                        cut.append((at, begin + match.start()))
                    at = begin + match.end()
                    cut.append((begin + match.start(), at))
                if at < end:
                    cut.append((at, end))
            parts = cut
        if shown == text:
            theirs = [word for word, _ in self.split.pre_tokenize_str(text)]
            assert theirs == [text[begin:end] for begin, end in parts], (text, theirs)
        return [text[begin:end] for begin, end in parts]

    def encode_part(self, text):
        ids = []
        for word in self.words(text):
            written = "".join(self.characters[b] for b in word.encode("utf-8", "surrogateescape"))
            # A byte without a token: the package would close the gap.
            for part in regex.split("([" + "".join(
                    c for c in self.characters.values() if c not in self.vocab) + "])", written):
                if part in self.vocab or part not in self.characters.values():
                    ids += [token.id for token in self.model.tokenize(part)] if part else []
        return ids

    def encode(self, data):
        text = data.decode("utf-8", "surrogateescape")
        ids = []
        at = 0
        for match in self.user.finditer(text):
            ids += self.encode_part(text[at:match.start()]) + [self.vocab[match[0]]]
            at = match.end()
        return ids + self.encode_part(text[at:])


def texts():
    chance = random.Random(7)
    found = [line.encode().decode("unicode_escape").encode() for line in TEXTS.splitlines()]
    for _ in range(N_RANDOM):
        found.append("".join(chance.choices(PARTS, k=chance.randint(1, 14))).encode())
    for _ in range(N_WRONG):
        parts = [part.encode() for part in chance.choices(PARTS, k=chance.randint(1, 6))]
        for _ in range(chance.randint(1, 3)):
            parts.insert(chance.randint(0, len(parts)), chance.choice(WRONG))
        found.append(b"".join(parts))
    return found


def is_utf8(data):
    try:
        return bool(data.decode("utf-8")) or True
    except UnicodeDecodeError:
        return False


def record(lib, models_of, output, version):
    lines = ["# SPDX-License-Identifier: GPL-2.0-only",
             f"# llama.cpp in the Python package xllamacpp {version}; tokenizers "
             f"{tokenizers.__version__}; {datetime.date.today()}, by",
             "# tests/golden/bpe/make_fixtures.py build/tests/support/make_tiny_model FILE",
             "# text HEX; then for each pre-tokeniser its tokens"]
    for data in texts():
        lines.append("text " + data.hex())
        for pre, (theirs, reference) in models_of.items():
            ids = reference.encode(data)
            if is_utf8(data) and theirs.encode(data) != ids:
                sys.exit(f"{pre}: {data}: llama.cpp {theirs.encode(data)}, tokenizers {ids}")
            lines.append(" ".join([pre, *map(str, ids)]))
    with open(output, "w", encoding="ascii") as file:
        file.write("\n".join(lines) + "\n")


def main():
    make_tiny_model, output, *smollm2 = sys.argv[1:]
    lib, version = load_llama_cpp()
    with tempfile.TemporaryDirectory() as folder:
        models_of = {}
        for pre in EXPRESSIONS:
            path = f"{folder}/{pre}.gguf"
            subprocess.run([make_tiny_model, "bpe:" + pre, path], check=True)
            models_of[pre] = (LlamaCpp(lib, path), Reference(path, pre))
        record(lib, models_of, output, version)
    if smollm2:
        path, output = smollm2
        record(lib, {"smollm": (LlamaCpp(lib, path), Reference(path, "smollm"))}, output, version)


if __name__ == "__main__":
    main()
