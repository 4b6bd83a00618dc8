// SPDX-License-Identifier: GPL-2.0-only
//
// A module made of two functions: what a window looked like, and what it
// advises. Everything else of the device is refused.
#pragma once

#include <cerrno>
#include <cstring>
#include <functional>
#include <memory>
#include <string>

#include "core/clock.hpp"
#include "kernel/llamux_device.hpp"

namespace llamux {

// What the fake kernel knows and does; shared by all sessions.
struct FakeKernel {
    // Fills a snapshot that already holds the window's length and the signals'
    // present values.
    std::function<void(llamux_snapshot&)> window = [](llamux_snapshot&) {};
    std::function<void(llamux_advice&)> advice = [](llamux_advice&) {};
    std::string model_format;  // empty: no model
    std::function<PhraseScore(std::string_view, const std::string&)> score;
    int error = 0;       // of every call
    int open_error = 0;  // of the next sessions
    int n_model_asked = 0;
    int n_opened = 0;
    std::uint64_t window_ns = kNsPerSecond;
};

class FakeDevice final : public Device {
  public:
    explicit FakeDevice(FakeKernel& kernel) : kernel_(kernel) {}

    Result<SnapshotPtr> snapshot(const llamux_signals* signals) override {
        if (kernel_.error != 0) {
            return errno_error(kernel_.error, "snapshot");
        }
        auto snapshot = std::make_shared<llamux_snapshot>();
        std::memset(snapshot.get(), 0, sizeof(*snapshot));
        snapshot->schema = LLAMUX_TELEMETRY_SCHEMA;
        snapshot->sequence = ++sequence_;
        snapshot->window_ns = kernel_.window_ns;
        if (signals) {
            snapshot->signals = signals->system;
            snapshot->n_groups = signals->n_groups;
            for (std::uint32_t i = 0; i < signals->n_groups; i++) {
                snapshot->groups[i].signals = signals->groups[i];
            }
        }
        kernel_.window(*snapshot);
        last_ = snapshot;
        return SnapshotPtr(std::move(snapshot));
    }

    Result<Advice> advise(const llamux_signals* signals, std::uint32_t flags) override {
        if (!(flags & LLAMUX_ADVISE_LAST_SNAPSHOT)) {
            Result<SnapshotPtr> taken = snapshot(signals);
            if (!taken) {
                return taken.error();
            }
        }
        Advice advice;
        advice.snapshot = last_;
        llamux_advice& answer = advice.answer;
        answer.n_candidates = 1;
        answer.candidates[0].kind = LLAMUX_ACTION_NONE;
        kernel_.advice(answer);
        if (!(flags & LLAMUX_ADVISE_RULES_ONLY)) {
            kernel_.n_model_asked++;
            answer.ranked_by = LLAMUX_RANKED_BY_MODEL;
            advice.prompt = "what the model saw";
        }
        return advice;
    }

    Result<llamux_version> version() override { return errno_error(ENOTTY, "version"); }
    Result<llamux_model_info> model_info() override {
        if (kernel_.model_format.empty()) {
            return errno_error(ENODATA, "model");
        }
        llamux_model_info info{};
        kernel_.model_format.copy(info.format, sizeof(info.format) - 1);
        return info;
    }
    Result<std::vector<PhraseScore>> score(std::string_view prompt,
                                           const std::vector<std::string>& phrases) override {
        std::vector<PhraseScore> scores;
        for (const std::string& phrase : phrases) {
            scores.push_back(kernel_.score(prompt, phrase));
        }
        return scores;
    }
    Status load_model(const std::string& path, llamux_chat_template) override {
        return errno_error(ENOTTY, path);
    }
    Result<llamux_stats> stats() override { return errno_error(ENOTTY, "stats"); }
    Status bind_maps(int, int) override { return {}; }
    Result<llamux_params> params() override { return errno_error(ENOTTY, "params"); }
    Status set_params(const llamux_params&) override { return errno_error(ENOTTY, "params"); }
    Status write_prompt(std::string_view) override { return errno_error(ENOTTY, "prompt"); }
    Result<AnswerPart> read_answer(std::chrono::milliseconds, int) override {
        return errno_error(ENOTTY, "answer");
    }
    Status cancel() override { return {}; }

  private:
    FakeKernel& kernel_;
    SnapshotPtr last_;
    std::uint64_t sequence_ = 0;
};

}  // namespace llamux
