// SPDX-License-Identifier: GPL-2.0-only
//
// See json_keys.hpp.
#include "core/json_keys.hpp"

#include <algorithm>

namespace llamux {
namespace {

// No configuration is deeper; keys below are not found.
constexpr int kMaxDepth = 16;

class Scanner {
  public:
    explicit Scanner(std::string_view text) : text_(text) {}

    JsonKeys run() {
        value("", 0);
        return std::move(keys_);
    }

  private:
    bool at(char c) const { return at_ < text_.size() && text_[at_] == c; }

    // Blanks and comments.
    void skip() {
        for (;;) {
            at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size());
            const std::string_view two = text_.substr(at_, 2);
            if (two == "//") {
                at_ = std::min(text_.find('\n', at_), text_.size());
            } else if (two == "/*") {
                const std::size_t end = text_.find("*/", at_ + 2);
                at_ = end == std::string_view::npos ? text_.size() : end + 2;
            } else {
                return;
            }
        }
    }

    // What stands between the quotes.
    std::string string() {
        const std::size_t first = ++at_;
        while (at_ < text_.size() && text_[at_] != '"') {
            at_ += text_[at_] == '\\' ? 2 : 1;
        }
        const std::size_t last = std::min(at_, text_.size());
        at_ = last + 1;
        return std::string(text_.substr(first, last - first));
    }

    void value(const std::string& path, int depth) {
        skip();
        if (depth > kMaxDepth) {
            at_ = text_.size();
        } else if (at('{')) {
            members(path, depth, '}');
        } else if (at('[')) {
            members(path, depth, ']');
        } else if (at('"')) {
            (void)string();
        } else {
            at_ = std::min(text_.find_first_of(",]} \t\r\n/", at_), text_.size());
        }
    }

    // Of an object or, without keys, of a list.
    void members(const std::string& path, int depth, char end) {
        at_++;
        for (skip(); at_ < text_.size() && !at(end); skip()) {
            std::string member = path;
            if (end == '}') {
                member = key(path);
                skip();
                at_++;  // the colon
            }
            value(member, depth + 1);
            skip();
            if (at(',')) {
                at_++;
            }
        }
        at_++;
    }

    std::string key(const std::string& path) {
        const std::size_t offset = at_;
        std::string member = (path.empty() ? "" : path + ".") + string();
        const bool is_new = keys_.offsets.insert_or_assign(member, offset).second;
        if (!is_new) {
            keys_.given_twice.push_back(member);
        }
        return member;
    }

    std::string_view text_;
    std::size_t at_ = 0;
    JsonKeys keys_;
};

}  // namespace

TextPosition position_of(std::string_view text, std::size_t offset) {
    const std::string_view before = text.substr(0, std::min(offset, text.size()));
    TextPosition position;
    position.line += static_cast<std::size_t>(std::count(before.begin(), before.end(), '\n'));
    const std::size_t newline = before.rfind('\n');
    position.column +=
        newline == std::string_view::npos ? before.size() : before.size() - newline - 1;
    return position;
}

JsonKeys find_json_keys(std::string_view text) {
    return Scanner(text).run();
}

}  // namespace llamux
