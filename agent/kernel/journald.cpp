// SPDX-License-Identifier: GPL-2.0-only
//
// See journald.hpp.
#include "kernel/journald.hpp"

#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

namespace llamux {

bool logs_to_journald() {
    const char* stream = std::getenv("JOURNAL_STREAM");
    struct stat attributes {};
    return stream && ::fstat(STDERR_FILENO, &attributes) == 0 &&
           stream == std::to_string(attributes.st_dev) + ":" + std::to_string(attributes.st_ino);
}

Status send_to_journald(int priority, const std::string& message,
                        const std::vector<JournalField>& fields) {
    std::vector<std::string> texts = {"MESSAGE=" + message, "PRIORITY=" + std::to_string(priority),
                                      "SYSLOG_IDENTIFIER=llamux-agent"};
    for (const JournalField& field : fields) {
        texts.push_back(field.name + "=" + field.value);
    }
    std::vector<iovec> parts;
    for (std::string& text : texts) {
        parts.push_back({text.data(), text.size()});
    }
    const int sent = sd_journal_sendv(parts.data(), static_cast<int>(parts.size()));
    return sent < 0 ? errno_error(-sent, "the journal") : Status();
}

}  // namespace llamux
