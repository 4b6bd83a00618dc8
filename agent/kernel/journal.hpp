// SPDX-License-Identifier: GPL-2.0-only
//
// The journal: append-only JSON lines in the state directory, each with a
// checksum, each on disk before append() returns. It is the agent's only
// state. Whoever changes a knob or reads-then-writes holds the exclusive lock
// for the whole operation; readers take it shared. A torn last line (the
// append that a crash cut off: nothing was written after it) is dropped; any
// other damage is reported and stops new changes, but not undoing. Whoever takes
// the exclusive lock of one that is too long shortens it to what still counts.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/change.hpp"
#include "core/clock.hpp"
#include "core/result.hpp"
#include "kernel/files.hpp"

namespace llamux {

enum class LockMode { kShared, kExclusive };

// What stamps every entry.
struct JournalWriter {
    std::string boot_id;
    Owner owner;
};

// The journal under its lock. Not shared between threads.
class LockedJournal {
  public:
    const std::vector<Entry>& entries() const { return entries_; }
    const std::vector<Change>& changes() const { return changes_; }
    // One line per damaged place; empty: sound.
    const std::vector<std::string>& damage() const { return damage_; }
    const JournalWriter& writer() const { return writer_; }

    // Fills in seq, times, boot id and owner; a planned entry's change number
    // is its own seq. Durable when it returns. On failure the file is as
    // before. Returns the entry as written. Needs kExclusive.
    Result<Entry> append(Entry entry);

  private:
    friend class Journal;
    LockedJournal() = default;
    Status read_all();

    Fd lock_;
    Fd file_;
    LockMode mode_ = LockMode::kShared;
    std::uint64_t size_ = 0;  // bytes of sound file
    std::vector<Entry> entries_;
    std::vector<Change> changes_;
    std::vector<std::string> damage_;
    JournalWriter writer_;
    Clock* clock_ = nullptr;
};

class Journal {
  public:
    // @clock is not owned and outlives the journal.
    Journal(std::string state_directory, JournalWriter writer, Clock& clock);

    // Waits for the lock. Makes directory and file (0700, 0600) when
    // exclusive; shared, a journal that does not exist yet is empty.
    Result<LockedJournal> lock(LockMode mode) const;

    const std::string& directory() const { return directory_; }
    const JournalWriter& writer() const { return writer_; }

  private:
    std::string directory_;
    JournalWriter writer_;
    Clock& clock_;
};

}  // namespace llamux
