// SPDX-License-Identifier: GPL-2.0-only
//
// See world.hpp. The only place of the agent that includes the engine.
#include "replay/world.hpp"

#include <cerrno>
#include <cstring>

#include "core/catalogue.hpp"
#include "core/window.hpp"

// In C a function may be named like a struct.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
extern "C" {
#include "engine/advise.h"
}
#pragma GCC diagnostic pop

namespace llamux {
namespace {

std::string number_text(std::uint64_t value) {
    return value == LLAMUX_NO_LIMIT ? "max" : std::to_string(value);
}

// The text of a control file, as the recording has its value; empty: unknown.
std::string group_text(std::string_view file, const llamux_group_signals& signals) {
    const auto known = [](std::uint64_t value, const std::string& before = {}) {
        return value == LLAMUX_UNKNOWN ? std::string() : before + number_text(value);
    };
    if (file == "cpu.weight") {
        return known(signals.cpu_weight);
    }
    if (file == "cpu.idle") {
        return known(signals.cpu_idle);
    }
    if (file == "cpu.max") {
        const std::string quota = known(signals.cpu_max_quota_us);
        return quota.empty() ? quota : known(signals.cpu_max_period_us, quota + " ");
    }
    if (file == "memory.low") {
        return known(signals.memory_low_bytes);
    }
    if (file == "memory.high") {
        return known(signals.memory_high_bytes);
    }
    return file == "io.weight" ? known(signals.io_weight, "default ") : std::string();
}

std::string system_text(std::string_view file, const llamux_system_signals& signals) {
    const auto known = [](std::uint64_t value) {
        return value == LLAMUX_UNKNOWN ? std::string() : number_text(value);
    };
    if (file == "vm/swappiness") {
        return known(signals.vm_swappiness);
    }
    if (file == "vm/dirty_background_ratio") {
        return known(signals.vm_dirty_background_ratio);
    }
    if (file == "vm/dirty_ratio") {
        return known(signals.vm_dirty_ratio);
    }
    if (file == "vm/dirty_background_bytes") {
        return known(signals.vm_dirty_background_bytes);
    }
    if (file == "vm/dirty_bytes") {
        return known(signals.vm_dirty_bytes);
    }
    return file == "vm/watermark_scale_factor" ? known(signals.vm_watermark_scale_factor)
                                               : std::string();
}

bool is_same_choice(const llamux_candidate& now, const Candidate& then) {
    return now.kind == then.kind && now.direction == then.direction &&
           now.cgroup_id == then.cgroup_id && now.value_old == then.value_old &&
           now.value_new == then.value_new;
}

}  // namespace

// ---- knobs ----------------------------------------------------------------

Result<Settings> ReplayKnobs::recorded(const KnobTarget& target) const {
    const ActionRow* row = action_row(target.kind);
    const bool in_cgroup = row->scope == LLAMUX_SCOPE_CGROUP;
    const llamux_group_snapshot* group =
        in_cgroup ? find_group(*seen_.snapshot, target.cgroup_id) : nullptr;
    if (in_cgroup && !group) {
        return errno_error(ENOENT, target.cgroup_path);
    }
    Settings texts;
    for (const std::string_view file : knob_files(target.kind)) {
        std::string text = in_cgroup ? group_text(file, group->signals)
                                     : system_text(file, seen_.snapshot->signals);
        if (text.empty()) {
            return errno_error(ENODATA, std::string(file) + " in the recording");
        }
        texts.push_back({std::string(file), std::move(text)});
    }
    return texts.empty() ? Result<Settings>(texts) : settings_in_force(target.kind, texts);
}

Result<Settings> ReplayKnobs::read(const KnobTarget& target) const {
    Result<Settings> found = recorded(target);
    const auto written = written_.find(knob_name(target));
    return found && written != written_.end() ? Result<Settings>(written->second.ours) : found;
}

Status ReplayKnobs::write(const KnobTarget& target, const Settings& settings,
                          const std::function<void()>& between) const {
    Result<Settings> found = recorded(target);
    if (!found) {
        return found.error();
    }
    if (between && settings.size() > 1) {
        between();
    }
    written_[knob_name(target)] = {target, std::move(*found), settings};
    return {};
}

void ReplayKnobs::show(const Frame& frame) {
    seen_ = frame.seen;
    std::erase_if(written_, [&](const auto& one) {
        const Result<Settings> found = recorded(one.second.target);
        return !found || *found != one.second.found;
    });
}

// ---- device ---------------------------------------------------------------

struct ReplayWorld::Detector {
    llx_baseline baseline{};
    llamux_advice advice{};
    std::uint64_t n_shown = 0;  // of the advice
};

ReplayWorld::ReplayWorld() : detector_(std::make_unique<Detector>()) {
    llx_baseline_init(&detector_->baseline);
}
ReplayWorld::~ReplayWorld() = default;

void ReplayWorld::show(Frame frame) {
    frame_ = std::move(frame);
    n_shown_++;
    clock_.set(frame_.boot_ns, frame_.wall_ns);
    knobs_.show(frame_);
}

Sensed ReplayWorld::sensed() const {
    Sensed sensed;
    sensed.signals = std::make_shared<llamux_signals>();
    std::memset(sensed.signals.get(), 0, sizeof(llamux_signals));
    sensed.tree = frame_.seen.tree;
    sensed.has_pressure = frame_.has_pressure;
    return sensed;
}

const llamux_advice& ReplayWorld::detect() {
    if (detector_->n_shown != n_shown_) {
        detector_->n_shown = n_shown_;
        detector_->advice = {};
        llx_advise_detect(frame_.seen.snapshot.get(), &detector_->baseline, &detector_->advice);
    }
    return detector_->advice;
}

bool ReplayWorld::take_scores(llamux_advice& advice) {
    const Suggestion& then = *frame_.advice;
    bool fits = then.candidates.size() == advice.n_candidates && then.chosen < advice.n_candidates;
    for (std::uint32_t i = 0; fits && i < advice.n_candidates; i++) {
        fits = is_same_choice(advice.candidates[i], then.candidates[i]);
    }
    if (!fits) {
        return false;
    }
    for (std::uint32_t i = 0; i < advice.n_candidates; i++) {
        advice.candidates[i].score = then.candidates[i].score;
        advice.candidates[i].probability_permille = then.candidates[i].probability_permille;
    }
    advice.ranked_by = then.ranked_by;
    advice.chosen = static_cast<__u32>(then.chosen);
    advice.margin_permille = then.margin_permille;
    advice.n_prompt_tokens = then.n_prompt_tokens;
    return true;
}

class ReplayDevice final : public Device {
  public:
    explicit ReplayDevice(ReplayWorld& world) : world_(world) {}

    Result<SnapshotPtr> snapshot(const llamux_signals*) override {
        return world_.frame_.seen.snapshot;
    }
    Result<Advice> advise(const llamux_signals*, std::uint32_t flags) override {
        Advice advice;
        advice.answer = world_.detect();
        advice.snapshot = world_.frame_.seen.snapshot;
        const std::optional<Suggestion>& then = world_.frame_.advice;
        const bool asks_model = !(flags & LLAMUX_ADVISE_RULES_ONLY) && advice.answer.n_facts > 0;
        if (asks_model && then && then->ranked_by == LLAMUX_RANKED_BY_MODEL) {
            if (world_.take_scores(advice.answer)) {
                advice.prompt = then->prompt;
            } else {
                world_.n_scores_unfit_++;
            }
        }
        return advice;
    }

    // The loop asks for nothing else.
    Result<llamux_version> version() override { return refused<llamux_version>(); }
    Result<llamux_model_info> model_info() override { return refused<llamux_model_info>(); }
    Status load_model(const std::string& path, llamux_chat_template) override {
        return errno_error(ENOTSUP, path);
    }
    Result<llamux_stats> stats() override { return refused<llamux_stats>(); }
    Status bind_maps(int, int) override { return errno_error(ENOTSUP, "a recording"); }
    Result<std::vector<PhraseScore>> score(std::string_view,
                                           const std::vector<std::string>&) override {
        return refused<std::vector<PhraseScore>>();
    }
    Result<llamux_params> params() override { return refused<llamux_params>(); }
    Status set_params(const llamux_params&) override { return errno_error(ENOTSUP, "a recording"); }
    Status write_prompt(std::string_view) override { return errno_error(ENOTSUP, "a recording"); }
    Result<AnswerPart> read_answer(std::chrono::milliseconds, int) override {
        return refused<AnswerPart>();
    }
    Status cancel() override { return {}; }

  private:
    template <class T>
    static Result<T> refused() {
        return errno_error(ENOTSUP, "a recording");
    }

    ReplayWorld& world_;
};

std::unique_ptr<Device> ReplayWorld::open_device() {
    return std::make_unique<ReplayDevice>(*this);
}

}  // namespace llamux
