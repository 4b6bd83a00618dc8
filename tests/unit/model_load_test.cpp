// SPDX-License-Identifier: GPL-2.0-only
// Catches: models that are loaded though something in them is missing, of the
// wrong shape or type, or not known (each would compute nonsense without a
// word), weights packed from the wrong bytes, and memory lost or used wrongly
// when a load fails half way.
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "support/model_file.hpp"
#include "support/tiny_model.hpp"

namespace {

using llamux::test::Bytes;
using llamux::test::GgufWriter;
using llamux::test::LoadedModel;
using llamux::test::put_number;
using llamux::test::TinyModel;
using llamux::test::TinyVocab;

// A file in memory that can fail, and counts what is read.
struct File {
    Bytes bytes;
    std::uint64_t size;
    std::uint64_t fail_at = ~std::uint64_t{0};
    std::uint64_t bytes_read = 0;
    std::uint64_t largest_read = 0;

    explicit File(Bytes content) : bytes(std::move(content)), size(bytes.size()) {}

    static int read(void* ctx, u64 offset, void* buf, std::size_t n) {
        auto* file = static_cast<File*>(ctx);
        if (offset > file->bytes.size() || n > file->bytes.size() - offset) {
            ADD_FAILURE() << "read of " << n << " bytes at " << offset << " is outside the file";
            return -EINVAL;
        }
        if (offset + n > file->fail_at) {
            return -EIO;
        }
        file->bytes_read += n;
        file->largest_read = std::max<std::uint64_t>(file->largest_read, n);
        std::memcpy(buf, file->bytes.data() + offset, n);
        return 0;
    }
};

struct Loaded {
    LoadedModel model;
    llx_error error = {};
    int code = 0;
};

Loaded load(File& file, std::uint32_t n_ctx_max = 0, llx_exec* exec = &llx_exec_inline) {
    Loaded loaded;
    llx_model* model = nullptr;
    const llx_reader reader = {&file, file.size, File::read};
    loaded.code = llx_model_load(&model, &reader, llx_kernels_select(0, "generic"), exec, n_ctx_max,
                                 LLX_PROMPT_BY_FILE, &loaded.error);
    loaded.model.reset(model);
    EXPECT_EQ(loaded.code == 0, model != nullptr);
    EXPECT_EQ(loaded.error.code, loaded.code);
    return loaded;
}

Loaded load(const GgufWriter& writer, std::uint32_t n_ctx_max = 0) {
    File file(writer.bytes());
    return load(file, n_ctx_max);
}

GgufWriter smallest() {
    TinyModel tiny;
    tiny.n_layer = 1;
    tiny.n_embd = 32;
    tiny.n_head = 2;
    tiny.n_ff = 32;
    return tiny.build();
}

Bytes eight_times(float value) {
    Bytes out(8 * sizeof(value));
    for (std::size_t i = 0; i < out.size(); i += sizeof(value)) {
        std::memcpy(out.data() + i, &value, sizeof(value));
    }
    return out;
}

// The text without its place, which depends on all keys before it.
void expect_refused(const GgufWriter& writer, int code, const std::string& text) {
    const Loaded loaded = load(writer);
    EXPECT_EQ(loaded.code, code) << text;
    std::string got = loaded.error.text;
    const std::string place = " (at byte " + std::to_string(loaded.error.offset) + ")";
    if (loaded.error.offset) {
        ASSERT_TRUE(got.ends_with(place)) << got;
        got.resize(got.size() - place.size());
    }
    EXPECT_EQ(got, text);
}

template <typename T>
void expect_key_refused(const char* key, const T& value, int code, const std::string& text) {
    GgufWriter writer = TinyModel().build();
    writer.set(key, value);
    expect_refused(writer, code, text);
}

TEST(ModelLoad, ReadsWhatTheFileSays) {
    GgufWriter writer = TinyModel().build();
    writer.set("llama.rope.freq_base", 50000.0F);
    writer.set("llama.rope.dimension_count", std::uint32_t{8});
    const Loaded loaded = load(writer);
    ASSERT_EQ(loaded.code, 0) << loaded.error.text;
    const llx_hparams& h = loaded.model->hparams;
    EXPECT_EQ(h.n_layer, 2U);
    EXPECT_EQ(h.n_embd, 64U);
    EXPECT_EQ(h.n_ff, 96U);
    EXPECT_EQ(h.n_head, 4U);
    EXPECT_EQ(h.n_head_kv, 2U);
    EXPECT_EQ(h.head_dim, 16U);
    EXPECT_EQ(h.n_rot, 8U);
    EXPECT_EQ(h.n_ctx, 32U);
    EXPECT_EQ(h.n_vocab, 300U);
    EXPECT_EQ(h.rms_eps.bits, 0x3727c5acU);         // 1e-5
    EXPECT_EQ(h.rope_freq_base.bits, 0x47435000U);  // 50000
    EXPECT_EQ(h.rope_freq_scale.bits, 0x3f800000U);
    EXPECT_STREQ(loaded.model->name, "tiny");
    EXPECT_STREQ(loaded.model->quantisation, "F32");
    EXPECT_EQ(loaded.model->n_tensors, 21U);
    EXPECT_EQ(loaded.model->file_bytes, writer.bytes().size());
    const std::uint64_t per_layer = 2 * 64 + 64 * (64 + 32 + 32 + 64) + 3 * 64 * 96;
    EXPECT_EQ(loaded.model->n_params, 2 * 300 * 64 + 64 + 2 * per_layer);
    EXPECT_EQ(loaded.model->weight_bytes, loaded.model->arena.bytes);
    // F32 tiles are no larger than the file, but for whole tiles and padding.
    EXPECT_GE(loaded.model->weight_bytes, 4 * loaded.model->n_params);
    EXPECT_LE(loaded.model->weight_bytes, 4 * loaded.model->n_params + 12000);
}

TEST(ModelLoad, HasDefaults) {
    GgufWriter writer = TinyModel().build();
    writer.remove("llama.attention.head_count_kv");
    writer.remove("general.name");
    for (const char* what : {"attn_k", "attn_v"}) {
        for (const char* layer : {"blk.0.", "blk.1."}) {
            auto* tensor = writer.tensor(layer + std::string(what) + ".weight");
            tensor->dims[1] = 64;
            tensor->n_bytes *= 2;
        }
    }
    const Loaded loaded = load(writer);
    ASSERT_EQ(loaded.code, 0) << loaded.error.text;
    EXPECT_EQ(loaded.model->hparams.n_head_kv, 4U);
    EXPECT_EQ(loaded.model->hparams.n_rot, 16U);
    EXPECT_EQ(loaded.model->hparams.rope_freq_base.bits, 0x461c4000U);  // 10000
    EXPECT_STREQ(loaded.model->name, "unnamed");
}

TEST(ModelLoad, HeadsMayBeLongerThanTheEmbeddingSays) {
    GgufWriter writer = TinyModel().build();
    writer.set("llama.attention.key_length", std::uint32_t{32});
    writer.set("llama.attention.value_length", std::uint32_t{32});
    for (const char* what : {"attn_q", "attn_k", "attn_v", "attn_output"}) {
        for (const char* layer : {"blk.0.", "blk.1."}) {
            auto* tensor = writer.tensor(layer + std::string(what) + ".weight");
            tensor->dims[std::string(what) == "attn_output" ? 0 : 1] *= 2;
            tensor->n_bytes *= 2;
        }
    }
    const Loaded loaded = load(writer);
    ASSERT_EQ(loaded.code, 0) << loaded.error.text;
    EXPECT_EQ(loaded.model->hparams.head_dim, 32U);
}

TEST(ModelLoad, PacksEveryTileFromItsRows) {
    for (const std::uint32_t type : {LLX_TYPE_F32, LLX_TYPE_F16, LLX_TYPE_Q8_0, LLX_TYPE_Q4_0,
                                     LLX_TYPE_Q4_1, LLX_TYPE_Q5_0, LLX_TYPE_Q5_1}) {
        TinyModel tiny;
        tiny.type = type;
        // Rows of 64 KiB as F32: the buffer then holds one tile, not many.
        tiny.n_ff = type == LLX_TYPE_F32 ? 16384 : 96;
        const GgufWriter writer = tiny.build();
        File file(writer.bytes());
        const Loaded loaded = load(file);
        ASSERT_EQ(loaded.code, 0) << loaded.error.text;
        llx_gguf gguf = {};
        llx_error error = {};
        ASSERT_EQ(
            llx_gguf_parse(&gguf, file.bytes.data(), file.bytes.size(), file.bytes.size(), &error),
            0);
        const auto compare = [&](const std::string& name, const llx_matrix& m) {
            const auto* t = llx_gguf_find_tensor(&gguf, name.c_str());
            ASSERT_NE(t, nullptr);
            EXPECT_EQ(m.type, type);
            EXPECT_EQ(m.n_cols, t->dims[0]);
            EXPECT_EQ(m.n_rows, t->dims[1]);
            EXPECT_EQ(reinterpret_cast<std::uintptr_t>(m.tiles) % 64, 0U);
            const std::uint64_t row_bytes = t->bytes / m.n_rows;
            Bytes tile(m.tile_bytes);
            for (std::uint32_t i = 0; i < m.n_tiles; i++) {
                const std::uint32_t row = i * LLX_TILE_ROWS;
                std::fill(tile.begin(), tile.end(), std::uint8_t{0});
                llx_pack_tile(&m, file.bytes.data() + t->start + row * row_bytes,
                              std::min(m.n_rows - row, LLX_TILE_ROWS), tile.data());
                ASSERT_EQ(std::memcmp(m.tiles + i * m.tile_bytes, tile.data(), tile.size()), 0)
                    << name << " tile " << i;
            }
        };
        const auto compare_norm = [&](const std::string& name, const llx_f32* values) {
            const auto* t = llx_gguf_find_tensor(&gguf, name.c_str());
            EXPECT_EQ(std::memcmp(values, file.bytes.data() + t->start, t->bytes), 0) << name;
        };
        compare("token_embd.weight", loaded.model->token_embd);
        compare("output.weight", loaded.model->output);
        for (std::uint32_t i = 0; i < 2; i++) {
            const llx_layer& layer = loaded.model->layers[i];
            const std::string prefix = "blk." + std::to_string(i) + ".";
            compare(prefix + "attn_q.weight", layer.attn_q);
            compare(prefix + "attn_k.weight", layer.attn_k);
            compare(prefix + "attn_v.weight", layer.attn_v);
            compare(prefix + "attn_output.weight", layer.attn_output);
            compare(prefix + "ffn_gate.weight", layer.ffn_gate);
            compare(prefix + "ffn_up.weight", layer.ffn_up);
            compare(prefix + "ffn_down.weight", layer.ffn_down);
            compare_norm(prefix + "ffn_norm.weight", layer.ffn_norm);
            compare_norm(prefix + "attn_norm.weight", layer.attn_norm);
        }
        compare_norm("output_norm.weight", loaded.model->output_norm);
        llx_gguf_destroy(&gguf);
    }
}

TEST(ModelLoad, NeverHoldsTwoCopies) {
    TinyModel tiny;
    tiny.n_ff = 16384;
    File file(tiny.build().bytes());
    ASSERT_EQ(load(file).code, 0);
    // Each byte once (the metadata too, within the first 64 KiB), in pieces.
    EXPECT_LE(file.bytes_read, file.bytes.size() + (64U << 10));
    EXPECT_LE(file.largest_read, 16U * 16384 * 4);
}

TEST(ModelLoad, SharesTiedWeights) {
    TinyModel tiny;
    tiny.tied = true;
    const Loaded tied = load(tiny.build());
    ASSERT_EQ(tied.code, 0) << tied.error.text;
    EXPECT_EQ(tied.model->output.tiles, tied.model->token_embd.tiles);
    EXPECT_EQ(tied.model->n_tensors, 20U);
    const Loaded apart = load(TinyModel().build());
    EXPECT_NE(apart.model->output.tiles, apart.model->token_embd.tiles);
}

TEST(ModelLoad, BoundsTheContext) {
    GgufWriter writer = TinyModel().build();
    EXPECT_EQ(load(writer, 8).model->hparams.n_ctx, 8U);
    EXPECT_EQ(load(writer, 1000).model->hparams.n_ctx, 32U);
    writer.set("llama.context_length", LLX_MAX_CTX + 1);
    expect_refused(writer, -EINVAL, "llama.context_length is 131073: at most 131072 are accepted");
    EXPECT_EQ(load(writer, 16).model->hparams.n_ctx, 16U);
}

TEST(ModelLoad, FillsTheRopeTable) {
    GgufWriter writer = TinyModel().build();
    writer.set("llama.rope.scaling.type", "linear");
    writer.set("llama.rope.scaling.factor", 4.0F);
    const Loaded scaled = load(writer);
    ASSERT_EQ(scaled.code, 0) << scaled.error.text;
    EXPECT_EQ(scaled.model->hparams.rope_freq_scale.bits, 0x3e800000U);  // 0.25
    writer.set("llama.rope.scaling.type", "none");
    const Loaded plain = load(writer);
    EXPECT_EQ(plain.model->hparams.rope_freq_scale.bits, 0x3f800000U);
    // Llama 3: every frequency divided by its own factor.
    writer.add_tensor("rope_freqs.weight", {8}, LLX_TYPE_F32, eight_times(4.0F));
    const Loaded divided = load(writer);
    ASSERT_EQ(divided.code, 0) << divided.error.text;
    for (std::uint32_t position = 0; position < 32; position++) {
        for (std::uint32_t i = 0; i < 8; i++) {
            const double angle = position * std::pow(10000.0, -2.0 * i / 16);
            const auto pair = [&](const Loaded& loaded, double expected) {
                const llx_f32* at = loaded.model->rope_table + (position * 8 + i) * 2;
                float cos_sin[2];
                std::memcpy(cos_sin, at, sizeof(cos_sin));
                EXPECT_NEAR(cos_sin[0], std::cos(expected), 1e-6);
                EXPECT_NEAR(cos_sin[1], std::sin(expected), 1e-6);
            };
            pair(plain, angle);
            pair(scaled, angle / 4);
            pair(divided, angle / 4);
        }
    }

    writer.remove("llama.rope.scaling.type");
    writer.remove("llama.rope.scaling.factor");
    writer.set("llama.rope.scale_linear", 2.0F);
    EXPECT_EQ(load(writer).model->hparams.rope_freq_scale.bits, 0x3f000000U);

    writer.tensor("rope_freqs.weight")->fill = [](std::span<std::uint8_t> out) {
        std::fill(out.begin(), out.end(), std::uint8_t{0xff});
    };
    expect_refused(writer, -EINVAL, "tensor rope_freqs.weight: a value is not positive and finite");
    writer.tensor("rope_freqs.weight")->dims = {4};
    expect_refused(writer, -EINVAL, "tensor rope_freqs.weight has the shape [4], not [8, 1]");
    writer.tensor("rope_freqs.weight")->dims = {8};
    writer.tensor("rope_freqs.weight")->type = LLX_TYPE_F16;
    expect_refused(writer, -ENOEXEC,
                   "tensor rope_freqs.weight: type F16, only F32 is accepted here");
}

TEST(ModelLoad, FindsThePromptFormat) {
    GgufWriter writer = TinyModel().build();
    writer.set("tokenizer.chat_template", "");
    EXPECT_EQ(load(writer).model->prompt_format, LLX_PROMPT_PLAIN);
    writer.set("tokenizer.chat_template", "{{ '<|user|>\n' }}{{ '<|assistant|>' }}");
    EXPECT_EQ(load(writer).model->prompt_format, LLX_PROMPT_ZEPHYR);
    writer.set("llamux.prompt_format", "pilot");
    EXPECT_EQ(load(writer).model->prompt_format, LLX_PROMPT_PILOT);
    writer.set("llamux.prompt_format", "pilot2");
    expect_refused(writer, -ENOEXEC, "llamux.prompt_format pilot2 is not known: pilot is");
}

TEST(ModelLoad, HasItsOwnRankTemperatureOrTheDefault) {
    GgufWriter writer = TinyModel().build();
    EXPECT_EQ(load(writer).model->rank_temperature_milli, LLX_RANK_TEMPERATURE_MILLI);
    writer.set("llamux.rank_temperature_milli", std::uint32_t{121});
    EXPECT_EQ(load(writer).model->rank_temperature_milli, 121u);
    for (const std::uint32_t bad : {0u, LLX_RANK_TEMPERATURE_MOST + 1}) {
        writer.set("llamux.rank_temperature_milli", bad);
        expect_refused(
            writer, -EINVAL,
            "llamux.rank_temperature_milli is " + std::to_string(bad) + ": 1 to 10000 are");
    }
    writer.set("llamux.rank_temperature_milli", "warm");
    EXPECT_EQ(load(writer).code, -EINVAL);
}

TEST(ModelLoad, ShowsNamesWithoutHarm) {
    GgufWriter writer = TinyModel().build();
    writer.set("general.name", "a\nb\x1b[31m\xff");
    EXPECT_STREQ(load(writer).model->name, "a?b?[31m?");
    writer.set("general.name", std::string(1000, 'n'));
    EXPECT_EQ(std::string(load(writer).model->name), std::string(LLX_MODEL_NAME - 1, 'n'));
}

TEST(ModelLoad, RefusesOtherArchitectures) {
    expect_key_refused("general.architecture", "qwen2", -ENOEXEC,
                       "architecture qwen2 is not known: llama is");
    expect_key_refused("llama.expert_count", std::uint32_t{8}, -ENOEXEC,
                       "a mixture of 8 experts cannot be run");
    expect_key_refused("llama.rope.scaling.type", "yarn", -ENOEXEC,
                       "llama.rope.scaling.type yarn is not known: none and linear are");
    expect_key_refused("llama.rope.scaling.type", "llama3", -ENOEXEC,
                       "llama.rope.scaling.type llama3 is not known: none and linear are");
    expect_key_refused("llama.attention.value_length", std::uint32_t{32}, -ENOEXEC,
                       "keys of 16 and values of 32 per head: they must be as long");
    expect_key_refused("tokenizer.ggml.model", "bert", -ENOEXEC,
                       "tokenizer bert is not known: llama and gpt2 are");
    expect_key_refused("general.architecture", std::uint32_t{1}, -EINVAL,
                       "general.architecture is of type u32, not string");
}

TEST(ModelLoad, RefusesMissingKeys) {
    for (const char* key :
         {"general.architecture", "llama.block_count", "llama.embedding_length",
          "llama.feed_forward_length", "llama.attention.head_count", "llama.context_length",
          "llama.attention.layer_norm_rms_epsilon", "tokenizer.ggml.model"}) {
        GgufWriter writer = TinyModel().build();
        writer.remove(key);
        expect_refused(writer, -EINVAL, std::string(key) + " is missing");
    }
}

TEST(ModelLoad, RefusesHyperparametersOutOfRange) {
    const auto number = [](const char* key, std::uint32_t value, const std::string& text) {
        expect_key_refused(key, value, -EINVAL, text);
    };
    number("llama.block_count", 0, "llama.block_count is 0: 1 to 256 are accepted");
    number("llama.block_count", 257, "llama.block_count is 257: 1 to 256 are accepted");
    number("llama.embedding_length", 0, "llama.embedding_length is 0: 1 to 16384 are accepted");
    number("llama.embedding_length", 16416,
           "llama.embedding_length is 16416: 1 to 16384 are accepted");
    number("llama.embedding_length", 48,
           "llama.embedding_length is 48: it must be a multiple of 32");
    number("llama.feed_forward_length", 65568,
           "llama.feed_forward_length is 65568: 1 to 65536 are accepted");
    number("llama.feed_forward_length", 100,
           "llama.feed_forward_length is 100: it must be a multiple of 32");
    number("llama.attention.head_count", 0,
           "llama.attention.head_count is 0: 1 to 256 are accepted");
    number("llama.attention.head_count", 257,
           "llama.attention.head_count is 257: 1 to 256 are accepted");
    number("llama.attention.head_count", 6, "an embedding of 64 cannot be split into 6 heads");
    number("llama.attention.head_count", 8,
           "the length of a head is 8: it must be a multiple of 16");
    number("llama.attention.head_count_kv", 3, "4 heads cannot share 3 key-value heads");
    number("llama.attention.head_count_kv", 8, "4 heads cannot share 8 key-value heads");
    number("llama.attention.head_count_kv", 0,
           "llama.attention.head_count_kv is 0: 1 to 256 are accepted");
    number("llama.attention.key_length", 0,
           "llama.attention.key_length is 0: 1 to 256 are accepted");
    number("llama.attention.key_length", 512,
           "llama.attention.key_length is 512: 1 to 256 are accepted");
    number("llama.rope.dimension_count", 18,
           "llama.rope.dimension_count is 18: 2 to 16 are accepted");
    number("llama.rope.dimension_count", 7,
           "llama.rope.dimension_count is 7: it must be a multiple of 2");
    number("llama.context_length", 0, "llama.context_length is 0: 1 to 4294967295 are accepted");
    expect_key_refused("llama.block_count", std::int32_t{-1}, -EINVAL,
                       "llama.block_count is negative or larger than 4294967295");
    expect_key_refused("llama.attention.head_count", std::vector<std::uint32_t>{4, 4}, -EINVAL,
                       "llama.attention.head_count is of type array, not an integer");
}

TEST(ModelLoad, RefusesFloatsThatAreNotPositive) {
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    const std::vector<std::pair<float, const char*>> values = {{std::nanf(""), "0x7fc00000"},
                                                               {kInfinity, "0x7f800000"},
                                                               {-1e-5F, "0xb727c5ac"},
                                                               {0.0F, "0x00000000"}};
    for (const char* key : {"llama.attention.layer_norm_rms_epsilon", "llama.rope.freq_base",
                            "llama.rope.scaling.factor", "llama.rope.scale_linear"}) {
        for (const auto& [value, bits] : values) {
            expect_key_refused(
                key, value, -EINVAL,
                std::string(key) + " must be positive and finite, its bits are " + bits);
        }
    }
    expect_key_refused("llama.rope.freq_base", 10000.0, -EINVAL,
                       "llama.rope.freq_base is of type f64, not f32");
}

TEST(ModelLoad, RefusesMissingTensors) {
    const GgufWriter whole = TinyModel().build();
    for (const char* name :
         {"token_embd.weight", "output_norm.weight", "blk.0.attn_norm.weight",
          "blk.0.attn_q.weight", "blk.1.attn_k.weight", "blk.1.attn_v.weight",
          "blk.0.attn_output.weight", "blk.1.ffn_norm.weight", "blk.1.ffn_gate.weight",
          "blk.0.ffn_up.weight", "blk.1.ffn_down.weight"}) {
        GgufWriter writer = whole;
        writer.remove_tensor(name);
        expect_refused(writer, -EINVAL, std::string("tensor ") + name + " is missing");
    }
}

TEST(ModelLoad, RefusesTensorsItDoesNotKnow) {
    GgufWriter writer = TinyModel().build();
    writer.add_tensor("blk.0.attn_q.bias", {64}, LLX_TYPE_F32, Bytes(256));
    expect_refused(writer, -ENOEXEC,
                   "tensor blk.0.attn_q.bias is not part of the llama architecture");
}

TEST(ModelLoad, RefusesWrongShapesAndTypes) {
    const auto refused = [](const char* name, std::vector<std::uint64_t> dims, std::uint32_t type,
                            int code, const std::string& text) {
        GgufWriter writer = TinyModel().build();
        writer.tensor(name)->dims = std::move(dims);
        writer.tensor(name)->type = type;
        expect_refused(writer, code, text);
    };
    refused("blk.1.attn_k.weight", {32, 64}, LLX_TYPE_F32, -EINVAL,
            "tensor blk.1.attn_k.weight has the shape [32, 64], not [64, 32]");
    refused("blk.1.attn_k.weight", {64, 16, 2}, LLX_TYPE_F32, -EINVAL,
            "tensor blk.1.attn_k.weight has the shape [64, 16, 2], not [64, 32]");
    refused("token_embd.weight", {64, 299}, LLX_TYPE_F32, -EINVAL,
            "tensor token_embd.weight has the shape [64, 299], not [64, 300]");
    refused("output_norm.weight", {32}, LLX_TYPE_F32, -EINVAL,
            "tensor output_norm.weight has the shape [32], not [64, 1]");
    refused("output_norm.weight", {64}, LLX_TYPE_F16, -ENOEXEC,
            "tensor output_norm.weight: type F16, only F32 is accepted here");
}

TEST(ModelLoad, RefusesMetadataWithoutEnd) {
    // A string that would fill 64 MiB: refused before that much is read.
    Bytes bytes = GgufWriter().bytes();
    Bytes key;
    llamux::test::put_string(key, "padding");
    put_number(key, std::uint32_t{8});
    put_number(key, std::uint64_t{LLX_MAX_METADATA_BYTES});
    bytes.resize(24);
    bytes[16] = 1;
    bytes.insert(bytes.end(), key.begin(), key.end());
    bytes.resize(bytes.size() + LLX_MAX_METADATA_BYTES + 100);
    File endless(std::move(bytes));
    const Loaded loaded = load(endless);
    EXPECT_EQ(loaded.code, -EINVAL);
    EXPECT_STREQ(loaded.error.text, "the metadata is longer than 67108864 bytes (at byte 24)");
    EXPECT_LE(endless.bytes_read, 64U << 10);
}

TEST(ModelLoad, GrowsTheMetadataWithoutReadingTwice) {
    GgufWriter writer = TinyModel().build();
    writer.set("llamux.padding", std::string(300000, 'p'));
    File file(writer.bytes());
    ASSERT_EQ(load(file).code, 0);
    // What the last, doubled read had of the weights is read again.
    EXPECT_LE(file.bytes_read, file.bytes.size() + 2 * writer.metadata().size());
}

TEST(ModelLoad, RefusesAFileCutAnywhere) {
    const Bytes whole = smallest().bytes();
    for (std::size_t n = 0; n < whole.size(); n += n < 12000 ? 1 : 997) {
        File file(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n)));
        const Loaded loaded = load(file);
        ASSERT_EQ(loaded.code, n < 4 ? -ENOEXEC : -EINVAL) << n;
        ASSERT_STRNE(loaded.error.text, "") << n;
    }
}

TEST(ModelLoad, PassesOnWhatTheReaderReturns) {
    const Bytes whole = TinyModel().build().bytes();
    for (std::uint64_t at = 0; at < whole.size(); at += 4999) {
        File file(whole);
        file.fail_at = at;
        const Loaded loaded = load(file);
        ASSERT_EQ(loaded.code, -EIO) << at;
        ASSERT_TRUE(std::string(loaded.error.text).starts_with("cannot read ")) << at;
    }
    File file(whole);
    file.fail_at = 0;
    EXPECT_STREQ(load(file).error.text, "cannot read 65536 bytes of the file: error 5");
}

// Cancels at the nth loop.
struct CancellingExec {
    llx_exec exec = {1, 0, run};
    int left = 0;

    static int run(llx_exec* exec, u32 n, u32 grain, llx_range_fn fn, void* arg) {
        auto* self = reinterpret_cast<CancellingExec*>(exec);
        if (self->left-- == 0) {
            return -EINTR;
        }
        return llx_exec_inline.parallel_for(&llx_exec_inline, n, grain, fn, arg);
    }
};

TEST(ModelLoad, CanBeCancelled) {
    const Bytes whole = TinyModel().build().bytes();
    int rounds = 0;
    for (;; rounds++) {
        File file(whole);
        CancellingExec cancelling;
        cancelling.left = rounds;
        const Loaded loaded = load(file, 0, &cancelling.exec);
        if (loaded.code == 0) {
            break;
        }
        ASSERT_EQ(loaded.code, -EINTR);
        ASSERT_STREQ(loaded.error.text, "cancelled");
    }
    EXPECT_GE(rounds, 2);
}

TEST(ModelLoad, SurvivesDamageAnywhere) {
    const GgufWriter writer = smallest();
    const Bytes whole = writer.bytes();
    const std::size_t metadata = writer.metadata().size();
    std::mt19937 random(5);
    int accepted = 0;
    for (int round = 0; round < 2000; round++) {
        File file(whole);
        for (unsigned i = 0; i <= random() % 3; i++) {
            const std::size_t at = 24 + random() % (metadata - 24);
            file.bytes[at] =
                static_cast<std::uint8_t>(random() % 2 ? random() : 1U << random() % 8);
        }
        const Loaded loaded = load(file, 64);
        accepted += loaded.code == 0;
        if (loaded.code) {
            ASSERT_STRNE(loaded.error.text, "");
        }
    }
    EXPECT_GT(accepted, 0);
    EXPECT_LT(accepted, 2000);
}

}  // namespace
