// SPDX-License-Identifier: GPL-2.0-only
//
// Catches a wrong idea of what UTF-8 is: overlong forms, surrogates, ends of
// ranges, and the difference between "wrong" and "not complete yet". Expected
// values: glibc's iconv, and RFC 3629 for how many bytes are missing.
#include <gtest/gtest.h>
#include <iconv.h>

#include <array>
#include <cerrno>
#include <string>

extern "C" {
#include "engine/utf8.h"
}

namespace llamux {
namespace {

class Iconv {
  public:
    Iconv() : converter_(iconv_open("UTF-32LE", "UTF-8")) {}
    ~Iconv() { iconv_close(converter_); }
    Iconv(const Iconv&) = delete;
    Iconv& operator=(const Iconv&) = delete;

    // What llx_utf8_sequence() should say about the first character.
    int sequence(const std::string& text) {
        for (std::size_t length = 1; length <= text.size() && length <= 4; ++length) {
            if (is_character(text.substr(0, length)))
                return static_cast<int>(length);
        }
        return can_be_completed(text) ? 0 : -EILSEQ;
    }

  private:
    bool is_character(std::string text) {
        std::array<char, 4> out{};
        char* from = text.data();
        char* to = out.data();
        std::size_t from_left = text.size();
        std::size_t to_left = out.size();
        iconv(converter_, nullptr, nullptr, nullptr, nullptr);
        return iconv(converter_, &from, &from_left, &to, &to_left) != static_cast<std::size_t>(-1);
    }

    // iconv calls a start incomplete even when nothing can complete it.
    bool can_be_completed(const std::string& text) {
        if (text.size() >= 4)
            return false;
        for (const char next : {'\x80', '\x8f', '\x90', '\x9f', '\xa0', '\xbf'}) {
            if (is_character(text + next) || can_be_completed(text + next))
                return true;
        }
        return false;
    }

    iconv_t converter_;
};

TEST(Utf8, AgreesWithIconvOnAllShortTexts) {
    Iconv expected;
    for (int first = 0; first < 256; ++first) {
        std::string text(1, static_cast<char>(first));
        ASSERT_EQ(llx_utf8_sequence(text.data(), 1), expected.sequence(text)) << first;
        for (int second = 0; second < 256; ++second) {
            text = {static_cast<char>(first), static_cast<char>(second)};
            ASSERT_EQ(llx_utf8_sequence(text.data(), 2), expected.sequence(text))
                << first << " " << second;
        }
    }
}

TEST(Utf8, AgreesWithIconvAtTheEndsOfRanges) {
    Iconv expected;
    const std::array<int, 12> bytes = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90,
                                       0x9f, 0xa0, 0xbf, 0xc0, 0xe0, 0xff};
    for (int first = 0xc0; first < 256; ++first)
        for (const int second : bytes)
            for (const int third : bytes)
                for (const int fourth : bytes) {
                    std::string text;
                    for (const int byte : {first, second, third, fourth}) {
                        text += static_cast<char>(byte);
                        ASSERT_EQ(llx_utf8_sequence(text.data(), text.size()),
                                  expected.sequence(text))
                            << first << " " << second << " " << third << " " << fourth;
                    }
                }
}

TEST(Utf8, GivesCodePoints) {
    for (std::uint32_t point = 0; point < 0x110000; ++point) {
        std::string text;
        if (point < 0x80)
            text = {static_cast<char>(point)};
        else if (point < 0x800)
            text = {static_cast<char>(0xc0 | point >> 6), static_cast<char>(0x80 | (point & 63))};
        else if (point < 0x10000)
            text = {static_cast<char>(0xe0 | point >> 12),
                    static_cast<char>(0x80 | (point >> 6 & 63)),
                    static_cast<char>(0x80 | (point & 63))};
        else
            text = {static_cast<char>(0xf0 | point >> 18),
                    static_cast<char>(0x80 | (point >> 12 & 63)),
                    static_cast<char>(0x80 | (point >> 6 & 63)),
                    static_cast<char>(0x80 | (point & 63))};
        ASSERT_EQ(llx_utf8_point(text.data(), static_cast<u32>(text.size())), point);
    }
}

TEST(Utf8, WholeTexts) {
    EXPECT_TRUE(llx_utf8_is_valid("", 0));
    EXPECT_TRUE(llx_utf8_is_valid("a\0b", 3));
    EXPECT_TRUE(llx_utf8_is_valid("caf\xc3\xa9 \xf0\x9f\xa6\x99", 10));
    EXPECT_FALSE(llx_utf8_is_valid("caf\xc3", 4));
    EXPECT_FALSE(
        llx_utf8_is_valid("a\xff"
                          "b",
                          3));
}

}  // namespace
}  // namespace llamux
