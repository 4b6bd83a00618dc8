// SPDX-License-Identifier: GPL-2.0-only
//
// systemd's journal as a place for log lines that have fields of their own, so
// that people can ask for them: journalctl LLAMUX_EVENT=kept.
#pragma once

#include <string>
#include <vector>

#include "core/result.hpp"

namespace llamux {

struct JournalField {
    std::string name;  // upper case, digits and _, as systemd.journal-fields(7) has it
    std::string value;
};

// Whether standard error is a stream of the journal, as of a service that systemd
// started (systemd.exec(5), JOURNAL_STREAM).
bool logs_to_journald();

// One entry. @priority: of syslog(3). May sleep. An error is the journal's own,
// such as that there is none.
Status send_to_journald(int priority, const std::string& message,
                        const std::vector<JournalField>& fields);

}  // namespace llamux
