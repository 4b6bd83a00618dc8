// SPDX-License-Identifier: GPL-2.0-only
//
// The engine as tests/bench/compare.py measures it: loads a file, then answers
// each line of its input with a number.
//
//   decode N THREADS    tokens per second, N tokens one by one from the start
//   prefill N THREADS   tokens per second, N tokens at once
//   decode-on N CPUS    the same on a machine with more CPUs, simulated_exec.hpp
//   prefill-on N CPUS   likewise
//   advise THREADS      milliseconds from a snapshot to a suggestion; the first
//                       evaluates what prompts have in common, the others do not
//   load                GB/s of the file, read, checked and packed once more
//   barrier THREADS     microseconds that a loop of no work takes
//   read THREADS        GB/s, bounds.hpp
//   multiply THREADS    1e9 multiply-adds per second, bounds.hpp
//   bytes               that a decoded token reads
//   macs                multiply-adds of a token in the layers
//
// bench_server [--isa NAME] [--q8_0-cache] MODEL.gguf
#include <chrono>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bench/bounds.hpp"
#include "bench/simulated_exec.hpp"
#include "support/cpu_features.hpp"
#include "support/engine_model.hpp"
#include "support/model_file.hpp"
#include "support/snapshots.hpp"
#include "support/thread_exec.hpp"

namespace llamux::test {
namespace {

constexpr u32 kContext = 1024;
constexpr int kLoops = 20000;

double now() {
    const auto since = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration<double>(since).count();
}

class Server {
  public:
    Server(const llx_model* model, std::string path) : model_(model), path_(std::move(path)) {}

    [[nodiscard]] double answer(const std::string& what, unsigned a, unsigned b) {
        if (what == "decode")
            return rate(a, 1, b);
        if (what == "prefill")
            return rate(a, a, b);
        if (what == "decode-on")
            return simulated_rate(a, 1, b);
        if (what == "prefill-on")
            return simulated_rate(a, a, b);
        if (what == "advise")
            return advise(a);
        if (what == "load")
            return load();
        if (what == "barrier")
            return barrier(a);
        if (what == "read")
            return read_bound(a);
        if (what == "multiply")
            return multiply_bound(a);
        if (what == "bytes")
            return sum([](const llx_matrix& m) { return 1.0 * m.tile_bytes * m.n_tiles; }) +
                   1.0 * model_->output.tile_bytes * model_->output.n_tiles;
        if (what == "macs")
            return sum([](const llx_matrix& m) { return 1.0 * m.n_rows * m.n_cols; });
        return -1;
    }

  private:
    struct Worker {
        explicit Worker(const llx_model* model, unsigned n_threads)
            : exec(n_threads),
              context(model, exec.get(), std::min(kContext, model->hparams.n_ctx)) {}
        ThreadExec exec;
        EngineContext context;
    };

    Worker& worker(unsigned n_threads) {
        std::unique_ptr<Worker>& found = workers_[n_threads];
        if (!found)
            found = std::make_unique<Worker>(model_, n_threads);
        return *found;
    }

    double rate(unsigned n_tokens, unsigned at_once, unsigned n_threads) {
        EngineContext& context = worker(n_threads).context;
        const std::vector<s32> tokens(at_once, 5);
        llx_context_truncate(context.get(), 0);
        const double begin = now();
        for (unsigned done = 0; done < n_tokens; done += at_once)
            if (context.eval(tokens) != 0)
                return -1;
        return n_tokens / (now() - begin);
    }

    double simulated_rate(unsigned n_tokens, unsigned at_once, unsigned n_cpus) {
        SimulatedExec exec(n_cpus);
        EngineContext context(model_, exec.get(), std::min(kContext, model_->hparams.n_ctx));
        const std::vector<s32> tokens(at_once, 5);
        for (unsigned done = 0; done < n_tokens; done += at_once)
            if (context.eval(tokens) != 0)
                return -1;
        return n_tokens / exec.seconds();
    }

    double advise(unsigned n_threads) {
        EngineContext& context = worker(n_threads).context;
        const SnapshotBuilder snapshot = SnapshotBuilder::noisy_neighbour();
        llamux_advice advice{};
        llx_context_truncate(context.get(), 0);
        const double begin = now();
        if (llx_advise(context.get(), snapshot.get(), nullptr, &advice, nullptr, 0) != 0 ||
            advice.ranked_by != LLAMUX_RANKED_BY_MODEL)
            return -1;
        return (now() - begin) * 1e3;
    }

    double load() {
        std::string error;
        const double begin = now();
        const LoadedModel again = load_model_file(path_, model_->kernels, kContext, error);
        return again ? 1e-9 * static_cast<double>(again->file_bytes) / (now() - begin) : -1;
    }

    double barrier(unsigned n_threads) {
        llx_exec* exec = worker(n_threads).exec.get();
        const auto nothing = [](void*, u32, u32, u32) {};
        const double begin = now();
        for (int i = 0; i < kLoops; i++)
            exec->parallel_for(exec, n_threads, 1, nothing, nullptr);
        return (now() - begin) / kLoops * 1e6;
    }

    template <class Of>
    double sum(Of of) const {
        double all = 0;
        for (u32 i = 0; i < model_->hparams.n_layer; i++) {
            const llx_layer& l = model_->layers[i];
            for (const llx_matrix* m : {&l.attn_q, &l.attn_k, &l.attn_v, &l.attn_output,
                                        &l.ffn_gate, &l.ffn_up, &l.ffn_down})
                all += of(*m);
        }
        return all;
    }

    const llx_model* model_;
    std::string path_;
    std::map<unsigned, std::unique_ptr<Worker>> workers_;
};

int serve(const char* path, const char* isa, bool q8_0_cache) {
    const llx_kernels* kernels = llx_kernels_select(testable_features(), isa);
    if (isa == nullptr)
        kernels = llx_kernels_select(cpu_features(), nullptr);
    if (kernels == nullptr) {
        std::fprintf(stderr, "bench_server: this CPU cannot run '%s'\n", isa);
        return 1;
    }
    std::string error;
    const LoadedModel model = load_model_file(path, kernels, kContext, error);
    if (!model) {
        std::fprintf(stderr, "bench_server: %s: %s\n", path, error.c_str());
        return 1;
    }
    if (q8_0_cache && llx_model_set_cache(model.get(), LLX_CACHE_Q8_0) != 0) {
        std::fprintf(stderr, "bench_server: %s: heads that q8_0 cannot keep\n", path);
        return 1;
    }
    std::printf("ready %s\n", kernels->name);
    std::fflush(stdout);
    Server server(model.get(), path);
    char line[64];
    while (std::fgets(line, sizeof(line), stdin) != nullptr) {
        char what[16] = {};
        unsigned a = 1;
        unsigned b = 1;
        std::sscanf(line, "%15s %u %u", what, &a, &b);
        std::printf("%.9g\n", server.answer(what, a, b));
        std::fflush(stdout);
    }
    return 0;
}

}  // namespace
}  // namespace llamux::test

int main(int argc, char** argv) {
    const char* isa = nullptr;
    bool q8_0_cache = false;
    int i = 1;
    for (; i + 1 < argc; i++) {
        if (std::strcmp(argv[i], "--isa") == 0 && i + 2 < argc)
            isa = argv[++i];
        else if (std::strcmp(argv[i], "--q8_0-cache") == 0)
            q8_0_cache = true;
        else
            break;
    }
    if (i + 1 != argc) {
        std::fprintf(stderr, "usage: bench_server [--isa NAME] [--q8_0-cache] MODEL.gguf\n");
        return 2;
    }
    return llamux::test::serve(argv[i], isa, q8_0_cache);
}
