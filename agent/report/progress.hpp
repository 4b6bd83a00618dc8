// SPDX-License-Identifier: GPL-2.0-only
//
// How far a download is, in one line. Pure: time is handed in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace llamux {

class Progress {
  public:
    // @name: what is fetched. @terminal: a line that is drawn over; otherwise
    // one line for each tenth, so that a log stays short.
    Progress(std::string name, bool terminal, std::size_t columns)
        : name_(std::move(name)), terminal_(terminal), columns_(columns) {}

    // What to print now, with the control characters that it needs; empty:
    // nothing new. The first call is the start, from which the rate counts.
    std::string update(std::uint64_t have_bytes, std::uint64_t all_bytes, std::uint64_t now_ns);
    // Ends the line on a terminal, if there is one.
    std::string finish() const;

  private:
    std::string bar(unsigned permille, const std::string& numbers) const;

    std::string name_;
    bool terminal_;
    std::size_t columns_;
    bool has_begun_ = false;
    std::uint64_t first_bytes_ = 0;
    std::uint64_t first_ns_ = 0;
    std::uint64_t drawn_ns_ = 0;
    unsigned last_tenth_ = 0;
};

}  // namespace llamux
