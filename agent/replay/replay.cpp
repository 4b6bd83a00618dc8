// SPDX-License-Identifier: GPL-2.0-only
//
// See replay.hpp.
#include "replay/replay.hpp"

#include <algorithm>
#include <iterator>

#include "kernel/tuners.hpp"

namespace llamux {
namespace {

std::vector<Hold> tuner_holds(const std::vector<std::string>& names) {
    std::vector<Tuner> tuners = known_tuners();
    for (Tuner& tuner : tuners) {
        tuner.is_here = std::find(names.begin(), names.end(), tuner.name) != names.end();
    }
    return holds_of(tuners);
}

}  // namespace

Result<std::unique_ptr<Replay>> Replay::make(const RecordingHeader& header, Config config) {
    Result<TemporaryDirectory> state = TemporaryDirectory::make("llamux-replay");
    if (!state) {
        return state.error();
    }
    if (!header.journal.empty()) {
        const std::string path = state->path() + "/journal.jsonl";
        if (Status copied = replace_file(path, header.journal); !copied) {
            return copied.error();
        }
    }
    return std::unique_ptr<Replay>(new Replay(std::move(*state), header, std::move(config)));
}

Replay::Replay(TemporaryDirectory state, const RecordingHeader& header, Config config)
    : state_(std::move(state)),
      journal_(std::make_unique<Journal>(state_.path(), JournalWriter{header.boot_id, {}},
                                         world_.clock())),
      store_(state_.path()),
      experience_(state_.path()) {
    world_.clock().set(header.clock_boot_ns, header.clock_wall_ns);
    const std::vector<Hold> holds = tuner_holds(header.tuners);
    loop_ =
        std::make_unique<Loop>(LoopParts{
                                   .sense = [this]() -> Result<Sensed> { return world_.sensed(); },
                                   .knobs = world_.knobs(),
                                   .journal = *journal_,
                                   .store = store_,
                                   .experience = experience_,
                                   .clock = world_.clock(),
                                   .open_device = [this]() -> Result<std::unique_ptr<Device>> {
                                       return world_.open_device();
                                   },
                                   // Whoever worked on a change then goes on doing so.
                                   .is_alive = [](const Owner&) { return true; },
                                   .listener = {},
                                   .other_tuners = [holds] { return holds; },
                               },
                               std::move(config));
}

TickReport Replay::tick(Frame frame) {
    world_.show(std::move(frame));
    if (has_started_) {
        return loop_->tick();
    }
    has_started_ = true;
    TickReport report = loop_->start();
    TickReport first = loop_->tick();
    std::move(first.events.begin(), first.events.end(), std::back_inserter(report.events));
    return report;
}

}  // namespace llamux
