// SPDX-License-Identifier: GPL-2.0-only
//
// llamux_run: the engine in user space, for development. Loads a GGUF file,
// evaluates a prompt and generates, scores phrases, or prints logits. What
// /dev/llamux does in the kernel, from the same engine files.
#include <getopt.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "support/cpu_features.hpp"
#include "support/engine_model.hpp"
#include "support/model_file.hpp"
#include "support/thread_exec.hpp"

namespace llamux::test {
namespace {

constexpr char kUsage[] =
    "usage: llamux_run [options] MODEL.gguf\n"
    "  -p, --prompt TEXT       what to evaluate; control tokens are not parsed\n"
    "  -n, --tokens N          how many to generate (default 32)\n"
    "  -t, --threads N         default 1\n"
    "  -c, --ctx N             context (default: the model's)\n"
    "      --isa NAME          generic, avx2...; default: the best of this CPU\n"
    "      --temperature MILLI default 0: greedy\n"
    "      --seed N\n"
    "      --score PHRASE      log-probability of PHRASE after the prompt; repeat\n"
    "      --logits            print the prompt's last logits, one a line:\n"
    "                          token, bits of the binary32 in hex, value\n"
    "      --hash              print one line: fnv1a64 of these bits (little-\n"
    "                          endian, in the order of tokens), tokens, isa\n";

struct Options {
    std::string model;
    std::string prompt = "Hello";
    std::string isa;
    std::vector<std::string> phrases;
    unsigned n_tokens = 32;
    unsigned n_threads = 1;
    unsigned n_ctx = 0;
    unsigned temperature_milli = 0;
    unsigned long long seed = 1;
    bool logits = false;
    bool hash = false;
};

bool parse(int argc, char** argv, Options& o) {
    enum { kIsa = 256, kTemperature, kSeed, kScore, kLogits, kHash };
    const option options[] = {{"prompt", required_argument, nullptr, 'p'},
                              {"tokens", required_argument, nullptr, 'n'},
                              {"threads", required_argument, nullptr, 't'},
                              {"ctx", required_argument, nullptr, 'c'},
                              {"isa", required_argument, nullptr, kIsa},
                              {"temperature", required_argument, nullptr, kTemperature},
                              {"seed", required_argument, nullptr, kSeed},
                              {"score", required_argument, nullptr, kScore},
                              {"logits", no_argument, nullptr, kLogits},
                              {"hash", no_argument, nullptr, kHash},
                              {nullptr, 0, nullptr, 0}};
    const auto number = [] { return static_cast<unsigned>(std::strtoul(optarg, nullptr, 10)); };
    for (int c = 0; (c = getopt_long(argc, argv, "p:n:t:c:", options, nullptr)) != -1;) {
        switch (c) {
            case 'p':
                o.prompt = optarg;
                break;
            case 'n':
                o.n_tokens = number();
                break;
            case 't':
                o.n_threads = number();
                break;
            case 'c':
                o.n_ctx = number();
                break;
            case kIsa:
                o.isa = optarg;
                break;
            case kTemperature:
                o.temperature_milli = number();
                break;
            case kSeed:
                o.seed = std::strtoull(optarg, nullptr, 10);
                break;
            case kScore:
                o.phrases.emplace_back(optarg);
                break;
            case kLogits:
                o.logits = true;
                break;
            case kHash:
                o.hash = true;
                break;
            default:
                return false;
        }
    }
    if (optind + 1 != argc || o.n_threads < 1 || o.n_threads > LLX_MAX_WORKERS)
        return false;
    o.model = argv[optind];
    return true;
}

double now() {
    const auto since = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration<double>(since).count();
}

void print_rate(const char* what, std::size_t n, double seconds) {
    std::fprintf(stderr, "%s: %zu tokens in %.3f s, %.1f tokens/s\n", what, n, seconds,
                 static_cast<double>(n) / seconds);
}

void print_logits(const EngineContext& context) {
    const std::vector<std::uint32_t> bits = context.logit_bits();
    const std::vector<double> values = context.logits();
    for (std::size_t i = 0; i < bits.size(); i++)
        std::printf("%zu %08x %.9g\n", i, bits[i], values[i]);
}

int score(EngineContext& context, const llx_model* model, const Options& o) {
    std::vector<llx_phrase> phrases;
    for (const std::string& text : o.phrases) {
        llx_phrase phrase{};
        const int code =
            llx_tokenizer_encode(model->tokenizer, text.data(), text.size(), false, phrase.tokens,
                                 LLX_MAX_PHRASE_TOKENS, &phrase.n_tokens);
        if (code != 0) {
            std::fprintf(stderr, "llamux_run: phrase '%s': error %d\n", text.c_str(), -code);
            return 1;
        }
        phrases.push_back(phrase);
    }
    const int code =
        llx_score_phrases(context.get(), phrases.data(), static_cast<u32>(phrases.size()));
    if (code != 0) {
        std::fprintf(stderr, "llamux_run: scoring: error %d\n", -code);
        return 1;
    }
    for (std::size_t i = 0; i < phrases.size(); i++)
        std::printf("%12.6f nats, %3u tokens: %s\n",
                    static_cast<double>(phrases[i].logprob_micro_nats) / 1e6, phrases[i].n_tokens,
                    o.phrases[i].c_str());
    return 0;
}

int generate(EngineContext& context, const llx_model* model, const Options& o) {
    llx_sampler_params params{};
    params.temperature_milli = o.temperature_milli;
    params.top_p_milli = 1000;
    params.repeat_penalty_milli = 1000;
    params.seed = o.seed;
    llx_sampler sampler;
    if (llx_sampler_init(&sampler, model, &params) != 0)
        return 1;
    const s32 eos = llx_tokenizer_vocab(model->tokenizer)->eos;
    const double begin = now();
    std::size_t n = 0;
    for (; n < o.n_tokens && context->n_past < context->n_ctx; n++) {
        const s32 token = llx_sampler_next(&sampler, context.get());
        char piece[256];
        if (token == eos || token < 0)
            break;
        const int bytes = llx_tokenizer_piece(model->tokenizer, token, piece, sizeof(piece));
        if (bytes > 0)
            std::fwrite(piece, 1, static_cast<std::size_t>(bytes), stdout);
        std::fflush(stdout);
        if (context.eval({&token, 1}) != 0)
            break;
    }
    std::printf("\n");
    llx_sampler_destroy(&sampler);
    print_rate("generated", n, now() - begin);
    return 0;
}

int run(const Options& o) {
    const llx_kernels* kernels =
        llx_kernels_select(cpu_features(), o.isa.empty() ? nullptr : o.isa.c_str());
    if (kernels == nullptr) {
        std::fprintf(stderr, "llamux_run: this CPU cannot run '%s'\n", o.isa.c_str());
        return 1;
    }
    std::string error;
    const LoadedModel model = load_model_file(o.model, kernels, o.n_ctx, error);
    if (!model) {
        std::fprintf(stderr, "llamux_run: %s: %s\n", o.model.c_str(), error.c_str());
        return 1;
    }
    ThreadExec exec(o.n_threads);
    EngineContext context(model.get(), exec.get());
    const std::vector<std::int32_t> tokens = raw_tokens(model.get(), o.prompt);
    const double begin = now();
    const int code = context.eval(tokens);
    if (code != 0) {
        std::fprintf(stderr, "llamux_run: prompt of %zu tokens: error %d\n", tokens.size(), -code);
        return 1;
    }
    if (o.hash) {
        std::printf("logits fnv1a64=%016llx n_vocab=%u n_tokens=%zu isa=%s\n",
                    static_cast<unsigned long long>(logits_hash(context.logit_bits())),
                    model->hparams.n_vocab, tokens.size(), kernels->name);
    }
    if (o.logits)
        print_logits(context);
    if (o.hash || o.logits)
        return 0;
    print_rate("prompt", tokens.size(), now() - begin);
    return o.phrases.empty() ? generate(context, model.get(), o) : score(context, model.get(), o);
}

}  // namespace
}  // namespace llamux::test

int main(int argc, char** argv) {
    llamux::test::Options options;
    if (!llamux::test::parse(argc, argv, options)) {
        std::fputs(llamux::test::kUsage, stderr);
        return 2;
    }
    return llamux::test::run(options);
}
