// SPDX-License-Identifier: GPL-2.0-only
//
// The machine of a recording: its clock, what was seen, a module that detects
// anew by the very code of the kernel, and knobs that are as they were, or as
// the replayed loop has set them since. Touches nothing outside.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "core/clock.hpp"
#include "kernel/knobs.hpp"
#include "kernel/llamux_device.hpp"
#include "kernel/recording.hpp"
#include "sense/sense.hpp"

namespace llamux {

class ReplayClock final : public Clock {
  public:
    std::uint64_t boot_ns() override { return boot_ns_; }
    std::uint64_t wall_ns() override { return wall_ns_; }
    void set(std::uint64_t boot_ns, std::uint64_t wall_ns) {
        boot_ns_ = boot_ns;
        wall_ns_ = wall_ns;
    }

  private:
    std::uint64_t boot_ns_ = 0;
    std::uint64_t wall_ns_ = 0;
};

class ReplayKnobs final : public Knobs {
  public:
    Result<Settings> read(const KnobTarget& target) const override;
    Status write(const KnobTarget& target, const Settings& settings,
                 const std::function<void()>& between) const override;

    // A knob that moved in the recording is as it became there: whoever moved
    // it comes after us.
    void show(const Frame& frame);

  private:
    struct Written {
        KnobTarget target;
        Settings found;  // in the recording, when it was written
        Settings ours;
    };
    Result<Settings> recorded(const KnobTarget& target) const;

    NamedSnapshot seen_;
    mutable std::map<std::string, Written> written_;  // by knob_name()
};

class ReplayWorld {
  public:
    ReplayWorld();
    ~ReplayWorld();
    ReplayWorld(const ReplayWorld&) = delete;
    ReplayWorld& operator=(const ReplayWorld&) = delete;

    // From now on the world is as this frame has it.
    void show(Frame frame);

    ReplayClock& clock() { return clock_; }
    const Knobs& knobs() const { return knobs_; }
    const Frame& frame() const { return frame_; }
    Sensed sensed() const;
    // Looks into this world; not to outlive it.
    std::unique_ptr<Device> open_device();
    // Looks whose recorded scores did not fit what was detected now.
    std::uint64_t n_scores_unfit() const { return n_scores_unfit_; }

  private:
    friend class ReplayDevice;
    struct Detector;  // the engine's state
    // Of this frame: facts and candidates, found once.
    const llamux_advice& detect();
    // Puts the recorded ranking on @advice, if it is of the same candidates.
    bool take_scores(llamux_advice& advice);

    ReplayClock clock_;
    ReplayKnobs knobs_;
    Frame frame_;
    std::unique_ptr<Detector> detector_;
    std::uint64_t n_shown_ = 0;
    std::uint64_t n_scores_unfit_ = 0;
};

}  // namespace llamux
