// SPDX-License-Identifier: GPL-2.0-only
#include "report/text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace llamux {
namespace {

// Bytes of the UTF-8 sequence at the start of @text, 0 if it is not valid
// (Unicode 15, table 3-7).
std::size_t sequence_length(std::string_view text) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char first = byte(0);
    std::size_t length = 0;
    unsigned char low = 0x80;
    unsigned char high = 0xbf;
    if (first < 0x80) {
        return 1;
    }
    if (first >= 0xc2 && first <= 0xdf) {
        length = 2;
    } else if (first >= 0xe0 && first <= 0xef) {
        length = 3;
        low = first == 0xe0 ? 0xa0 : 0x80;
        high = first == 0xed ? 0x9f : 0xbf;
    } else if (first >= 0xf0 && first <= 0xf4) {
        length = 4;
        low = first == 0xf0 ? 0x90 : 0x80;
        high = first == 0xf4 ? 0x8f : 0xbf;
    }
    if (length == 0 || text.size() < length || byte(1) < low || byte(1) > high) {
        return 0;
    }
    for (std::size_t i = 2; i < length; ++i) {
        if (byte(i) < 0x80 || byte(i) > 0xbf) {
            return 0;
        }
    }
    return length;
}

bool is_control(std::string_view sequence) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(sequence[i]); };
    if (sequence.size() == 1) {
        return byte(0) < 0x20 || byte(0) == 0x7f;
    }
    // C1 controls; U+200E, U+200F, U+202A..E and U+2066..9 turn the direction of text.
    if (sequence.size() == 2) {
        return byte(0) == 0xc2 && byte(1) < 0xa0;
    }
    if (sequence.size() == 3 && byte(0) == 0xe2) {
        return (byte(1) == 0x80 &&
                (byte(2) == 0x8e || byte(2) == 0x8f || (byte(2) >= 0xaa && byte(2) <= 0xae))) ||
               (byte(1) == 0x81 && byte(2) >= 0xa6 && byte(2) <= 0xa9);
    }
    return false;
}

std::string scaled(std::uint64_t value, double divisor, std::string_view unit) {
    const double number = static_cast<double>(value) / divisor;
    return fmt::format("{:.{}f} {}", number, number < 100 ? 1 : 0, unit);
}

}  // namespace

std::string printable(std::string_view untrusted) {
    std::string out;
    while (!untrusted.empty()) {
        const std::size_t length = sequence_length(untrusted);
        const std::size_t taken = std::max<std::size_t>(length, 1);
        if (length == 0 || is_control(untrusted.substr(0, length))) {
            for (const char c : untrusted.substr(0, taken)) {
                out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
            }
        } else {
            out += untrusted.substr(0, length);
        }
        untrusted.remove_prefix(taken);
    }
    return out;
}

std::size_t width(std::string_view utf8) {
    return static_cast<std::size_t>(
        std::count_if(utf8.begin(), utf8.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string wrap(std::string_view text, std::size_t columns, std::string_view indent) {
    std::string out;
    std::size_t used = 0;  // characters of the present line, 0: none yet
    while (!text.empty()) {
        const std::size_t space = std::min(text.find(' '), text.size());
        const std::string_view word = text.substr(0, space);
        text.remove_prefix(std::min(space + 1, text.size()));
        if (word.empty()) {
            continue;
        }
        if (used > 0 && used + 1 + width(word) > columns) {
            out += '\n';
            used = 0;
        }
        out += used == 0 ? indent : " ";
        used += (used == 0 ? width(indent) : 1) + width(word);
        out += word;
    }
    return out;
}

std::string format_measure(std::uint64_t value, std::string_view unit) {
    if (unit == "permille") {
        return scaled(value, 10.0, "%");
    }
    if (unit == "us" || unit == "us/s") {
        const std::string_view per = unit == "us" ? "" : "/s";
        if (value < 1000) {
            return fmt::format("{} us{}", value, per);
        }
        return value < 1'000'000 ? scaled(value, 1e3, fmt::format("ms{}", per))
                                 : scaled(value, 1e6, fmt::format("s{}", per));
    }
    if (unit == "KiB/s") {
        return value < 1024 ? fmt::format("{} KiB/s", value) : scaled(value, 1024.0, "MiB/s");
    }
    return fmt::format("{} {}", value, unit);
}

std::string format_age(std::uint64_t seconds) {
    if (seconds < 120) {
        return fmt::format("{} s ago", seconds);
    }
    if (seconds < 7200) {
        return fmt::format("{} min ago", seconds / 60);
    }
    return seconds < 172800 ? fmt::format("{} h ago", seconds / 3600)
                            : fmt::format("{} days ago", seconds / 86400);
}

std::string Style::in(std::string_view code, std::string_view text) const {
    return colour_ ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : std::string(text);
}

std::string Table::text(std::size_t columns) const {
    std::vector<std::size_t> widths(rows_.front().size(), 0);
    for (const auto& row : rows_) {
        for (std::size_t i = 0; i < row.size() && i < widths.size(); ++i) {
            widths[i] = std::max(widths[i], width(row[i]));
        }
    }
    std::string out;
    for (const auto& row : rows_) {
        std::string line;
        for (std::size_t i = 0; i < row.size(); ++i) {
            line += row[i];
            if (i + 1 < row.size()) {
                line.append(widths[i] - width(row[i]) + 2, ' ');
            }
        }
        while (width(line) > columns) {
            line.pop_back();
        }
        out += line + '\n';
    }
    return out;
}

}  // namespace llamux
