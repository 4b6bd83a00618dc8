// SPDX-License-Identifier: GPL-2.0-only
//
// Text for a terminal or a file: untrusted bytes made harmless, units written
// the way people read them, lines that fit. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace llamux {

// Names and model words may hold anything; a terminal must not obey them.
// Control characters and bytes that are not UTF-8 become \xNN; newlines too.
std::string printable(std::string_view untrusted);

// Breaks at spaces so that no line is longer than @columns characters; every
// line starts with @indent. A longer word has a line of its own.
std::string wrap(std::string_view text, std::size_t columns, std::string_view indent);

// A value in the unit of an evidence source (core/catalogue.hpp): "permille"
// 413 is "41.3 %", "us" 23400 is "23.4 ms", "/s" 17 is "17 /s".
std::string format_measure(std::uint64_t value, std::string_view unit);

// "12 s ago", "3 min ago".
std::string format_age(std::uint64_t seconds);

// Colours, or nothing where they are not wanted (no terminal, NO_COLOR).
class Style {
  public:
    explicit Style(bool colour) : colour_(colour) {}

    [[nodiscard]] std::string bold(std::string_view text) const { return in("1", text); }
    [[nodiscard]] std::string dim(std::string_view text) const { return in("2", text); }
    [[nodiscard]] std::string good(std::string_view text) const { return in("32", text); }
    [[nodiscard]] std::string bad(std::string_view text) const { return in("31", text); }

  private:
    [[nodiscard]] std::string in(std::string_view code, std::string_view text) const;

    bool colour_;
};

// Left-aligned columns, two spaces apart; the last one is cut so that a line
// has at most @columns characters.
class Table {
  public:
    explicit Table(std::vector<std::string> header) { rows_.push_back(std::move(header)); }

    void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
    [[nodiscard]] std::string text(std::size_t columns) const;

  private:
    std::vector<std::vector<std::string>> rows_;
};

// Characters as a terminal counts them, one per code point.
std::size_t width(std::string_view utf8);

}  // namespace llamux
