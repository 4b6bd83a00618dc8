// SPDX-License-Identifier: GPL-2.0-only
//
// A terminal that is drawn on as a whole, by ncurses: lines in a few looks,
// and keys. Knows nothing of what it shows.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "core/result.hpp"

namespace llamux {

enum class Look { kPlain, kBold, kDim, kGreen, kRed, kReverse };

struct ScreenLine {
    std::string text;
    Look look = Look::kPlain;
};

// What of the keyboard concerns us; other keys are kOther.
enum class Key { kNone, kUp, kDown, kResize, kOther, kCharacter };
struct KeyPress {
    Key key = Key::kNone;
    char character = 0;
};

// One per process. The terminal is as it was when this ends.
class Screen {
  public:
    // ENOTTY: standard input or output is no terminal, or one without a cursor.
    static Result<Screen> open();
    Screen(Screen&& other) noexcept;
    Screen& operator=(Screen&&) = delete;
    ~Screen();

    std::size_t columns() const;
    std::size_t rows() const;
    void draw(const std::vector<ScreenLine>& lines);
    // kNone: none came within the time, or a signal did.
    KeyPress wait_for_key(std::chrono::milliseconds timeout);

  private:
    explicit Screen(void* terminal) : terminal_(terminal) {}

    void* terminal_;  // SCREEN of ncurses
};

}  // namespace llamux
