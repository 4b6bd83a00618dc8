// SPDX-License-Identifier: GPL-2.0-only
//
// Runs the loop of the service over a recording, one tick a frame: detect,
// candidates, ranking, policy, holds, journal, verdict. Deterministic: time,
// windows, knobs and the model's scores are the recording's; the journal is a
// copy in a directory of its own.
#pragma once

#include <memory>
#include <string>

#include "config.hpp"
#include "kernel/files.hpp"
#include "kernel/recording.hpp"
#include "loop.hpp"
#include "replay/world.hpp"

namespace llamux {

class Replay {
  public:
    // @config: the recorded one, or another.
    static Result<std::unique_ptr<Replay>> make(const RecordingHeader& header, Config config);
    Replay(const Replay&) = delete;
    Replay& operator=(const Replay&) = delete;

    // The next frame. The first one also starts the loop.
    TickReport tick(Frame frame);

    ReplayWorld& world() { return world_; }
    const Journal& journal() const { return *journal_; }
    const JournalWriter& writer() const { return journal_->writer(); }

  private:
    Replay(TemporaryDirectory state, const RecordingHeader& header, Config config);

    TemporaryDirectory state_;
    ReplayWorld world_;
    std::unique_ptr<Journal> journal_;
    SuggestionStore store_;
    ExperienceFile experience_;  // begins with none
    std::unique_ptr<Loop> loop_;
    bool has_started_ = false;
};

}  // namespace llamux
