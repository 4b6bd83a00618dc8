// SPDX-License-Identifier: GPL-2.0-only
//
// Engine objects owned by C++ tests and tools: a packed model made from plain
// data (no file, no tokenizer) and a context.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "support/engine.hpp"
#include "support/model_data.hpp"

namespace llamux::test {

class EngineModel {
  public:
    EngineModel(const ModelData& data, const llx_kernels* kernels);
    EngineModel(const EngineModel&) = delete;
    EngineModel& operator=(const EngineModel&) = delete;

    [[nodiscard]] const llx_model* get() const { return &model_; }

  private:
    struct Free {
        void operator()(void* memory) const { llx_free(memory); }
    };

    void* allocate(std::size_t bytes);
    llx_matrix pack(const ModelMatrix& matrix);
    llx_f32* copy(const std::vector<float>& values);

    std::vector<std::unique_ptr<void, Free>> memory_;
    std::vector<llx_layer> layers_;
    llx_model model_{};
};

// A context; a failure to make one aborts the test.
class EngineContext {
  public:
    EngineContext(const llx_model* model, llx_exec* exec, std::uint32_t n_ctx = 0);
    ~EngineContext() { llx_context_destroy(&context_); }
    EngineContext(const EngineContext&) = delete;
    EngineContext& operator=(const EngineContext&) = delete;

    llx_context* get() { return &context_; }
    llx_context* operator->() { return &context_; }

    // llx_context_eval() that asks for logits.
    int eval(std::span<const std::int32_t> tokens);

    // Bit patterns and values of the last logits.
    [[nodiscard]] std::vector<std::uint32_t> logit_bits() const;
    [[nodiscard]] std::vector<double> logits() const;

  private:
    llx_context context_{};
};

// The tables that this CPU can run, best first.
[[nodiscard]] std::vector<const llx_kernels*> usable_kernels();

}  // namespace llamux::test
