// SPDX-License-Identifier: GPL-2.0-only
//
// A file like tinyllama-1.1b-chat-v1.0.Q4_K_M.gguf: the same metadata keys,
// tensors, shapes, types and chat template, with a made-up vocabulary and random
// weights, because the official file is not ours to ship. The same bytes on
// every machine.
#pragma once

#include "support/gguf_writer.hpp"
#include "support/tiny_model.hpp"

namespace llamux::test {

constexpr std::uint32_t kTinyllamaVocab = 32000;

// <unk>, <s>, </s>, 256 bytes, pieces that each are two others put together,
// single characters last: numbered as SentencePiece numbers them.
[[nodiscard]] TinyVocab tinyllama_vocab();

// Weights are made while the file is written, one tensor at a time.
[[nodiscard]] GgufWriter tinyllama_file();

}  // namespace llamux::test
