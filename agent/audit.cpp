// SPDX-License-Identifier: GPL-2.0-only
//
// See audit.hpp.
#include "audit.hpp"

#include "core/catalogue.hpp"

namespace llamux {
namespace {

class Fields {
  public:
    void add(const char* name, std::string value) {
        if (!value.empty()) {
            fields_.push_back({std::string("LLAMUX_") + name, std::move(value)});
        }
    }
    void add_knob(const KnobTarget& target) {
        const ActionRow* row = action_row(target.kind);
        add("KNOB", row ? row->knob() : "");
        add("CGROUP", target.cgroup_path);
    }
    void add_values(llamux_action_kind kind, std::uint64_t value_old, std::uint64_t value_new) {
        add("OLD", format_value(kind, value_old));
        add("NEW", format_value(kind, value_new));
    }
    std::vector<JournalField> take() { return std::move(fields_); }

  private:
    std::vector<JournalField> fields_;
};

}  // namespace

std::vector<JournalField> journal_fields(const Event& event) {
    Fields fields;
    fields.add("EVENT", std::string(event_word(event.type)));
    if (event.suggestion) {
        fields.add("SUGGESTION", event.suggestion->id);
        if (const Candidate* candidate = event.suggestion->change()) {
            const KnobTarget target = target_of(*candidate);
            fields.add_knob(target);
            fields.add_values(target.kind, candidate->value_old, candidate->value_new);
        }
    }
    if (event.change) {
        const Plan& plan = event.change->plan;
        fields.add("CHANGE", std::to_string(event.change->number));
        fields.add("SUGGESTION", plan.id);
        fields.add_knob(plan.target);
        fields.add_values(plan.target.kind, plan.value_old, plan.value_new);
        if (event.change->effect) {
            fields.add("VERDICT", std::string(verdict_word(event.change->effect->verdict)));
        }
    }
    if (event.refusal) {
        fields.add("REFUSAL", std::string(refusal_name(event.refusal->reason)));
    }
    if (event.hold) {
        fields.add_knob(event.hold->target);
    }
    return fields.take();
}

Json audit_record(const Event& event, const JournalWriter& writer, Clock& clock) {
    Json record = {{"version", kAuditVersion},   {"wall_ns", clock.wall_ns()},
                   {"boot_ns", clock.boot_ns()}, {"boot_id", writer.boot_id},
                   {"pid", writer.owner.pid},    {"event", event_word(event.type)},
                   {"text", event.text}};
    if (event.suggestion) {
        record["suggestion"] = to_json(*event.suggestion);
    }
    if (event.refusal) {
        record["refusal"] = refusal_name(event.refusal->reason);
    }
    if (event.change) {
        record["change"] = to_json(*event.change);
    }
    if (event.hold) {
        record["hold"] = to_json(*event.hold);
    }
    return record;
}

}  // namespace llamux
