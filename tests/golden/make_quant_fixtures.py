#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Writes tests/golden/quant/TYPE.bin: blocks of every type with the values that
PyPI's gguf 0.19.0 decodes from them or encodes in them.

    pip install gguf==0.19.0 && tests/golden/make_quant_fixtures.py

A file is: u32 bytes of blocks, u32 values; the blocks; the values as f32. TYPE.bin
has random blocks and what they decode to, TYPE.encode.bin random values and the
blocks that gguf makes of them.
"""
import pathlib

import gguf
import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType as T

OUT = pathlib.Path(__file__).parent / "quant"
BLOCKS = {T.F16: 512, T.BF16: 512, T.Q8_0: 8, T.Q4_0: 8, T.Q4_K: 3, T.Q5_K: 3, T.Q6_K: 3,
          T.Q4_1: 8, T.Q5_0: 8, T.Q5_1: 8, T.Q2_K: 3, T.Q3_K: 3}
HALVES = {T.Q8_0: [0], T.Q4_0: [0], T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208],
          T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q2_K: [80, 82], T.Q3_K: [108]}
ENCODED = [T.F16, T.BF16, T.Q8_0, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1]


def random_blocks(kind, random):
    size = GGML_QUANT_SIZES[kind][1]
    blocks = random.integers(0, 256, (BLOCKS[kind], size), dtype=np.uint8)
    if kind == T.F16:  # every exponent but that of infinity and NaN
        blocks[:, 1] &= 0xBB
    if kind == T.BF16:
        blocks[:, 1] &= 0xBF
    for place in HALVES.get(kind, []):
        half = random.normal(0, 0.5, len(blocks)).astype(np.float16)
        blocks[:, place:place + 2] = half.view(np.uint8).reshape(-1, 2)
    return blocks


def write(name, blocks, values):
    with open(OUT / name, "wb") as file:
        file.write(np.array([blocks.size, values.size], dtype="<u4").tobytes())
        file.write(blocks.tobytes())
        file.write(values.astype("<f4").tobytes())


def main():
    OUT.mkdir(exist_ok=True)
    random = np.random.default_rng(1)
    for kind in BLOCKS:
        blocks = random_blocks(kind, random).reshape(1, -1)
        write(f"{kind.name}.bin", blocks, gguf.quants.dequantize(blocks, kind))
    for kind in ENCODED:
        values = random.normal(0, 0.1, (1, 512)).astype(np.float32)
        values[0, 32:64] = 0
        blocks = gguf.quants.quantize(values, kind)
        write(f"{kind.name}.encode.bin", np.ascontiguousarray(blocks).view(np.uint8), values)


if __name__ == "__main__":
    main()
