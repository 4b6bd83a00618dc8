// SPDX-License-Identifier: GPL-2.0-only
//
// See progress.hpp.
#include "report/progress.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "core/clock.hpp"

namespace llamux {
namespace {

// More often a terminal over a slow line would flicker.
constexpr std::uint64_t kRedrawNs = kNsPerSecond / 10;
constexpr std::size_t kLongestBar = 40;

double megabytes(std::uint64_t bytes) {
    return static_cast<double>(bytes) / 1e6;
}

}  // namespace

std::string Progress::update(std::uint64_t have_bytes, std::uint64_t all_bytes,
                             std::uint64_t now_ns) {
    const bool is_first = !has_begun_;
    if (is_first) {
        has_begun_ = true;
        first_bytes_ = have_bytes;
        first_ns_ = now_ns;
    }
    const bool is_complete = have_bytes >= all_bytes;
    const auto permille =
        static_cast<unsigned>(all_bytes == 0 ? 1000 : have_bytes * 1000 / all_bytes);
    const bool is_new_tenth = permille / 100 != last_tenth_;
    const bool is_due = terminal_ ? is_complete || now_ns >= drawn_ns_ + kRedrawNs : is_new_tenth;
    if (!is_first && !is_due) {
        return "";
    }
    drawn_ns_ = now_ns;
    last_tenth_ = permille / 100;
    std::string numbers = fmt::format("{:3} %  {:.1f} of {:.1f} MB", permille / 10,
                                      megabytes(have_bytes), megabytes(all_bytes));
    const std::uint64_t took_ns = now_ns - first_ns_;
    if (took_ns > 0 && have_bytes > first_bytes_) {
        const double per_second =
            static_cast<double>(have_bytes - first_bytes_) * 1e9 / static_cast<double>(took_ns);
        numbers += fmt::format("  {:.1f} MB/s", per_second / 1e6);
        if (!is_complete) {
            numbers += fmt::format("  {:.0f} s left",
                                   static_cast<double>(all_bytes - have_bytes) / per_second);
        }
    }
    // \x1b[K: the last line may have been longer.
    return terminal_ ? "\r" + bar(permille, numbers) + "\x1b[K"
                     : fmt::format("{}: {}\n", name_, numbers);
}

std::string Progress::bar(unsigned permille, const std::string& numbers) const {
    const std::size_t taken = name_.size() + numbers.size() + 6;
    if (columns_ < taken + 10) {
        return fmt::format("{}  {}", name_, numbers).substr(0, columns_);
    }
    const std::size_t length = std::min(columns_ - taken, kLongestBar);
    const std::size_t filled = length * permille / 1000;
    return fmt::format("{} [{}{}] {}", name_, std::string(filled, '#'),
                       std::string(length - filled, '.'), numbers);
}

std::string Progress::finish() const {
    return terminal_ && has_begun_ ? "\n" : "";
}

}  // namespace llamux
