// SPDX-License-Identifier: GPL-2.0-only
//
// See suggestion_store.hpp.
#include "kernel/suggestion_store.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "kernel/files.hpp"
#include "kernel/json.hpp"

namespace llamux {
namespace {

constexpr std::string_view kSuffix = ".json";

bool is_stored_name(std::string_view name) {
    return name.size() > kSuffix.size() && name.substr(name.size() - kSuffix.size()) == kSuffix;
}

bool is_id(std::string_view id) {
    return !id.empty() && id.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

Result<Suggestion> read_suggestion(const std::string& path) {
    Result<std::string> text = read_text(path);
    if (!text) {
        return text.error();
    }
    Result<Json> json = parse_json(*text);
    if (!json) {
        return json.error().in(path);
    }
    return suggestion_from_json(*json);
}

}  // namespace

SuggestionStore::SuggestionStore(const std::string& state_directory)
    : directory_(state_directory + "/suggestions") {}

Status SuggestionStore::save(const Suggestion& suggestion) const {
    if (!is_id(suggestion.id)) {
        return Error{EINVAL, "a suggestion without an id is not stored"};
    }
    if (Status made = make_directories(directory_, 0700); !made) {
        return made.error().in("suggestions");
    }
    const std::string path = directory_ + "/" + suggestion.id + std::string(kSuffix);
    const bool is_new = !path_exists(path);
    if (Status saved = replace_file(path, dump_line(to_json(suggestion)) + "\n"); !saved) {
        return saved;
    }
    if (!is_new) {
        return {};
    }
    const Result<std::vector<Suggestion>> stored = list();
    if (!stored) {
        return stored.error();
    }
    for (std::size_t i = kMaxStored; i < stored->size(); i++) {
        ::unlink((directory_ + "/" + (*stored)[i].id + std::string(kSuffix)).c_str());
    }
    return {};
}

Result<Suggestion> SuggestionStore::load(const std::string& id) const {
    if (!is_id(id)) {
        return Error{ENOENT, "'" + id + "' is no suggestion id (hexadecimal digits)"};
    }
    const Result<std::vector<std::string>> names = list_directory(directory_);
    std::vector<std::string> matching;
    if (names) {
        for (const std::string& name : *names) {
            if (is_stored_name(name) && name.substr(0, id.size()) == id) {
                matching.push_back(name);
            }
        }
    }
    if (matching.empty()) {
        return Error{ENOENT, "no suggestion " + id + " is stored"};
    }
    if (matching.size() > 1) {
        return Error{ENOTUNIQ, "more than one suggestion begins with " + id};
    }
    return read_suggestion(directory_ + "/" + matching[0]);
}

Result<std::vector<Suggestion>> SuggestionStore::list() const {
    const Result<std::vector<std::string>> names = list_directory(directory_);
    if (!names) {
        if (names.error().code == ENOENT) {
            return std::vector<Suggestion>{};
        }
        return names.error();
    }
    std::vector<Suggestion> stored;
    for (const std::string& name : *names) {
        if (!is_stored_name(name)) {
            continue;
        }
        if (Result<Suggestion> suggestion = read_suggestion(directory_ + "/" + name)) {
            stored.push_back(std::move(*suggestion));
        }
    }
    std::sort(stored.begin(), stored.end(),
              [](const Suggestion& a, const Suggestion& b) { return a.wall_ns > b.wall_ns; });
    return stored;
}

}  // namespace llamux
