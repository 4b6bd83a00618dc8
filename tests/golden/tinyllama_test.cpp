// SPDX-License-Identifier: GPL-2.0-only
//
// The engine at TinyLlama's full geometry, on the file of make_tinyllama
// ($LLAMUX_TINYLLAMA; make test-tinyllama). Catches what small models cannot
// show: errors that grow over 22 layers, wide rows, 8 query heads to a KV head,
// two formats in one model, sizes beyond 32 bits. Expected values: the
// double-precision reference over the dequantised weights, and llama.cpp's
// logits, which parity/make_tinyllama_fixture.py recorded.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>

#include "support/model_reader.hpp"
#include "support/native_logits.hpp"
#include "support/reference_model.hpp"
#include "support/thread_exec.hpp"
#include "support/tinyllama_prompts.hpp"

namespace llamux::test {
namespace {

// What the best peer has at this geometry, and llama.cpp (docs/NUMERICS.md).
constexpr double kRms = 0.038;
constexpr double kKl = 6e-4;
constexpr double kLlamaCppRms = 0.054;
// Much of the context of 2048 would be a cache that this does not use.
constexpr std::uint32_t kContext = 64;
constexpr std::size_t kBitsTokens = 9;  // the plain C kernels take a second for each

using Bits = LogitBits;
using Rows = ReferenceModel::Rows;

struct Recorded {
    std::vector<std::int32_t> tokens;
    std::size_t stride = 0;
    std::vector<std::int32_t> best;
    std::vector<double> log_sum_exp;
    Rows logits;  // every stride-th
};

Recorded read_fixture() {
    Recorded fixture;
    std::ifstream file(LLAMUX_TINYLLAMA_FIXTURE);
    for (std::string line; std::getline(file, line);) {
        std::istringstream words(line);
        std::string key;
        words >> key;
        if (key == "stride") {
            words >> fixture.stride;
        } else if (key == "tokens") {
            for (std::int32_t token = 0; words >> token;)
                fixture.tokens.push_back(token);
        } else if (key == "position") {
            words >> fixture.best.emplace_back() >> fixture.log_sum_exp.emplace_back();
            Rows::value_type& row = fixture.logits.emplace_back();
            words >> std::hex;
            for (std::uint32_t bits = 0; words >> bits;) {
                float value = 0;
                std::memcpy(&value, &bits, sizeof(value));
                row.push_back(static_cast<double>(value));
            }
        }
    }
    return fixture;
}

const char* file_path() {
    const char* path = std::getenv("LLAMUX_TINYLLAMA");
    return path != nullptr ? path : "";
}

LoadedModel load(const llx_kernels* kernels) {
    std::string error;
    LoadedModel model = load_model_file(file_path(), kernels, kContext, error);
    if (!model)
        ADD_FAILURE() << "LLAMUX_TINYLLAMA='" << file_path() << "': " << error;
    return model;
}

std::vector<double> joined(const Rows& rows) {
    std::vector<double> all;
    for (const auto& row : rows)
        all.insert(all.end(), row.begin(), row.end());
    return all;
}

double mean_kl(const Rows& got, const Rows& expected) {
    double sum = 0;
    for (std::size_t i = 0; i < got.size(); i++)
        sum += kl_divergence(got[i], expected[i]);
    return sum / static_cast<double>(got.size());
}

Rows every(const Rows& rows, std::size_t stride) {
    Rows out;
    for (const auto& row : rows) {
        out.emplace_back();
        for (std::size_t i = 0; i < row.size(); i += stride)
            out.back().push_back(row[i]);
    }
    return out;
}

class Tinyllama : public testing::Test {
  protected:
    // Logits after every token, with the first @n_layer layers.
    Rows engine_logits(const llx_model& model, std::uint32_t n_layer) {
        llx_model first = model;
        first.hparams.n_layer = n_layer;
        EngineContext context(&first, threads_.get());
        Rows rows;
        for (const std::int32_t token : fixture_.tokens) {
            EXPECT_EQ(context.eval({&token, 1}), 0);
            rows.push_back(context.logits());
        }
        return rows;
    }
    // Of the first kBitsTokens.
    Bits bits_of(const llx_model& model, llx_exec* exec, std::size_t batch) {
        EngineContext context(&model, exec);
        const auto tokens = std::span(fixture_.tokens).first(kBitsTokens);
        for (std::size_t i = 0; i < tokens.size(); i += batch)
            EXPECT_EQ(context.eval(tokens.subspan(i, std::min(batch, tokens.size() - i))), 0);
        return context.logit_bits();
    }

    Recorded fixture_ = read_fixture();
    ThreadExec threads_{2};
};

TEST_F(Tinyllama, TheSameBitsInEveryWay) {
    Bits expected;
    for (const llx_kernels* kernels : usable_kernels()) {
        const LoadedModel model = load(kernels);
        ASSERT_NE(model, nullptr);
        const Bits batch = bits_of(*model, threads_.get(), kBitsTokens);
        if (expected.empty()) {
            expected = batch;
            EXPECT_EQ(bits_of(*model, &llx_exec_inline, kBitsTokens), batch) << "one thread";
            EXPECT_EQ(bits_of(*model, threads_.get(), 1), batch) << "one by one";
        }
        EXPECT_EQ(batch, expected) << kernels->name;
        std::printf("%s: %zu tokens, fnv1a64=%016llx\n", kernels->name, kBitsTokens,
                    static_cast<unsigned long long>(logits_hash(batch)));
        std::fflush(stdout);
    }
}

TEST_F(Tinyllama, LogitsAreWithinTheBoundAfterEveryLayer) {
    std::string error;
    const auto data = read_model_data(file_path(), error);
    ASSERT_TRUE(data) << error;
    const LoadedModel model = load(usable_kernels().front());
    ASSERT_NE(model, nullptr);
    std::printf("the double-precision reference takes minutes ...\n");
    std::fflush(stdout);
    const std::vector<Rows> exact = ReferenceModel(*data).logits_by_layer(fixture_.tokens);
    ASSERT_EQ(exact.size(), 22U);
    Rows got;
    for (std::uint32_t n = 1; n <= exact.size(); n++) {
        got = engine_logits(*model, n);
        const double rms = relative_rms(joined(got), joined(exact[n - 1]));
        const double kl = mean_kl(got, exact[n - 1]);
        std::printf("%2u layers, %zu positions: rms %.2e KL %.1e\n", n, got.size(), rms, kl);
        EXPECT_LE(rms, kRms);
        EXPECT_LE(kl, kKl);
    }
    ASSERT_EQ(fixture_.logits.size(), fixture_.tokens.size());
    const auto ours = joined(every(got, fixture_.stride));
    const auto right = joined(every(exact.back(), fixture_.stride));
    const auto theirs = joined(fixture_.logits);
    ASSERT_EQ(theirs.size(), ours.size());
    const double our_error = relative_rms(ours, right);
    const double their_error = relative_rms(theirs, right);
    const double apart = relative_rms(ours, theirs);
    std::printf("from exact: engine %.2e, llama.cpp %.2e; apart %.2e\n", our_error, their_error,
                apart);
    EXPECT_LE(our_error, kRms);
    EXPECT_LE(their_error, kLlamaCppRms);
    EXPECT_LE(apart, kRms + kLlamaCppRms);
}

// log-sum-exp has every logit in it, those that the fixture leaves out too.
TEST_F(Tinyllama, LogSumExpIsLlamaCpps) {
    const LoadedModel model = load(usable_kernels().front());
    ASSERT_NE(model, nullptr);
    const Rows got = engine_logits(*model, model->hparams.n_layer);
    ASSERT_EQ(got.size(), fixture_.log_sum_exp.size());
    std::size_t same_best = 0;
    for (std::size_t i = 0; i < got.size(); i++) {
        const auto best = std::max_element(got[i].begin(), got[i].end());
        same_best += best - got[i].begin() == fixture_.best[i];
        double sum = 0;
        for (const double value : got[i])
            sum += std::exp(value - *best);
        EXPECT_NEAR(*best + std::log(sum), fixture_.log_sum_exp[i], kRms + kLlamaCppRms)
            << "position " << i;
    }
    std::printf("best token as in llama.cpp at %zu of %zu positions (random weights: near ties)\n",
                same_best, got.size());
}

}  // namespace

// What the guests compare their kernel's logits with.
LogitBits native_tinyllama_logits() {
    ThreadExec threads(2);
    const LoadedModel model = load(usable_kernels().front());
    return model ? native_logits(model.get(), tinyllama_prompts(), threads.get()) : LogitBits{};
}

}  // namespace llamux::test

int main(int argc, char** argv) {
    return llamux::test::run_tests_or_write_logits(argc, argv,
                                                   llamux::test::native_tinyllama_logits);
}
