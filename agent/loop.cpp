// SPDX-License-Identifier: GPL-2.0-only
//
// See loop.hpp. Read tick(), watch() and measure() first.
#include "loop.hpp"

#include <algorithm>
#include <cerrno>

#include "advise/advise.hpp"
#include "apply/apply.hpp"
#include "verify/verify.hpp"

namespace llamux {
namespace {

constexpr std::uint64_t kFirstBackoffNs = 1 * kNsPerSecond;
constexpr std::uint64_t kLongestBackoffNs = 60 * kNsPerSecond;
constexpr std::uint64_t kReviewEveryNs = 60 * kNsPerSecond;
// The model may think for a tenth of the time: it must not take the CPU that the
// trouble is about, however often that changes.
constexpr std::uint64_t kRestPerThought = 9;

}  // namespace

Loop::Loop(LoopParts parts, Config config) : parts_(std::move(parts)), config_(std::move(config)) {}

TickReport Loop::start() {
    TickReport report;
    Result<LockedJournal> journal = parts_.journal.lock(LockMode::kExclusive);
    if (!journal) {
        degrade(journal.error().message, report);
        return report;
    }
    for (const std::string& damage : journal->damage()) {
        report.events.push_back(make_event(EventType::kFailed, "journal damaged, " + damage));
    }
    if (const Result<Experience> known = parts_.experience.load(); !known) {
        report.events.push_back(make_event(EventType::kFailed, known.error().message));
    }
    report_accounting(account_for_all(*journal, parts_.knobs, parts_.is_alive, parts_.listener),
                      report);
    reviewed_ns_ = parts_.clock.boot_ns();
    look_for_tuners();
    return report;
}

TickReport Loop::tick() {
    TickReport report;
    const Result<Sensed> sensed = parts_.sense();
    if (!sensed) {
        degrade(sensed.error().message, report);
    } else if (ensure_device(report)) {
        if (!sensed->has_pressure && !told_no_pressure_) {
            told_no_pressure_ = true;
            report.events.push_back(make_event(
                EventType::kTrouble,
                "no pressure information (PSI is off: boot with psi=1); judging without it"));
        }
        if (state_ == LoopState::kWatching) {
            watch(*sensed, report);
        } else {
            measure(*sensed, report);
        }
    }
    if (state_ != LoopState::kWatching && degraded_) {
        TickReport abandoned = abandon("the effect can no longer be measured");
        std::move(abandoned.events.begin(), abandoned.events.end(),
                  std::back_inserter(report.events));
    }
    stand_aside(report);
    review_kept(report);
    report.next = next_delay();
    return report;
}

TickReport Loop::stop() {
    TickReport report = abandon("the service stopped while it was measured");
    if (config_.on_exit == OnExit::kKeep) {
        return report;
    }
    Result<LockedJournal> journal = parts_.journal.lock(LockMode::kExclusive);
    if (!journal) {
        degrade(journal.error().message, report);
        return report;
    }
    report_accounting(
        undo_all("the service stopped", *journal, parts_.knobs, parts_.is_alive, parts_.listener),
        report);
    return report;
}

void Loop::begin_change(const Candidate& candidate, const Fact& fact) {
    candidate_ = candidate;
    fact_ = fact;
    by_person_ = true;
    seen_again_ = false;
    contradicted_ = false;
    before_.clear();
    after_.clear();
    returned_.clear();
    change_ = 0;
    state_ = LoopState::kBaseline;
}

TickReport Loop::abandon(const std::string& why) {
    TickReport report;
    if (change_ != 0) {
        Result<LockedJournal> journal = parts_.journal.lock(LockMode::kExclusive);
        if (!journal) {
            degrade(journal.error().message, report);
        } else if (const Change* change = find_change(journal->changes(), change_);
                   change && change->unfinished()) {
            report_change(undo_change(change_, why, {}, *journal, parts_.knobs, parts_.listener),
                          report);
        }
    }
    finish();
    return report;
}

// ---- device ---------------------------------------------------------------

bool Loop::ensure_device(TickReport& report) {
    if (device_) {
        return true;
    }
    const std::uint64_t now = parts_.clock.boot_ns();
    if (now < retry_device_ns_) {
        return false;
    }
    Result<std::unique_ptr<Device>> opened = parts_.open_device();
    if (!opened) {
        lose_device(opened.error(), report);
        return false;
    }
    device_ = std::move(*opened);
    return true;
}

void Loop::lose_device(const Error& error, TickReport& report) {
    device_.reset();
    device_backoff_ns_ = device_backoff_ns_ == 0
                             ? kFirstBackoffNs
                             : std::min(device_backoff_ns_ * 2, kLongestBackoffNs);
    retry_device_ns_ = parts_.clock.boot_ns() + device_backoff_ns_;
    degrade(error.message, report);
}

void Loop::degrade(const std::string& text, TickReport& report) {
    if (!degraded_ || degraded_text_ != text) {
        report.events.push_back(make_event(EventType::kDegraded, text + "; watching only"));
    }
    degraded_ = true;
    degraded_text_ = text;
    // Advice from before is not repeated as if it were new.
    situation_ = 0;
    last_suggestion_id_.clear();
}

// ---- watching -------------------------------------------------------------

void Loop::watch(const Sensed& sensed, TickReport& report) {
    // The rules are cheap; the model is asked only about something new.
    Result<Advice> detected = device_->advise(sensed.signals.get(), LLAMUX_ADVISE_RULES_ONLY);
    if (!detected) {
        if (detected.error().code != EINTR) {
            lose_device(detected.error(), report);
        }
        return;
    }
    device_backoff_ns_ = 0;
    if (degraded_) {
        degraded_ = false;
        report.events.push_back(make_event(EventType::kRecovered, "the module answers"));
    }
    report.snapshot = detected->snapshot;
    snapshot_ = detected->snapshot;
    if (detected->answer.n_facts == 0) {
        if (in_trouble_) {
            report.events.push_back(make_event(EventType::kHealthy, "nothing is wrong any more"));
        }
        in_trouble_ = false;
        situation_ = 0;
        last_suggestion_id_.clear();
        last_refusal_.clear();
        return;
    }
    const std::uint64_t situation = situation_of(detected->answer);
    const std::uint64_t now = parts_.clock.boot_ns();
    if (in_trouble_ && situation == situation_ &&
        now < asked_ns_ + config_.ask_again_seconds * kNsPerSecond) {
        return;
    }
    in_trouble_ = true;
    situation_ = situation;
    asked_ns_ = now;
    Result<Suggestion> suggestion = ask_model(sensed, report);
    if (suggestion) {
        consider(*suggestion, sensed, report);
    }
}

// In the last window: a model that thinks then takes what others wait for.
bool Loop::is_cpu_scarce() const {
    const std::uint64_t us = snapshot_->signals.psi.cpu.some_us;
    return config_.pause_model_permille != 0 && us != LLAMUX_UNKNOWN &&
           us >= snapshot_->window_ns / 1'000'000 * config_.pause_model_permille;
}

// The rules answer while the model rests.
Result<Suggestion> Loop::ask_model(const Sensed& sensed, TickReport& report) {
    const bool rests = parts_.clock.boot_ns() < model_rested_ns_ || is_cpu_scarce();
    const std::uint32_t who = rests ? LLAMUX_ADVISE_RULES_ONLY : 0;
    Result<Advice> ranked = device_->advise(nullptr, LLAMUX_ADVISE_LAST_SNAPSHOT | who);
    if (!ranked) {
        if (ranked.error().code != EINTR) {
            lose_device(ranked.error(), report);
        }
        return ranked.error();
    }
    if (!who) {
        model_rested_ns_ = parts_.clock.boot_ns() + kRestPerThought * ranked->answer.rank_ns;
    }
    Result<Suggestion> suggestion = make_suggestion(*ranked, sensed.tree, parts_.clock);
    if (!suggestion) {
        lose_device(suggestion.error(), report);
    }
    const Result<Experience> experience = parts_.experience.load();
    return suggestion && experience ? weigh(std::move(*suggestion), *experience) : suggestion;
}

void Loop::consider(const Suggestion& suggestion, const Sensed& sensed, TickReport& report) {
    const Candidate* change = suggestion.change();
    if (!change) {
        if (last_suggestion_id_ != "none") {
            last_suggestion_id_ = "none";
            report.events.push_back(
                make_event(EventType::kTrouble,
                           fact_text(fact_of(suggestion, Candidate{})) + "; no change is better"));
        }
        return;
    }
    if (suggestion.id != last_suggestion_id_) {
        last_suggestion_id_ = suggestion.id;
        report.events.push_back(event_of(suggestion));
    }
    if (Status saved = parts_.store.save(suggestion); !saved) {
        report_refusal(suggestion.id, candidate_text(*change),
                       Refusal{RefusalReason::kJournalUnusable, saved.error().message}, report);
        return;
    }
    if (!config_.policy.apply) {
        return;
    }
    // Asked once before measuring, so that what is refused costs nothing, and
    // again just before the write.
    Result<LockedJournal> journal = parts_.journal.lock(LockMode::kShared);
    for (const Candidate* next : changes_in_turn(suggestion)) {
        const Fact helped = fact_of(suggestion, *next);
        const Decision decision = decide(*next, helped, false, sensed, journal);
        const Refusal* refusal = std::get_if<Refusal>(&decision);
        if (!refusal) {
            begin_change(*next, helped);
            by_person_ = false;
            report.events.push_back(make_event(
                EventType::kMeasuring, suggestion_id(*next) + ": measuring before the change (" +
                                           candidate_text(*next) + ")"));
            return;
        }
        if (next == change) {
            report_refusal(suggestion.id, candidate_text(*change), *refusal, report);
        }
        if (!outlasts_the_moment(refusal->reason)) {
            return;
        }
    }
}

Decision Loop::decide(const Candidate& candidate, const Fact& fact, bool by_person,
                      const Sensed& sensed, const Result<LockedJournal>& journal) const {
    if (!journal) {
        return Refusal{RefusalReason::kJournalUnusable, journal.error().message};
    }
    const Result<Settings> present = parts_.knobs.read(target_of(candidate));
    if (!present) {
        return Refusal{means_gone(present.error()) ? RefusalReason::kGroupUnknown
                                                   : RefusalReason::kValueUnknown,
                       present.error().message};
    }
    const Result<std::string> keeper = parts_.knobs.keeper(target_of(candidate));
    if (!keeper) {
        return Refusal{RefusalReason::kValueUnknown, keeper.error().message};
    }
    const CgroupNode* node = sensed.tree.find(candidate.cgroup_id);
    std::vector<Hold> holds =
        holds_of(journal->entries(), journal->changes(), journal->writer().boot_id,
                 config_.policy.quarantine_after_failures);
    holds.insert(holds.end(), tuner_holds_.begin(), tuner_holds_.end());
    const PolicyInput input{.snapshot = *snapshot_,
                            .present = *present,
                            .keeper = *keeper,
                            .n_siblings = node ? node->n_siblings : 0,
                            .changes = journal->changes(),
                            .holds = holds,
                            .journal_damage = journal->damage(),
                            .boot_id = journal->writer().boot_id,
                            .now_boot_ns = parts_.clock.boot_ns(),
                            .by_person = by_person};
    return Policy(config_.policy).decide(candidate, fact, input);
}

// ---- the change under way -------------------------------------------------

void Loop::measure(const Sensed& sensed, TickReport& report) {
    Result<SnapshotPtr> snapshot = device_->snapshot(sensed.signals.get());
    if (!snapshot) {
        if (snapshot.error().code != EINTR) {
            lose_device(snapshot.error(), report);
        }
        return;
    }
    report.snapshot = *snapshot;
    const Window window = window_of(**snapshot, snapshot_.get());
    snapshot_ = *snapshot;
    if (window.length_ns == 0) {
        return;  // a session's first reading
    }
    switch (state_) {
        case LoopState::kBaseline:
            // The first window began before the measuring did: longer, and
            // under the model's own load.
            before_.push_back(window);
            if (!by_person_ && before_.size() > 1) {
                look_again();
            }
            if (before_.size() > config_.measure.windows) {
                before_.erase(before_.begin());
                apply(sensed, report);
            }
            break;
        case LoopState::kSettling:
            if (parts_.clock.boot_ns() >= settled_ns_) {
                state_ = settled_state_;
            }
            break;
        case LoopState::kMeasuring:
            after_.push_back(window);
            judge_effect(report);
            break;
        case LoopState::kReturned:
            returned_.push_back(window);
            judge_return(report);
            break;
        case LoopState::kWatching:
            break;
    }
}

// The trouble may be over by now, or a look at the moment in which a load begins
// took culprit for victim.
void Loop::look_again() {
    const Result<Advice> now =
        device_->advise(nullptr, LLAMUX_ADVISE_LAST_SNAPSHOT | LLAMUX_ADVISE_RULES_ONLY);
    const SecondLook look =
        now ? llamux::look_again(now->answer, candidate_, fact_) : SecondLook::kNothing;
    seen_again_ = seen_again_ || look == SecondLook::kSame;
    contradicted_ = look == SecondLook::kOpposite;
}

void Loop::apply(const Sensed& sensed, TickReport& report) {
    if (!by_person_ && (contradicted_ || !seen_again_)) {
        const auto why = contradicted_ ? RefusalReason::kContradicted : RefusalReason::kPassed;
        report_refusal(suggestion_id(candidate_), candidate_text(candidate_), Refusal{why, {}},
                       report);
        return finish();
    }
    Result<LockedJournal> journal = parts_.journal.lock(LockMode::kExclusive);
    const Decision decision = decide(candidate_, fact_, by_person_, sensed, journal);
    if (const Refusal* refusal = std::get_if<Refusal>(&decision)) {
        report_refusal(suggestion_id(candidate_), candidate_text(candidate_), *refusal, report);
        return finish();
    }
    const MeasureLimits& measure = config_.measure;
    // Twice what measuring takes: a stuck loop does not leave a change unjudged.
    const std::uint64_t deadline_ns =
        parts_.clock.boot_ns() +
        2'000'000ull * (2 * measure.settle_ms +
                        (measure.windows + measure.return_windows + 2) * measure.window_ms);
    const Result<Change> change = apply_action(std::get<Action>(decision), deadline_ns, *journal,
                                               parts_.knobs, parts_.listener);
    report_change(change, report);
    if (!change || change->state != EntryType::kWritten) {
        return finish();
    }
    change_ = change->number;
    deadline_ns_ = deadline_ns;
    settle(LoopState::kMeasuring);
}

void Loop::settle(LoopState then) {
    settled_ns_ = parts_.clock.boot_ns() + config_.measure.settle_ms * 1'000'000ull;
    settled_state_ = then;
    state_ = LoopState::kSettling;
}

// Nothing: it can not be had now, or somebody rolled the change back meanwhile.
std::optional<LockedJournal> Loop::lock_for_verdict(TickReport& report) {
    Result<LockedJournal> journal = parts_.journal.lock(LockMode::kExclusive);
    if (!journal) {
        degrade(journal.error().message, report);
        return std::nullopt;
    }
    const Change* change = find_change(journal->changes(), change_);
    if (!change || !change->unfinished()) {
        finish();
        return std::nullopt;
    }
    return std::move(*journal);
}

void Loop::judge_effect(TickReport& report) {
    const bool complete = after_.size() >= config_.measure.windows;
    const bool overdue = parts_.clock.boot_ns() > deadline_ns_;
    if (after_.size() < kMinWindows && !overdue) {
        return;
    }
    std::optional<LockedJournal> journal = lock_for_verdict(report);
    if (!journal) {
        return;
    }
    const Change& change = *find_change(journal->changes(), change_);
    const Effect effect = judge(change.plan, before_, after_, config_.measure);
    if (!complete && !overdue && effect.verdict != Verdict::kWorse) {
        return;
    }
    if (effect.verdict == Verdict::kImproved && !overdue && config_.measure.return_windows != 0 &&
        may_return(change.plan.target.kind)) {
        return give_back(effect, *journal, report);
    }
    end_change(effect, *journal, report);
}

void Loop::end_change(const Effect& effect, LockedJournal& journal, TickReport& report) {
    if (effect.verdict == Verdict::kImproved) {
        report_change(keep_change(change_, effect.why, effect, journal, parts_.listener), report);
    } else {
        const std::string word = effect.verdict == Verdict::kWorse ? "worse: " : "no effect: ";
        report_change(
            undo_change(change_, word + effect.why, effect, journal, parts_.knobs, parts_.listener),
            report);
        situation_ = 0;  // the next best is considered at once
    }
    finish();
}

// The load may have gone away by itself.
void Loop::give_back(const Effect& effect, LockedJournal& journal, TickReport& report) {
    const Result<Change> change = return_change(change_, journal, parts_.knobs, parts_.listener);
    if (!change || change->state != EntryType::kReturned) {
        report_change(change, report);
        return finish();
    }
    report.events.push_back(
        make_event(EventType::kMeasuring, "change " + std::to_string(change_) + ": " + effect.why +
                                              "; measuring with the old value back for a while"));
    effect_ = effect;
    settle(LoopState::kReturned);
}

void Loop::judge_return(TickReport& report) {
    const bool overdue = parts_.clock.boot_ns() > deadline_ns_;
    if (returned_.size() < config_.measure.return_windows && !overdue) {
        return;
    }
    std::optional<LockedJournal> journal = lock_for_verdict(report);
    if (!journal) {
        return;
    }
    const Change& change = *find_change(journal->changes(), change_);
    const Effect effect = confirm(change.plan, effect_, returned_);
    if (effect.verdict == Verdict::kImproved && !someone_elses(change, *journal, parts_.knobs)) {
        const Result<Change> again = apply_again(change_, *journal, parts_.knobs, parts_.listener);
        if (!again || !again->unfinished()) {
            report_change(again, report);
            return finish();
        }
        if (again->state == EntryType::kWritten) {
            return end_change(effect, *journal, report);
        }
    }
    report_change(undo_change(change_, "no effect: " + effect.why, effect, *journal, parts_.knobs,
                              parts_.listener),
                  report);
    finish();
}

void Loop::finish() {
    state_ = LoopState::kWatching;
    change_ = 0;
    by_person_ = false;
    before_.clear();
    after_.clear();
    returned_.clear();
    // What is seen next is seen with new eyes.
    situation_ = 0;
}

// Someone wrote a knob that we may have changed: looked at now, not at the
// next review.
void Loop::stand_aside(TickReport& report) {
    const std::optional<Writing> writing = parts_.knobs.last_writing_of_any();
    const std::uint64_t last_ns = writing ? writing->boot_ns : 0;
    if (last_ns == written_ns_) {
        return;
    }
    written_ns_ = last_ns;
    reviewed_ns_ = 0;
    if (is_taken_over()) {
        TickReport left = abandon("someone else has set it");
        std::move(left.events.begin(), left.events.end(), std::back_inserter(report.events));
    }
}

bool Loop::is_taken_over() const {
    if (change_ == 0) {
        return false;
    }
    const Result<LockedJournal> journal = parts_.journal.lock(LockMode::kShared);
    const Change* change = journal ? find_change(journal->changes(), change_) : nullptr;
    return change && someone_elses(*change, *journal, parts_.knobs);
}

void Loop::review_kept(TickReport& report) {
    const std::uint64_t now = parts_.clock.boot_ns();
    if (state_ != LoopState::kWatching ||
        (reviewed_ns_ != 0 && now < reviewed_ns_ + kReviewEveryNs)) {
        return;
    }
    reviewed_ns_ = now;
    look_for_tuners();
    Result<LockedJournal> journal = parts_.journal.lock(LockMode::kExclusive);
    if (!journal) {
        return degrade(journal.error().message, report);
    }
    Accounting accounting =
        account_for_all(*journal, parts_.knobs, parts_.is_alive, parts_.listener);
    accounting.still_kept.clear();  // said at the start
    report_accounting(accounting, report);
}

void Loop::look_for_tuners() {
    if (parts_.other_tuners) {
        tuner_holds_ = parts_.other_tuners();
    }
}

// ---- reports --------------------------------------------------------------

void Loop::report_refusal(const std::string& id, const std::string& knob, const Refusal& refusal,
                          TickReport& report) {
    const std::string key = id + std::string(refusal_name(refusal.reason));
    if (key == last_refusal_) {
        return;
    }
    last_refusal_ = key;
    Event event = make_event(EventType::kRefused, id + ": " + knob + " refused: " + refusal.text());
    event.refusal = refusal;
    report.events.push_back(std::move(event));
}

void Loop::report_change(const Result<Change>& change, TickReport& report) {
    if (!change) {
        report.events.push_back(make_event(EventType::kFailed, change.error().message));
        return;
    }
    report.events.push_back(event_of(*change));
    if (const Status learned = parts_.experience.learn(*change); !learned) {
        report.events.push_back(make_event(EventType::kFailed, learned.error().message));
    }
}

void Loop::report_accounting(const Accounting& accounting, TickReport& report) {
    for (const Change& change : accounting.closed) {
        report_change(change, report);
    }
    for (const Change& change : accounting.still_kept) {
        report.events.push_back(event_of(change));
    }
    for (const std::string& error : accounting.errors) {
        report.events.push_back(make_event(EventType::kFailed, "could not undo " + error));
    }
}

std::chrono::milliseconds Loop::next_delay() const {
    return std::chrono::milliseconds(state_ == LoopState::kWatching ? config_.interval_ms
                                                                    : config_.measure.window_ms);
}

}  // namespace llamux
