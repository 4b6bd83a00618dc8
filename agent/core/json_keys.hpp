// SPDX-License-Identifier: GPL-2.0-only
//
// Where the keys of a JSON text stand, so that a mistake can be shown by line
// and column; the parser forgets it. Pure.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace llamux {

// Both from 1, as editors count; a column is a byte.
struct TextPosition {
    std::size_t line = 1;
    std::size_t column = 1;
};
TextPosition position_of(std::string_view text, std::size_t offset);

struct JsonKeys {
    // By path, "limits.cool_down_seconds"; of a key given twice the last, which
    // is the one that counts.
    std::map<std::string, std::size_t> offsets;
    std::vector<std::string> given_twice;
};

// @text: JSON that a parser has accepted, comments allowed. Keys are taken as
// they are spelled, escapes and all.
JsonKeys find_json_keys(std::string_view text);

}  // namespace llamux
