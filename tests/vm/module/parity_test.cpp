// SPDX-License-Identifier: GPL-2.0-only
//
// Catches kernel builds of the engine that compute something else than the
// user-space library: logits must be the same bits, in the guest's user space
// and as computed natively when the tests were built. Expected values: the
// library, which tests/golden checks against a double-precision reference.
#include <iostream>

#include "support/engine.hpp"
#include "support/engine_model.hpp"
#include "vm/module/device.hpp"

namespace llamux::vm {
namespace {

using Bits = std::vector<std::uint32_t>;

const std::vector<std::string> kTexts = {
    "hello there",
    "The quick brown fox jumps over the lazy dog, 3.14159 times.",
    "caf\xc3\xa9 \xf0\x9f\xa6\x99 <s></s>\n\ttabs",
    std::string(70, 'z'),
};

test::TinyModel parity_model(std::uint32_t type) {
    test::TinyModel model;
    model.n_ctx = 128;
    model.type = type;
    return model;
}

constexpr std::uint32_t kTypes[] = {LLX_TYPE_F32, LLX_TYPE_F16, LLX_TYPE_Q8_0, LLX_TYPE_Q4_0};

// A model loaded by the library from a file in memory.
class Library {
  public:
    Library(const test::TinyModel& model, const llx_kernels* kernels,
            llx_cache_type cache = LLX_CACHE_F16)
        : bytes_(model.build().bytes()) {
        llx_reader reader = {.ctx = this, .size = bytes_.size(), .read = read};
        llx_error error{};
        EXPECT_EQ(llx_model_load(&model_, &reader, kernels, &llx_exec_inline, 0, LLX_PROMPT_BY_FILE,
                                 &error),
                  0)
            << error.text;
        EXPECT_EQ(llx_model_set_cache(model_, cache), 0);
    }
    ~Library() { llx_model_free(model_); }
    Library(const Library&) = delete;
    Library& operator=(const Library&) = delete;

    Bits logits(const std::string& text) const {
        std::vector<s32> tokens(model_->hparams.n_ctx);
        u32 n = 0;
        tokens[0] = llx_tokenizer_vocab(model_->tokenizer)->bos;
        EXPECT_EQ(llx_tokenizer_encode(model_->tokenizer, text.data(), text.size(), true,
                                       &tokens[1], static_cast<u32>(tokens.size() - 1), &n),
                  0);
        llx_context context{};
        EXPECT_EQ(llx_context_init(&context, model_, &llx_exec_inline, model_->hparams.n_ctx), 0);
        EXPECT_EQ(llx_context_eval(&context, tokens.data(), n + 1, true), 0);
        Bits bits(model_->hparams.n_vocab);
        std::memcpy(bits.data(), context.logits, bits.size() * sizeof(bits[0]));
        llx_context_destroy(&context);
        return bits;
    }

  private:
    static int read(void* ctx, u64 offset, void* buffer, size_t bytes) {
        auto* self = static_cast<Library*>(ctx);
        std::memcpy(buffer, self->bytes_.data() + offset, bytes);
        return 0;
    }

    test::Bytes bytes_;
    llx_model* model_ = nullptr;
};

// All models and texts, one after another.
Bits all_library_logits(const llx_kernels* kernels) {
    Bits all;
    for (const std::uint32_t type : kTypes) {
        const Library library(parity_model(type), kernels);
        for (const std::string& text : kTexts) {
            const Bits bits = library.logits(text);
            all.insert(all.end(), bits.begin(), bits.end());
        }
    }
    return all;
}

Bits all_kernel_logits() {
    Bits all;
    const Device device;
    for (const std::uint32_t type : kTypes) {
        EXPECT_EQ(device.load(write_model("parity", parity_model(type))), 0);
        for (const std::string& text : kTexts) {
            const Bits bits = device.logits(text);
            all.insert(all.end(), bits.begin(), bits.end());
        }
    }
    return all;
}

std::vector<std::string> kernel_isas() {
    std::vector<std::string> names;
    for (const llx_kernels* const* table = llx_kernels_all; *table; ++table) {
        if (insmod(std::string("isa=") + (*table)->name) == 0) {
            names.emplace_back((*table)->name);
            EXPECT_EQ(rmmod(), 0);
        }
    }
    return names;
}

TEST(ModuleParity, LogitsAreTheLibrarysBits) {
    const Bits expected = all_library_logits(llx_kernels_select(0, "generic"));
    const std::vector<std::string> isas = kernel_isas();
    ASSERT_FALSE(isas.empty());
    for (const std::string& isa : isas) {
        for (const char* threads : {"1", "3"}) {
            const Module module("isa=" + isa + " threads=" + threads);
            EXPECT_EQ(all_kernel_logits(), expected) << isa << " " << threads;
        }
    }
}

TEST(ModuleParity, LogitsWithAQ8_0CacheAreTheLibrarysBits) {
    test::TinyModel model = parity_model(LLX_TYPE_Q8_0);
    model.n_embd = 128;
    model.n_head = 4;  // heads of 32
    model.n_head_kv = 2;
    const llx_kernels* generic = llx_kernels_select(0, "generic");
    const Bits expected = Library(model, generic, LLX_CACHE_Q8_0).logits(kTexts[1]);
    EXPECT_NE(expected, Library(model, generic).logits(kTexts[1]));
    const Module module("kv_cache=q8_0 model=" + write_model("parity", model));
    EXPECT_EQ(proc_values("status").at("kv_cache"), "q8_0");
    EXPECT_EQ(Device().logits(kTexts[1]), expected);

    model.n_head = 8;  // heads of 16
    std::string message;
    EXPECT_EQ(Device().load(write_model("narrow", model), &message), EINVAL);
    EXPECT_EQ(message, "kv_cache=q8_0 needs heads of a multiple of 32 values, not of 16");
}

TEST(ModuleParity, LogitsAreTheBitsOfTheMachineThatBuiltThis) {
    const char* path = std::getenv("LLAMUX_NATIVE_LOGITS");
    ASSERT_NE(path, nullptr);
    std::ifstream file(path, std::ios::binary);
    const Bits expected = all_library_logits(llx_kernels_select(0, "generic"));
    Bits native(expected.size());
    file.read(reinterpret_cast<char*>(native.data()),
              static_cast<std::streamsize>(native.size() * sizeof(native[0])));
    ASSERT_TRUE(file.good()) << path;
    EXPECT_EQ(file.peek(), std::char_traits<char>::eof());
    EXPECT_EQ(native, expected);
    const Module module;
    EXPECT_EQ(all_kernel_logits(), native);
}

TEST(ModuleParity, PhraseScoresAreTheLibrarys) {
    const Module module("model=" + write_model("parity", parity_model(LLX_TYPE_Q8_0)));
    const Device device;
    const std::string prompt = "hello there";
    const std::vector<std::string> phrases = {" one", " one two", " three", "?"};
    std::string packed;
    for (const std::string& phrase : phrases)
        packed += phrase + '\0';
    llamux_score request = {.size = sizeof(request),
                            .prompt = reinterpret_cast<std::uint64_t>(prompt.data()),
                            .phrases = reinterpret_cast<std::uint64_t>(packed.data()),
                            .prompt_bytes = static_cast<std::uint32_t>(prompt.size()),
                            .phrases_bytes = static_cast<std::uint32_t>(packed.size()),
                            .n_phrases = static_cast<std::uint32_t>(phrases.size())};
    ASSERT_EQ(device.call(LLAMUX_IOC_SCORE, &request), 0);
    for (std::size_t i = 0; i < phrases.size(); ++i) {
        EXPECT_LT(request.logprob_micro_nats[i], 0) << phrases[i];
        EXPECT_GT(request.n_tokens[i], 0u) << phrases[i];
    }
    // A phrase that goes on is less likely than its beginning.
    EXPECT_LT(request.logprob_micro_nats[1], request.logprob_micro_nats[0]);
    // The order does not matter.
    llamux_score reversed = request;
    std::string backwards;
    for (std::size_t i = phrases.size(); i-- > 0;)
        backwards += phrases[i] + '\0';
    reversed.phrases = reinterpret_cast<std::uint64_t>(backwards.data());
    ASSERT_EQ(device.call(LLAMUX_IOC_SCORE, &reversed), 0);
    for (std::size_t i = 0; i < phrases.size(); ++i)
        EXPECT_EQ(reversed.logprob_micro_nats[phrases.size() - 1 - i],
                  request.logprob_micro_nats[i]);
}

}  // namespace

// At build time, on the machine that builds: leaves the expected bits in a file.
bool write_native_logits(const std::string& path) {
    const llx_kernels* best = test::usable_kernels().front();
    const Bits bits = all_library_logits(best);
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(bits.data()),
               static_cast<std::streamsize>(bits.size() * sizeof(bits[0])));
    return file.good() && !testing::Test::HasFailure();
}

}  // namespace llamux::vm

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    if (argc == 3 && std::string_view(argv[1]) == "--write-native-logits")
        return llamux::vm::write_native_logits(argv[2]) ? 0 : 1;
    return RUN_ALL_TESTS();
}
