// SPDX-License-Identifier: GPL-2.0-only
#include "report/narration.hpp"

#include <algorithm>
#include <cctype>

#include "report/text.hpp"

namespace llamux {
namespace {

constexpr std::string_view kGroup = "group ";

bool is_letter_or_digit(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0;
}

bool has_digit(std::string_view text) {
    return std::any_of(text.begin(), text.end(),
                       [](unsigned char c) { return std::isdigit(c) != 0; });
}

// Where the first sentence ends (one past its last byte), or npos.
std::size_t sentence_end(std::string_view text) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\n') {
            return i + 1;
        }
        const bool stop = text[i] == '.' || text[i] == '!' || text[i] == '?';
        if (stop && i + 1 < text.size() && (text[i + 1] == ' ' || text[i + 1] == '\n')) {
            return i + 1;
        }
    }
    return std::string_view::npos;
}

}  // namespace

Narration::Narration(std::vector<std::string> group_names) : group_names_(std::move(group_names)) {}

std::string Narration::feed(std::string_view bytes) {
    pending_ += bytes;
    std::string out;
    for (std::size_t end = sentence_end(pending_); end != std::string::npos;
         end = sentence_end(pending_)) {
        out += passed(std::string_view(pending_).substr(0, end));
        pending_.erase(0, end);
    }
    return out;
}

std::string Narration::finish() {
    std::string out = passed(pending_);
    pending_.clear();
    return out;
}

std::string Narration::passed(std::string_view sentence) {
    while (!sentence.empty() && (sentence.front() == ' ' || sentence.front() == '\n')) {
        sentence.remove_prefix(1);
    }
    while (!sentence.empty() && sentence.back() == '\n') {
        sentence.remove_suffix(1);
    }
    if (sentence.empty()) {
        return {};
    }
    if (has_digit(sentence)) {
        ++dropped_;
        return {};
    }
    std::string out;
    std::size_t at = 0;
    while (at < sentence.size()) {
        const std::size_t letter = at + kGroup.size();
        const bool whole_word =
            (at == 0 || !is_letter_or_digit(sentence[at - 1])) && letter < sentence.size() &&
            (letter + 1 == sentence.size() || !is_letter_or_digit(sentence[letter + 1]));
        // "group A", and "Group A" at the start of a sentence.
        if (whole_word && sentence.substr(at + 1, kGroup.size() - 1) == kGroup.substr(1) &&
            (sentence[at] == 'g' || sentence[at] == 'G') && sentence[letter] >= 'A' &&
            static_cast<std::size_t>(sentence[letter] - 'A') < group_names_.size()) {
            out += group_names_[static_cast<std::size_t>(sentence[letter] - 'A')];
            at = letter + 1;
        } else {
            out += sentence[at++];
        }
    }
    return printable(out) + " ";
}

}  // namespace llamux
