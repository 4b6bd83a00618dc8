// SPDX-License-Identifier: GPL-2.0-only
//
// The whole way from a file to a suggestion and to sampled text, with threads
// and with one. Catches loops of the loader, of scoring, of kept beginnings and
// of sampling that race (under TSan) or depend on who runs them; identity_test
// has the forward pass. Expected values: the same with one thread.
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "support/engine_model.hpp"
#include "support/snapshots.hpp"
#include "support/thread_exec.hpp"
#include "support/tiny_model.hpp"

namespace llamux::test {
namespace {

struct Outcome {
    llamux_advice advice{};
    std::vector<std::int32_t> tokens;
};

int read_bytes(void* ctx, u64 offset, void* buffer, std::size_t n) {
    std::memcpy(buffer, static_cast<const Bytes*>(ctx)->data() + offset, n);
    return 0;
}

void sample(EngineContext& context, const llx_model* model, Outcome& outcome) {
    const llx_sampler_params params = {.temperature_milli = 800,
                                       .top_k = 40,
                                       .top_p_milli = 950,
                                       .min_p_milli = 50,
                                       .repeat_penalty_milli = 1100,
                                       .repeat_last_n = 16,
                                       .seed = 7};
    llx_sampler sampler;
    ASSERT_EQ(llx_sampler_init(&sampler, model, &params), 0);
    std::int32_t token = 1;
    for (int i = 0; i < 12; i++) {
        ASSERT_EQ(context.eval({&token, 1}), 0);
        token = llx_sampler_next(&sampler, context.get());
        ASSERT_GE(token, 0);
        outcome.tokens.push_back(token);
    }
    llx_sampler_destroy(&sampler);
}

Outcome run(Bytes& file, llx_exec* exec) {
    Outcome outcome;
    const llx_reader reader = {&file, file.size(), read_bytes};
    llx_error error = {};
    llx_model* model = nullptr;
    EXPECT_EQ(llx_model_load(&model, &reader, usable_kernels().front(), exec, 0, LLX_PROMPT_BY_FILE,
                             &error),
              0)
        << error.text;
    if (model == nullptr)
        return outcome;
    SnapshotBuilder snapshot;
    snapshot.psi(0, 200, 0);
    snapshot.add(20, 100);
    snapshot->record.total.direct_reclaim_ns = 500'000'000;
    EngineContext context(model, exec);
    // The second time its beginnings are there already.
    for (int i = 0; i < 2; i++) {
        outcome.advice = {};
        EXPECT_EQ(llx_advise(context.get(), snapshot.get(), nullptr, &outcome.advice, nullptr, 0),
                  0);
        EXPECT_EQ(outcome.advice.ranked_by, u32{LLAMUX_RANKED_BY_MODEL});
    }
    sample(context, model, outcome);
    llx_model_free(model);
    return outcome;
}

TEST(Threads, GiveTheSameSuggestionAndText) {
    TinyModel tiny;
    tiny.n_ctx = 4096;
    for (const char* token : {"<|im_start|>", "<|im_end|>"})
        tiny.vocab.add(token, 0, LLX_TOKEN_CONTROL);
    GgufWriter writer = tiny.build();
    writer.set("tokenizer.chat_template", "<|im_start|>user<|im_end|>");
    Bytes file = writer.bytes();
    const Outcome alone = run(file, &llx_exec_inline);
    ASSERT_EQ(alone.tokens.size(), 12U);
    for (const unsigned n : {2U, 5U}) {
        ThreadExec exec(n);
        const Outcome threaded = run(file, exec.get());
        EXPECT_EQ(std::memcmp(&threaded.advice, &alone.advice, sizeof(alone.advice)), 0) << n;
        EXPECT_EQ(threaded.tokens, alone.tokens) << n;
    }
}

}  // namespace
}  // namespace llamux::test
