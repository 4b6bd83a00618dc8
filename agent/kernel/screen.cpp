// SPDX-License-Identifier: GPL-2.0-only
//
// See screen.hpp.
#include "kernel/screen.hpp"

#define NCURSES_NOMACROS  // functions, which can be qualified
#include <ncurses.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace llamux {
namespace {

constexpr short kGreenPair = 1;
constexpr short kRedPair = 2;

attr_t attributes_of(Look look) {
    switch (look) {
        case Look::kBold:
            return A_BOLD;
        case Look::kDim:
            return A_DIM;
        case Look::kGreen:
            return has_colors() ? static_cast<attr_t>(COLOR_PAIR(kGreenPair)) : A_NORMAL;
        case Look::kRed:
            return has_colors() ? static_cast<attr_t>(COLOR_PAIR(kRedPair)) : A_BOLD;
        case Look::kReverse:
            return A_REVERSE;
        case Look::kPlain:
            break;
    }
    return A_NORMAL;
}

bool wants_no_colour() {
    const char* no_colour = std::getenv("NO_COLOR");
    return no_colour != nullptr && *no_colour != '\0';
}

}  // namespace

Result<Screen> Screen::open() {
    if (::isatty(STDIN_FILENO) != 1 || ::isatty(STDOUT_FILENO) != 1) {
        return Error{ENOTTY, "not a terminal"};
    }
    // ncurses counts characters by the locale; without one it shows bytes.
    (void)std::setlocale(LC_CTYPE, "");
    SCREEN* terminal = ::newterm(nullptr, stdout, stdin);
    if (!terminal) {
        const char* name = std::getenv("TERM");
        return Error{
            ENOTTY, std::string("can not draw on a terminal of type '") + (name ? name : "") + "'"};
    }
    ::cbreak();
    ::noecho();
    ::curs_set(0);
    ::keypad(stdscr, TRUE);
    ::set_escdelay(25);
    if (::has_colors() && !wants_no_colour()) {
        ::start_color();
        ::use_default_colors();
        ::init_pair(kGreenPair, COLOR_GREEN, -1);
        ::init_pair(kRedPair, COLOR_RED, -1);
    }
    return Screen(terminal);
}

Screen::Screen(Screen&& other) noexcept : terminal_(std::exchange(other.terminal_, nullptr)) {}

Screen::~Screen() {
    if (terminal_) {
        ::endwin();
        ::delscreen(static_cast<SCREEN*>(terminal_));
    }
}

std::size_t Screen::columns() const {
    return static_cast<std::size_t>(COLS);
}

std::size_t Screen::rows() const {
    return static_cast<std::size_t>(LINES);
}

void Screen::draw(const std::vector<ScreenLine>& lines) {
    ::erase();
    for (std::size_t i = 0; i < lines.size(); i++) {
        ::attrset(static_cast<int>(attributes_of(lines[i].look)));
        ::mvaddstr(static_cast<int>(i), 0, lines[i].text.c_str());
    }
    ::attrset(A_NORMAL);
    ::refresh();
}

KeyPress Screen::wait_for_key(std::chrono::milliseconds timeout) {
    ::timeout(static_cast<int>(timeout.count()));
    const int key = ::getch();
    switch (key) {
        case ERR:
            return {};
        case KEY_UP:
            return {Key::kUp};
        case KEY_DOWN:
            return {Key::kDown};
        case KEY_RESIZE:
            return {Key::kResize};
        default:
            break;
    }
    return key > ' ' && key < 127 ? KeyPress{Key::kCharacter, static_cast<char>(key)}
                                  : KeyPress{Key::kOther};
}

}  // namespace llamux
