// SPDX-License-Identifier: GPL-2.0-only
//
// GGUF files back to plain data (model_data.hpp), for the double-precision
// reference. The metadata is parsed by the engine's parser, which
// tests/unit/gguf_test checks; the tensors' bytes are taken as they are.
#pragma once

#include <optional>
#include <string>

#include "support/model_data.hpp"

namespace llamux::test {

// Nothing: @error says why. Keys that the file leaves out get the values that
// llama.cpp documents for them; RoPE scaling is not read.
[[nodiscard]] std::optional<ModelData> read_model_data(const std::string& path, std::string& error);

// The same weights as F32: nothing is rounded then but keys and values.
[[nodiscard]] ModelData as_f32(const ModelData& model);

}  // namespace llamux::test
