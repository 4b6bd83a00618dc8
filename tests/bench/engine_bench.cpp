// SPDX-License-Identifier: GPL-2.0-only
//
// Tokens per second of the forward pass: decode (one token at a time) and
// prefill (full batches), for each instruction set and 1 and 2 threads, on the
// geometries of the pilot and of TinyLlama-1.1B Q4_K_M. Weights are random
// bytes packed as a load would leave them; speed does not depend on values.
// Memory is in 2 MB pages where the kernel gives them, as in the module.
//
// engine_bench [--json FILE] [--quick] [--only MODEL/ISA]
#include <sys/mman.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "support/engine.hpp"
#include "support/engine_model.hpp"
#include "support/thread_exec.hpp"

namespace llamux::test {
namespace {

constexpr int kRuns = 5;
constexpr double kRunSeconds = 0.4;
constexpr std::uint32_t kPrefillTokens = 128;
constexpr std::size_t kHugePage = std::size_t{2} << 20;

struct Geometry {
    const char* name;
    llx_hparams h;
    bool generic_too;  // minutes on the large one
};

llx_f32 as_f32(float value) {
    llx_f32 out;
    std::memcpy(&out, &value, sizeof(out));
    return out;
}

llx_hparams hparams(u32 n_layer, u32 n_embd, u32 n_ff, u32 n_head, u32 n_head_kv, u32 n_vocab) {
    llx_hparams h{};
    h.n_layer = n_layer;
    h.n_embd = n_embd;
    h.n_ff = n_ff;
    h.n_head = n_head;
    h.n_head_kv = n_head_kv;
    h.head_dim = h.n_rot = n_embd / n_head;
    h.n_ctx = 512;
    h.n_vocab = n_vocab;
    h.rms_eps = as_f32(1e-5F);
    h.rope_freq_base = as_f32(10000.0F);
    h.rope_freq_scale = as_f32(1.0F);
    return h;
}

const Geometry kGeometries[] = {
    {"pilot", hparams(6, 256, 768, 4, 2, 2048), true},
    {"tinyllama", hparams(22, 2048, 5632, 32, 4, 32000), false},
};

// Memory of one model, in large pages, given back at once.
class Pool {
  public:
    explicit Pool(std::size_t bytes) : bytes_((bytes / kHugePage + 2) * kHugePage) {
        void* memory =
            mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) {
            std::perror("engine_bench: mmap");
            std::exit(1);
        }
        madvise(memory, bytes_, MADV_HUGEPAGE);
        begin_ = static_cast<u8*>(memory);
        next_ = begin_ + kHugePage - reinterpret_cast<std::uintptr_t>(begin_) % kHugePage;
    }
    ~Pool() { munmap(begin_, bytes_); }
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    u8* take(std::size_t bytes) {
        u8* memory = next_;
        next_ += (bytes + 63) / 64 * 64;
        return memory;
    }

  private:
    std::size_t bytes_;
    u8* begin_;
    u8* next_;
};

class RandomModel {
  public:
    RandomModel(const Geometry& geometry, const llx_kernels* kernels)
        : pool_(2 * weights(geometry.h)), layers_(geometry.h.n_layer) {
        const llx_hparams& h = model_.hparams = geometry.h;
        const u32 n_kv = h.n_head_kv * h.head_dim;
        model_.kernels = kernels;
        model_.token_embd = matrix(LLX_TYPE_Q4_K, h.n_vocab, h.n_embd);
        for (u32 i = 0; i < h.n_layer; i++) {
            // Q4_K_M keeps half of the layers' attn_v and ffn_down in 6 bits.
            const u32 some = i % 2 == 0 ? LLX_TYPE_Q6_K : LLX_TYPE_Q4_K;
            layers_[i] = {norm(h.n_embd),
                          matrix(LLX_TYPE_Q4_K, h.n_embd, h.n_embd),
                          matrix(LLX_TYPE_Q4_K, n_kv, h.n_embd),
                          matrix(some, n_kv, h.n_embd),
                          matrix(LLX_TYPE_Q4_K, h.n_embd, h.n_embd),
                          norm(h.n_embd),
                          matrix(LLX_TYPE_Q4_K, h.n_ff, h.n_embd),
                          matrix(LLX_TYPE_Q4_K, h.n_ff, h.n_embd),
                          matrix(some, h.n_embd, h.n_ff)};
        }
        model_.layers = layers_.data();
        model_.output_norm = norm(h.n_embd);
        model_.output = matrix(LLX_TYPE_Q6_K, h.n_vocab, h.n_embd);
        model_.rope_table =
            reinterpret_cast<llx_f32*>(pool_.take(sizeof(llx_f32) * h.n_ctx * h.n_rot));
        llx_op_rope_table(model_.rope_table, 0, h.n_ctx, h.n_rot, h.rope_freq_base,
                          h.rope_freq_scale, nullptr);
    }

    llx_model* get() { return &model_; }
    // Bytes that a decoded token reads.
    [[nodiscard]] std::size_t bytes_read() const { return bytes_ - embedding_bytes(); }

  private:
    static std::size_t weights(const llx_hparams& h) {
        const std::size_t layer = 2 * h.n_embd + 2 * h.n_head_kv * h.head_dim + 3 * h.n_ff;
        return h.n_embd * (layer * h.n_layer + 2 * h.n_vocab) + kHugePage;
    }
    [[nodiscard]] std::size_t embedding_bytes() const {
        return model_.token_embd.tile_bytes * model_.token_embd.n_tiles;
    }

    llx_matrix matrix(u32 type, u32 n_rows, u32 n_cols) {
        llx_matrix m{};
        if (llx_matrix_shape(&m, type, n_rows, n_cols) != 0)
            std::abort();
        const std::size_t bytes = m.tile_bytes * m.n_tiles;
        m.tiles = pool_.take(bytes);
        for (std::size_t i = 0; i + 8 <= bytes; i += 8) {
            const std::uint64_t word = random_();
            std::memcpy(m.tiles + i, &word, sizeof(word));
        }
        // f16 scales lead each block: about what keeps activations near 1.
        const std::size_t block = llx_type_traits(type)->tile_block_bytes;
        const std::size_t n_scales = type == LLX_TYPE_Q6_K ? 16 : 32;
        const std::vector<u16> scales(n_scales, type == LLX_TYPE_Q6_K ? 0x0120 : 0x0780);
        for (u32 tile = 0; tile < m.n_tiles; tile++)
            for (std::size_t at = 0; at + block <= m.tile_bytes; at += block)
                std::memcpy(m.tiles + tile * m.tile_bytes + at, scales.data(), n_scales * 2);
        bytes_ += bytes;
        return m;
    }
    llx_f32* norm(u32 n) {
        auto* values = reinterpret_cast<llx_f32*>(pool_.take(n * sizeof(llx_f32)));
        std::fill_n(values, n, as_f32(1.0F));
        return values;
    }

    Pool pool_;
    std::mt19937_64 random_{1};
    std::vector<llx_layer> layers_;
    llx_model model_{};
    std::size_t bytes_ = 0;
};

double now() {
    const auto since = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration<double>(since).count();
}

double cpu_now() {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

// Runs ranges in this thread and keeps the CPU time of each: how long the
// module would hold the FPU.
class TimingExec {
  public:
    llx_exec* get() { return &base_.exec; }

    void forget() { seconds_.clear(); }
    // CPU time that a share of all ranges does not exceed; us
    double longest_us(double share) {
        std::sort(seconds_.begin(), seconds_.end());
        const auto last = static_cast<double>(seconds_.size() - 1);
        return seconds_[static_cast<std::size_t>(share * last)] * 1e6;
    }

  private:
    struct Base {
        llx_exec exec;
        TimingExec* self;
    };

    static int parallel_for(llx_exec* exec, u32 n, u32 grain, llx_range_fn fn, void* arg) {
        std::vector<double>& seconds = reinterpret_cast<Base*>(exec)->self->seconds_;
        for (u32 begin = 0; begin < n; begin += std::min(grain, n - begin)) {
            const double start = cpu_now();
            fn(arg, begin, begin + std::min(grain, n - begin), 0);
            seconds.push_back(cpu_now() - start);
        }
        return 0;
    }

    Base base_{{1, 0, parallel_for}, this};
    std::vector<double> seconds_;
};

// Tokens per second of one run: @n_tokens at a time, from an empty context.
double one_run(EngineContext& context, u32 n_tokens) {
    const std::vector<s32> tokens(n_tokens, 5);
    llx_context_truncate(context.get(), 0);
    const double begin = now();
    std::size_t done = 0;
    do {
        if (context->n_past + n_tokens > context->n_ctx)
            llx_context_truncate(context.get(), 0);
        context.eval(tokens);
        done += n_tokens;
    } while (now() - begin < kRunSeconds);
    return static_cast<double>(done) / (now() - begin);
}

struct Rate {
    double median;
    double least;
    double most;
};

Rate rate(EngineContext& context, u32 n_tokens, int n_runs) {
    std::vector<double> runs;
    one_run(context, n_tokens);  // warms caches and clocks
    for (int i = 0; i < n_runs; i++)
        runs.push_back(one_run(context, n_tokens));
    std::sort(runs.begin(), runs.end());
    return {runs[runs.size() / 2], runs.front(), runs.back()};
}

class Report {
  public:
    void row(const Geometry& geometry, const char* isa, unsigned threads, Rate decode, Rate prefill,
             std::size_t bytes_read) {
        const double gigabytes = decode.median * static_cast<double>(bytes_read) / 1e9;
        std::printf(
            "%-10s %-12s %u   decode %9.1f tok/s (%9.1f..%9.1f) %5.1f GB/s   prefill %9.1f "
            "tok/s (%9.1f..%9.1f)\n",
            geometry.name, isa, threads, decode.median, decode.least, decode.most, gigabytes,
            prefill.median, prefill.least, prefill.most);
        std::fflush(stdout);
        char line[512];
        std::snprintf(line, sizeof(line),
                      "%s\n  {\"model\": \"%s\", \"isa\": \"%s\", \"threads\": %u, "
                      "\"decode_tokens_per_s\": [%.2f, %.2f, %.2f], "
                      "\"prefill_tokens_per_s\": [%.2f, %.2f, %.2f], \"bytes_per_token\": %zu}",
                      json_.empty() ? "" : ",", geometry.name, isa, threads, decode.least,
                      decode.median, decode.most, prefill.least, prefill.median, prefill.most,
                      bytes_read);
        json_ += line;
    }
    void ranges(const Geometry& geometry, const char* isa, double p99_us, double longest_us) {
        std::printf("%-10s %-12s ranges: 99 %% below %.0f us, longest %.0f us of CPU time\n",
                    geometry.name, isa, p99_us, longest_us);
        char line[256];
        std::snprintf(line, sizeof(line),
                      ",\n  {\"model\": \"%s\", \"isa\": \"%s\", \"range_p99_us\": %.1f, "
                      "\"range_longest_us\": %.1f}",
                      geometry.name, isa, p99_us, longest_us);
        json_ += line;
    }
    [[nodiscard]] bool write(const char* path) const {
        std::FILE* file = std::fopen(path, "w");
        if (file == nullptr)
            return false;
        std::fprintf(file, "[%s\n]\n", json_.c_str());
        return std::fclose(file) == 0;
    }

  private:
    std::string json_;
};

// A full batch at the end of the context, where attention is longest, then one
// token more.
void time_ranges(const Geometry& geometry, llx_model* model, Report& report) {
    TimingExec exec;
    EngineContext context(model, exec.get());
    const std::vector<s32> tokens(model->hparams.n_ctx - 1, 5);
    context.eval(tokens);  // touches the memory
    llx_context_truncate(context.get(), model->hparams.n_ctx / 2);
    exec.forget();
    context.eval({tokens.data(), model->hparams.n_ctx / 2 - 1});
    context.eval({tokens.data(), 1});
    report.ranges(geometry, model->kernels->name, exec.longest_us(0.99), exec.longest_us(1));
}

void bench(const Geometry& geometry, const std::string& only, int n_runs, Report& report) {
    const std::string prefix = std::string(geometry.name) + "/";
    if (!only.empty() && only.rfind(prefix, 0) != 0)
        return;
    RandomModel model(geometry, nullptr);
    for (const llx_kernels* kernels : usable_kernels()) {
        if (only.empty() ? kernels->needs == 0 && !geometry.generic_too
                         : only != prefix + kernels->name)
            continue;
        model.get()->kernels = kernels;
        for (const unsigned threads : {1U, 2U}) {
            ThreadExec exec(threads);
            EngineContext context(model.get(), exec.get());
            const Rate decode = rate(context, 1, n_runs);
            const Rate prefill = rate(context, kPrefillTokens, n_runs);
            report.row(geometry, kernels->name, threads, decode, prefill, model.bytes_read());
        }
        time_ranges(geometry, model.get(), report);
    }
}

}  // namespace
}  // namespace llamux::test

int main(int argc, char** argv) {
    using namespace llamux::test;
    const char* json = nullptr;
    std::string only;
    int n_runs = kRuns;
    for (int i = 1; i < argc; i++) {
        if (std::strcmp(argv[i], "--quick") == 0) {
            n_runs = 1;
        } else if (std::strcmp(argv[i], "--json") == 0 && i + 1 < argc) {
            json = argv[++i];
        } else if (std::strcmp(argv[i], "--only") == 0 && i + 1 < argc) {
            only = argv[++i];
        } else {
            std::fprintf(stderr,
                         "usage: engine_bench [--json FILE] [--quick] [--only MODEL/ISA]\n");
            return 2;
        }
    }
    Report report;
    for (const Geometry& geometry : kGeometries)
        bench(geometry, only, n_runs, report);
    if (json != nullptr && !report.write(json)) {
        std::perror(json);
        return 1;
    }
    return 0;
}
