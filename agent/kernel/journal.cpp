// SPDX-License-Identifier: GPL-2.0-only
//
// See journal.hpp. A line is the entry's JSON object with a last field "sum",
// the CRC-32 of everything before it. A journal that has grown too long is
// begun anew with what still counts; then its first line says how many entries
// those are, and only among them numbers may be missing.
#include "kernel/journal.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <optional>

#include "kernel/json_reader.hpp"

namespace llamux {
namespace {

constexpr std::string_view kSumKey = ",\"sum\":\"";
constexpr std::size_t kSumTail = kSumKey.size() + 8 + 2;  // 8 hex digits and "}

// CRC-32 of IEEE 802.3, bitwise: the journal is small.
std::uint32_t crc32(std::string_view bytes) {
    std::uint32_t crc = ~0u;
    for (const unsigned char byte : bytes) {
        crc ^= byte;
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ (crc & 1 ? 0xedb88320u : 0);
        }
    }
    return ~crc;
}

constexpr std::uint64_t kMaxBytes = 1 << 20;
// The longest of the waits that the configuration knows.
constexpr std::uint64_t kLongestWaitNs = 86400 * kNsPerSecond;

std::string sealed_line(const Json& json) {
    std::string line = dump_line(json);
    line.pop_back();  // the closing brace
    std::array<char, 9> sum{};
    std::snprintf(sum.data(), sum.size(), "%08x", crc32(line));
    return line + std::string(kSumKey) + sum.data() + "\"}\n";
}

Result<Json> json_of_line(std::string_view line) {
    if (line.size() < kSumTail) {
        return Error{EBADMSG, "too short"};
    }
    const std::string_view body = line.substr(0, line.size() - kSumTail);
    const std::string_view tail = line.substr(body.size());
    std::array<char, 9> sum{};
    std::snprintf(sum.data(), sum.size(), "%08x", crc32(body));
    if (tail.substr(0, kSumKey.size()) != kSumKey ||
        tail.substr(kSumKey.size(), 8) != std::string_view(sum.data(), 8)) {
        return Error{EBADMSG, "its checksum is wrong"};
    }
    return parse_json(line);
}

// What the first line of a shortened journal says; nullopt: it is an entry.
std::optional<std::uint64_t> carried_of(const Result<Json>& json) {
    if (!json || !json->is_object() || !json->contains("carried")) {
        return std::nullopt;
    }
    return JsonReader(*json).number("carried");
}

bool has_failed(const Change& change) {
    return change.state == EntryType::kFailed ||
           (change.state == EntryType::kUndone && change.effect &&
            change.effect->verdict != Verdict::kImproved);
}

bool has_helped(const Change& change) {
    return change.effect && change.effect->verdict == Verdict::kImproved;
}

// Whether a policy, a hold or an undo can still ask for it.
bool counts(const Change& change, const std::vector<Change>& changes, const std::string& boot_id,
            std::uint64_t now_boot_ns) {
    if (change.in_force()) {
        return true;
    }
    if (change.boot_id != boot_id) {
        return false;
    }
    const bool helped_later = std::any_of(changes.begin(), changes.end(), [&](const Change& later) {
        return later.number > change.number && later.plan.target == change.plan.target &&
               has_helped(later);
    });
    return change.state == EntryType::kFrozen || (has_failed(change) && !helped_later) ||
           change.last_boot_ns + kLongestWaitNs > now_boot_ns;
}

// Of two decisions about one knob the later one counts.
bool is_decided_later(const Entry& entry, const std::vector<Entry>& entries) {
    return std::any_of(entries.begin(), entries.end(), [&](const Entry& later) {
        return later.seq > entry.seq && concerns_a_knob(later.type) && later.target == entry.target;
    });
}

// The last entry always: the next one counts on from it.
std::vector<Entry> entries_that_count(const LockedJournal& journal, std::uint64_t now_boot_ns) {
    std::vector<Entry> kept;
    const Entry& last = journal.entries().back();
    for (const Entry& entry : journal.entries()) {
        const Change* change = find_change(journal.changes(), entry.change);
        const bool is_kept = concerns_a_knob(entry.type)
                                 ? !is_decided_later(entry, journal.entries())
                                 : change && (entry.change == last.change ||
                                              counts(*change, journal.changes(),
                                                     journal.writer().boot_id, now_boot_ns));
        if (is_kept) {
            kept.push_back(entry);
        }
    }
    return kept;
}

// Begins the journal anew with these entries; the whole one becomes the .1. At
// each moment one of the two has the name.
Status begin_anew(const std::string& path, const std::vector<Entry>& entries) {
    std::string text = sealed_line(Json{{"carried", entries.size()}});
    for (const Entry& entry : entries) {
        text += sealed_line(to_json(entry));
    }
    const std::string old = path + ".1";
    if (::unlink(old.c_str()) != 0 && errno != ENOENT) {
        return errno_error(errno, old);
    }
    if (::link(path.c_str(), old.c_str()) != 0) {
        return errno_error(errno, old);
    }
    return replace_file(path, text);
}

Error journal_error(int code, const std::string& what) {
    return errno_error(code, "journal: " + what);
}

}  // namespace

Status LockedJournal::read_all() {
    struct stat attributes {};
    if (::fstat(file_.get(), &attributes) != 0) {
        return journal_error(errno, "stat");
    }
    std::string text(static_cast<std::size_t>(attributes.st_size), '\0');
    std::size_t got = 0;
    while (got < text.size()) {
        const ssize_t n =
            ::pread(file_.get(), text.data() + got, text.size() - got, static_cast<off_t>(got));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return journal_error(n < 0 ? errno : EIO, "read");
        }
        got += static_cast<std::size_t>(n);
    }
    std::uint64_t last_seq = 0;
    std::uint64_t line_number = 0;
    std::uint64_t n_carried = 0;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = text.find('\n', at);
        line_number++;
        if (end == std::string::npos) {
            break;  // torn: the append that a crash cut off
        }
        const std::string_view line = std::string_view(text).substr(at, end - at);
        at = end + 1;
        const Result<Json> json = json_of_line(line);
        if (const auto carried = carried_of(json); carried && line_number == 1) {
            n_carried = *carried;
            size_ = at;
            continue;
        }
        Result<Entry> entry = json ? entry_from_json(*json) : json.error();
        if (!entry && at == text.size() && line.find('\0') != std::string_view::npos) {
            break;  // torn by a power cut: the length reached the disk first
        }
        size_ = at;
        if (!entry) {
            damage_.push_back("line " + std::to_string(line_number) + ": " + entry.error().message);
            continue;
        }
        const bool may_skip = entries_.size() < n_carried && entry->seq > last_seq;
        if (entry->seq != last_seq + 1 && !may_skip) {
            damage_.push_back("line " + std::to_string(line_number) + ": entry " +
                              std::to_string(entry->seq) + " follows " + std::to_string(last_seq));
        }
        last_seq = entry->seq;
        entries_.push_back(std::move(*entry));
    }
    changes_ = fold(entries_);
    for (const Entry& entry : entries_) {
        if (entry.type != EntryType::kPlanned && !concerns_a_knob(entry.type) &&
            !find_change(changes_, entry.change)) {
            damage_.push_back("entry " + std::to_string(entry.seq) + ": its change " +
                              std::to_string(entry.change) + " was never planned");
        }
    }
    return {};
}

Result<Entry> LockedJournal::append(Entry entry) {
    if (mode_ != LockMode::kExclusive) {
        return Error{EBADF, "journal: opened for reading"};
    }
    entry.seq = entries_.empty() ? 1 : entries_.back().seq + 1;
    if (entry.type == EntryType::kPlanned) {
        entry.change = entry.seq;
    }
    entry.boot_ns = clock_->boot_ns();
    entry.wall_ns = clock_->wall_ns();
    entry.boot_id = writer_.boot_id;
    entry.owner = writer_.owner;

    const std::string line = sealed_line(to_json(entry));
    // A torn tail of an earlier crash goes away here, before it can become a
    // damaged line in the middle.
    const auto sound_size = static_cast<off_t>(size_);
    if (::ftruncate(file_.get(), sound_size) != 0) {
        return journal_error(errno, "truncate");
    }
    const ssize_t written = ::pwrite(file_.get(), line.data(), line.size(), sound_size);
    if (written != static_cast<ssize_t>(line.size()) || ::fsync(file_.get()) != 0) {
        const int code =
            written < 0 ? errno : (written == static_cast<ssize_t>(line.size()) ? errno : ENOSPC);
        if (::ftruncate(file_.get(), sound_size) != 0) {
            return journal_error(code, "append, and the torn line stays");
        }
        return journal_error(code, "append");
    }
    size_ += line.size();
    entries_.push_back(entry);
    changes_ = fold(entries_);
    return entry;
}

Journal::Journal(std::string state_directory, JournalWriter writer, Clock& clock)
    : directory_(std::move(state_directory)), writer_(std::move(writer)), clock_(clock) {}

Result<LockedJournal> Journal::lock(LockMode mode) const {
    const bool exclusive = mode == LockMode::kExclusive;
    LockedJournal journal;
    journal.mode_ = mode;
    journal.writer_ = writer_;
    journal.clock_ = &clock_;
    if (exclusive) {
        if (Status made = make_directories(directory_, 0700); !made) {
            return made.error().in("state directory");
        }
    }
    const int create = exclusive ? O_CREAT : 0;
    Result<Fd> lock = open_at(AT_FDCWD, directory_ + "/lock", O_RDONLY | create, 0600);
    if (!lock) {
        if (!exclusive && lock.error().code == ENOENT) {
            return journal;  // nothing was ever written here
        }
        return lock.error();
    }
    while (::flock(lock->get(), exclusive ? LOCK_EX : LOCK_SH) != 0) {
        if (errno != EINTR) {
            return journal_error(errno, "lock");
        }
    }
    journal.lock_ = std::move(*lock);

    const std::string path = directory_ + "/journal.jsonl";
    const bool is_new = exclusive && !path_exists(path);
    Result<Fd> file = open_at(AT_FDCWD, path, exclusive ? O_RDWR | O_CREAT : O_RDONLY, 0600);
    if (!file) {
        if (!exclusive && file.error().code == ENOENT) {
            return journal;
        }
        return file.error();
    }
    journal.file_ = std::move(*file);
    if (is_new) {
        // The name must survive a power cut as well as the lines.
        Result<Fd> directory = open_at(AT_FDCWD, directory_, O_RDONLY | O_DIRECTORY);
        if (!directory || ::fsync(directory->get()) != 0) {
            return journal_error(errno, directory_);
        }
    }
    if (Status read = journal.read_all(); !read) {
        return read.error();
    }
    // A damaged one is for people to look at.
    if (!exclusive || journal.size_ <= kMaxBytes || !journal.damage_.empty()) {
        return journal;
    }
    const std::vector<Entry> kept = entries_that_count(journal, clock_.boot_ns());
    if (kept.size() > journal.entries_.size() / 2) {
        return journal;  // nearly all of it counts
    }
    // Too long is no reason not to undo; whichever file has the name counts.
    (void)begin_anew(path, kept).ok();
    Result<Fd> shorter = open_at(AT_FDCWD, path, O_RDWR, 0600);
    if (!shorter) {
        return shorter.error();
    }
    journal.file_ = std::move(*shorter);
    journal.size_ = 0;
    journal.entries_.clear();
    if (Status read = journal.read_all(); !read) {
        return read.error();
    }
    return journal;
}

}  // namespace llamux
