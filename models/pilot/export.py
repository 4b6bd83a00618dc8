#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Trained weights -> GGUF with F16 matrices (F32 norms), as llama.cpp has it.

  export.py DIR OUT.gguf [RANK_TEMPERATURE_MILLI]

The last is what pilot_evaluate --fit says of a file without it.
Tied embeddings: output.weight is left out. RoPE was trained on interleaved
pairs, so q and k need no permutation.
"""
import struct
import sys

import numpy as np
import torch

import corpus

U32, F32, BOOL, STRING, ARRAY, I32 = 4, 6, 7, 8, 9, 5
ALIGNMENT = 32
TENSOR_F32, TENSOR_F16 = 0, 1
FILE_TYPE_F16 = 1


def text(value):
    raw = value.encode("utf-8")
    return struct.pack("<Q", len(raw)) + raw


def value_of(kind, value):
    if kind == STRING:
        return text(value)
    if kind == ARRAY:
        of, values = value
        return struct.pack("<IQ", of, len(values)) + b"".join(value_of(of, v) for v in values)
    return struct.pack({U32: "<I", I32: "<i", F32: "<f", BOOL: "<?"}[kind], value)


def metadata(config, tokenizer, rank_temperature_milli):
    pieces = tokenizer.proto.pieces
    fitted = [("llamux.rank_temperature_milli", U32, int(milli)) for milli in rank_temperature_milli]
    # sentencepiece: NORMAL 1, UNKNOWN 2, CONTROL 3, USER_DEFINED 4, UNUSED 5, BYTE 6
    return [
        ("general.architecture", STRING, "llama"),
        ("general.name", STRING, "llamux-pilot"),
        ("general.license", STRING, "GPL-2.0-only"),
        ("general.file_type", U32, FILE_TYPE_F16),
        ("llamux.prompt_format", STRING, "pilot"),
        *fitted,
        ("llama.context_length", U32, config["context"]),
        ("llama.embedding_length", U32, config["dim"]),
        ("llama.block_count", U32, config["layers"]),
        ("llama.feed_forward_length", U32, config["ffn"]),
        ("llama.attention.head_count", U32, config["heads"]),
        ("llama.attention.head_count_kv", U32, config["kv_heads"]),
        ("llama.attention.layer_norm_rms_epsilon", F32, config["eps"]),
        ("llama.rope.dimension_count", U32, config["head_dim"]),
        ("llama.rope.freq_base", F32, config["rope_base"]),
        ("llama.vocab_size", U32, config["vocab"]),
        ("tokenizer.ggml.model", STRING, "llama"),
        ("tokenizer.ggml.tokens", ARRAY, (STRING, [p.piece for p in pieces])),
        ("tokenizer.ggml.scores", ARRAY, (F32, [p.score for p in pieces])),
        ("tokenizer.ggml.token_type", ARRAY, (I32, [p.type for p in pieces])),
        ("tokenizer.ggml.unknown_token_id", U32, 0),
        ("tokenizer.ggml.bos_token_id", U32, tokenizer.bos),
        ("tokenizer.ggml.eos_token_id", U32, tokenizer.eos),
        ("tokenizer.ggml.add_bos_token", BOOL, True),
        ("tokenizer.ggml.add_eos_token", BOOL, False),
        ("tokenizer.ggml.add_space_prefix", BOOL, True),
    ]


def tensors(state, config):
    names = {"attn_norm.weight": "attn_norm", "attn.q.weight": "attn_q",
             "attn.k.weight": "attn_k", "attn.v.weight": "attn_v",
             "attn.output.weight": "attn_output", "ffn_norm.weight": "ffn_norm",
             "gate.weight": "ffn_gate", "up.weight": "ffn_up", "down.weight": "ffn_down"}
    yield "token_embd.weight", state["embed.weight"]
    for layer in range(config["layers"]):
        for ours, theirs in names.items():
            yield f"blk.{layer}.{theirs}.weight", state[f"blocks.{layer}.{ours}"]
    yield "output_norm.weight", state["norm.weight"]


def padding(n):
    return b"\0" * (-n % ALIGNMENT)


def main():
    directory, out, *rank_temperature_milli = sys.argv[1:]
    saved = torch.load(f"{directory}/answer.pt")
    tokenizer = corpus.Tokenizer(f"{directory}/vocabulary.model")
    keys = metadata(saved["config"], tokenizer, rank_temperature_milli)
    arrays = []
    for name, tensor in tensors(saved["model"], saved["config"]):
        matrix = tensor.dim() == 2
        array = tensor.numpy().astype(np.float16 if matrix else np.float32)
        arrays.append((name, array, TENSOR_F16 if matrix else TENSOR_F32))

    head = b"GGUF" + struct.pack("<IQQ", 3, len(arrays), len(keys))
    for key, kind, value in keys:
        head += text(key) + struct.pack("<I", kind) + value_of(kind, value)
    offset, data = 0, b""
    for name, array, kind in arrays:
        head += text(name) + struct.pack("<I", array.ndim)
        head += b"".join(struct.pack("<Q", n) for n in reversed(array.shape))
        head += struct.pack("<IQ", kind, offset)
        raw = array.tobytes()
        data += raw + padding(len(raw))
        offset = len(data)
    with open(out, "wb") as file:
        file.write(head + padding(len(head)) + data)
    print(f"{out}: {len(arrays)} tensors, {len(head) + len(data)} bytes")


if __name__ == "__main__":
    main()
