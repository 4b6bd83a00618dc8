// SPDX-License-Identifier: GPL-2.0-only
//
// See audit.hpp.
#include "audit.hpp"

namespace llamux {

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
