// SPDX-License-Identifier: GPL-2.0-only
//
// /dev/llamux. Device is what the rest of the agent sees, so that tests plug
// in another one; LlamuxDevice is one open file, which is one session.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"
#include "kernel/files.hpp"
#include "llamux/telemetry.h"
#include "uapi/llamux.h"

namespace llamux {

using SnapshotPtr = std::shared_ptr<const llamux_snapshot>;

struct Advice {
    llamux_advice answer{};
    SnapshotPtr snapshot;
    std::string prompt;  // the text the model saw; empty if it was not asked
};

struct PhraseScore {
    std::int64_t logprob_micro_nats = 0;  // sum over its tokens
    std::uint32_t n_tokens = 0;
};

struct AnswerPart {
    std::string bytes;
    bool complete = false;  // no more will come
};

// All calls block at most as long as the kernel needs; EINTR is returned.
class Device {
  public:
    virtual ~Device() = default;

    virtual Result<llamux_version> version() = 0;
    virtual Result<llamux_model_info> model_info() = 0;  // ENODATA: no model
    // LLAMUX_TEMPLATE_BY_FILE: its prompts are written as the file says.
    virtual Status load_model(const std::string& path, llamux_chat_template chat_template) = 0;
    virtual Result<llamux_stats> stats() = 0;
    virtual Status bind_maps(int cgroups_fd, int system_fd) = 0;
    // @signals: nullptr: BPF telemetry only.
    virtual Result<SnapshotPtr> snapshot(const llamux_signals* signals) = 0;
    // @flags: LLAMUX_ADVISE_*; with LAST_SNAPSHOT @signals must be nullptr.
    virtual Result<Advice> advise(const llamux_signals* signals, std::uint32_t flags) = 0;

    // Of each phrase as the continuation of @prompt. ENODATA: no model.
    virtual Result<std::vector<PhraseScore>> score(std::string_view prompt,
                                                   const std::vector<std::string>& phrases) = 0;

    virtual Result<llamux_params> params() = 0;
    virtual Status set_params(const llamux_params& params) = 0;
    virtual Status write_prompt(std::string_view text) = 0;
    // Waits for the next bytes; ETIMEDOUT: none came; ECANCELED: @wake_fd
    // (such as a signalfd, -1: none) became readable.
    virtual Result<AnswerPart> read_answer(std::chrono::milliseconds timeout, int wake_fd) = 0;
    virtual Status cancel() = 0;
};

class LlamuxDevice final : public Device {
  public:
    // ENOENT, ENODEV, ENXIO: the module is not loaded. EACCES: not permitted.
    // EPROTO: the module speaks another ABI or telemetry schema.
    static Result<std::unique_ptr<Device>> open(const std::string& path);

    Result<llamux_version> version() override;
    Result<llamux_model_info> model_info() override;
    Status load_model(const std::string& path, llamux_chat_template chat_template) override;
    Result<llamux_stats> stats() override;
    Status bind_maps(int cgroups_fd, int system_fd) override;
    Result<SnapshotPtr> snapshot(const llamux_signals* signals) override;
    Result<Advice> advise(const llamux_signals* signals, std::uint32_t flags) override;
    Result<std::vector<PhraseScore>> score(std::string_view prompt,
                                           const std::vector<std::string>& phrases) override;
    Result<llamux_params> params() override;
    Status set_params(const llamux_params& params) override;
    Status write_prompt(std::string_view text) override;
    Result<AnswerPart> read_answer(std::chrono::milliseconds timeout, int wake_fd) override;
    Status cancel() override;

  private:
    explicit LlamuxDevice(Fd fd) : fd_(std::move(fd)) {}

    Fd fd_;
};

}  // namespace llamux
