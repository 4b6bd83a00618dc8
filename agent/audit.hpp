// SPDX-License-Identifier: GPL-2.0-only
//
// An event of the loop or of a command as a line of the audit log: evidence,
// candidates and scores, old and new value, effect, verdict.
// docs/schema/audit.schema.json describes it.
#pragma once

#include "kernel/journal.hpp"
#include "kernel/json.hpp"
#include "loop.hpp"

namespace llamux {

constexpr int kAuditVersion = 1;

Json audit_record(const Event& event, const JournalWriter& writer, Clock& clock);

}  // namespace llamux
