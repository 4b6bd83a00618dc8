// SPDX-License-Identifier: GPL-2.0-only
//
// The way of the data on one page: sense, advise, validate, apply, verify,
// keep or undo. A tick does one step of it and says when it wants the next.
// Does no I/O of its own: device, files, journal and clock are injected, so
// that a test is deterministic. The journal is the only state that matters;
// what is kept here may be lost at any moment.
//
//   watching --advice allowed--> baseline --> (apply) --> settling --> measuring
//      ^                                                                   | |
//      +------------- kept, undone, refused, failed <---------------------+ |
//      +-- kept, undone <-- (apply again) <-- returned <-- settling <-- (give back)
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config.hpp"
#include "core/change.hpp"
#include "core/clock.hpp"
#include "core/hold.hpp"
#include "core/refusal.hpp"
#include "core/steps.hpp"
#include "core/suggestion.hpp"
#include "core/window.hpp"
#include "event.hpp"
#include "kernel/experience_file.hpp"
#include "kernel/journal.hpp"
#include "kernel/knobs.hpp"
#include "kernel/llamux_device.hpp"
#include "kernel/suggestion_store.hpp"
#include "rollback/rollback.hpp"
#include "sense/sense.hpp"
#include "validate/policy.hpp"

namespace llamux {

enum class LoopState { kWatching, kBaseline, kSettling, kMeasuring, kReturned };

struct TickReport {
    std::vector<Event> events;
    std::chrono::milliseconds next{0};  // wait this long before the next tick
    SnapshotPtr snapshot;               // of this tick; may be null
};

using OpenDevice = std::function<Result<std::unique_ptr<Device>>()>;

// Not owned; all outlive the loop.
struct LoopParts {
    std::function<Result<Sensed>()> sense;
    const Knobs& knobs;
    const Journal& journal;
    const SuggestionStore& store;
    const ExperienceFile& experience;
    Clock& clock;
    OpenDevice open_device;  // also binds the telemetry maps
    std::function<bool(const Owner&)> is_alive;
    StepListener listener;  // may be empty
    // Knobs that other programs look after; may be empty.
    std::function<std::vector<Hold>()> other_tuners{};
};

class Loop {
  public:
    Loop(LoopParts parts, Config config);

    // Brings journal and machine in line; before the first tick.
    TickReport start();
    TickReport tick();
    // Undoes the change under way, and the kept ones if the configuration
    // says so. No tick after it.
    TickReport stop();

    // Measures and applies this candidate, asked for by a person: tick until
    // state() is kWatching again. The loop must be watching.
    void begin_change(const Candidate& candidate, const Fact& fact);
    // Gives up the change under way; undoes it if it was written.
    TickReport abandon(const std::string& why);

    // From the next tick on. What is being measured goes on, and what is
    // already judged stays.
    void reconfigure(Config config) { config_ = std::move(config); }

    LoopState state() const { return state_; }
    bool degraded() const { return degraded_; }
    // The session in use, for its counters; nullptr: none now.
    Device* device() const { return device_.get(); }

  private:
    bool ensure_device(TickReport& report);
    void lose_device(const Error& error, TickReport& report);
    void watch(const Sensed& sensed, TickReport& report);
    void consider(const Suggestion& suggestion, const Sensed& sensed, TickReport& report);
    void measure(const Sensed& sensed, TickReport& report);
    void look_again();
    void apply(const Sensed& sensed, TickReport& report);
    void settle(LoopState then);
    std::optional<LockedJournal> lock_for_verdict(TickReport& report);
    void judge_effect(TickReport& report);
    void end_change(const Effect& effect, LockedJournal& journal, TickReport& report);
    void give_back(const Effect& effect, LockedJournal& journal, TickReport& report);
    void judge_return(TickReport& report);
    void finish();
    void stand_aside(TickReport& report);
    bool is_taken_over() const;  // the change under way, by someone's writing
    void review_kept(TickReport& report);
    void look_for_tuners();

    Decision decide(const Candidate& candidate, const Fact& fact, bool by_person,
                    const Sensed& sensed, const Result<LockedJournal>& journal) const;
    bool is_cpu_scarce() const;
    Result<Suggestion> ask_model(const Sensed& sensed, TickReport& report);
    void report_refusal(const std::string& id, const std::string& knob, const Refusal& refusal,
                        TickReport& report);
    // What was just closed, or why not; it teaches, so no change is reported twice.
    void report_change(const Result<Change>& change, TickReport& report);
    void report_accounting(const Accounting& accounting, TickReport& report);
    void degrade(const std::string& text, TickReport& report);
    std::chrono::milliseconds next_delay() const;

    LoopParts parts_;
    Config config_;
    LoopState state_ = LoopState::kWatching;

    std::unique_ptr<Device> device_;
    std::uint64_t retry_device_ns_ = 0;
    std::uint64_t device_backoff_ns_ = 0;
    bool degraded_ = false;
    std::string degraded_text_;
    bool told_no_pressure_ = false;

    // Watching: what was said last, so that it is said once.
    bool in_trouble_ = false;
    std::uint64_t situation_ = 0;
    std::uint64_t asked_ns_ = 0;
    std::uint64_t model_rested_ns_ = 0;  // not asked before
    std::string last_suggestion_id_;
    std::string last_refusal_;
    std::uint64_t reviewed_ns_ = 0;
    std::uint64_t written_ns_ = 0;   // the last writing of a sysctl that was looked at
    std::vector<Hold> tuner_holds_;  // as of the last review

    // The change under way.
    Candidate candidate_;
    Fact fact_;
    bool by_person_ = false;
    bool seen_again_ = false;    // the trouble, in a window that was measured before
    bool contradicted_ = false;  // in the last of them
    SnapshotPtr snapshot_;
    std::vector<Window> before_;
    std::vector<Window> after_;
    std::vector<Window> returned_;
    Effect effect_;  // before it is confirmed by a return
    std::uint64_t change_ = 0;
    std::uint64_t settled_ns_ = 0;
    LoopState settled_state_ = LoopState::kMeasuring;
    std::uint64_t deadline_ns_ = 0;
};

}  // namespace llamux
