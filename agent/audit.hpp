// SPDX-License-Identifier: GPL-2.0-only
//
// An event of the loop or of a command as a line of the audit log: evidence,
// candidates and scores, old and new value, effect, verdict
// (docs/agent.schema.json describes it); and as fields of systemd's journal.
#pragma once

#include "kernel/journal.hpp"
#include "kernel/journald.hpp"
#include "kernel/json.hpp"
#include "loop.hpp"

namespace llamux {

constexpr int kAuditVersion = 1;

Json audit_record(const Event& event, const JournalWriter& writer, Clock& clock);

// What one would ask the journal for; docs/AGENT.md has the list. Only what the
// event has: LLAMUX_EVENT always.
std::vector<JournalField> journal_fields(const Event& event);

}  // namespace llamux
