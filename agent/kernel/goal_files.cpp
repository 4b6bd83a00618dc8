// SPDX-License-Identifier: GPL-2.0-only
//
// See goal_files.hpp.
#include "kernel/goal_files.hpp"

#include <algorithm>
#include <cerrno>
#include <set>

#include "kernel/files.hpp"
#include "kernel/json_reader.hpp"

namespace llamux {
namespace {

bool is_word(const std::string& text) {
    return !text.empty() &&
           text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string::npos;
}

void refuse_unknown(const Json& json, const std::set<std::string>& known, JsonReader& reader) {
    for (const auto& [name, value] : json.items()) {
        if (!known.contains(name)) {
            reader.fail(name + " is not a field");
        }
    }
}

Result<GoalWish> wish_from_json(const Json& json) {
    JsonReader reader(json);
    GoalWish wish;
    const std::string knob = reader.string("knob");
    const ActionRow* row = action_row_of_knob(knob);
    if (!row || row->scope == LLAMUX_SCOPE_NONE || row->kind == LLAMUX_ACTION_MEMORY_RECLAIM) {
        reader.fail("'" + knob + "' is not a knob a goal can hold");
        return reader.finish(wish);
    }
    wish.kind = row->kind;
    wish.value = reader.number("value");
    if (wish.value < row->min || wish.value > row->max) {
        reader.fail(knob + " must be from " + std::to_string(row->min) + " to " +
                    std::to_string(row->max));
    }
    const std::string of = reader.has("of") ? reader.string("of") : "";
    if (of == "client") {
        wish.scope = GoalScope::kClient;
    } else if (of == "background") {
        wish.scope = GoalScope::kBackground;
    }
    const bool has_group = wish.scope != GoalScope::kSystem;
    if ((row->scope == LLAMUX_SCOPE_CGROUP) != has_group || (!of.empty() && !has_group)) {
        reader.fail(row->scope == LLAMUX_SCOPE_CGROUP
                        ? knob + " needs \"of\": \"client\" or \"background\""
                        : knob + " has no group");
    }
    if (json.is_object()) {
        refuse_unknown(json, {"knob", "of", "value"}, reader);
    }
    return reader.finish(wish);
}

Result<GoalProfile> profile_from_json(const Json& json) {
    JsonReader reader(json);
    GoalProfile profile;
    profile.name = reader.string("name");
    profile.title = reader.string("title");
    profile.phrase = reader.string("phrase");
    for (const Json& word : reader.array("words")) {
        profile.words.push_back(word.is_string() ? word.get<std::string>() : "");
        if (!is_word(profile.words.back())) {
            reader.fail("words has an entry that is no word in lower case");
        }
    }
    for (const Json& wish : reader.array("knobs")) {
        profile.wishes.push_back(reader.take(wish_from_json(wish), "knobs"));
    }
    if (!is_word(profile.name)) {
        reader.fail("name must be a word in lower case");
    }
    if (profile.phrase.empty() || profile.phrase.size() >= LLAMUX_PHRASE_MAX - 1) {
        reader.fail("phrase must have 1 to 126 bytes");
    }
    if (json.is_object()) {
        refuse_unknown(json, {"name", "title", "phrase", "words", "knobs"}, reader);
    }
    return reader.finish(std::move(profile));
}

Result<GoalProfile> read_profile(const std::string& path) {
    const Result<std::string> text = read_text(path);
    if (!text) {
        return text.error();
    }
    const Json json = Json::parse(*text, nullptr, false, true);
    if (json.is_discarded()) {
        return Error{EBADMSG, path + ": not JSON"};
    }
    Result<GoalProfile> profile = profile_from_json(json);
    return profile ? std::move(profile) : profile.error().in(path);
}

}  // namespace

Result<std::vector<GoalProfile>> read_goal_profiles(const std::string& directory) {
    Result<std::vector<std::string>> names = list_directory(directory);
    if (!names) {
        return names.error().in("goal profiles");
    }
    std::sort(names->begin(), names->end());
    std::vector<GoalProfile> profiles;
    for (const std::string& name : *names) {
        if (!name.ends_with(".json")) {
            continue;
        }
        Result<GoalProfile> profile = read_profile(directory + "/" + name);
        if (!profile) {
            return profile.error();
        }
        for (const GoalProfile& other : profiles) {
            if (other.name == profile->name) {
                return Error{EEXIST, directory + "/" + name + ": another file has the profile '" +
                                         other.name + "'"};
            }
        }
        profiles.push_back(std::move(*profile));
    }
    // The model ranks at most so many at once.
    if (profiles.empty() || profiles.size() > LLAMUX_MAX_CANDIDATES) {
        return Error{profiles.empty() ? ENOENT : E2BIG,
                     directory + ": needs 1 to " + std::to_string(LLAMUX_MAX_CANDIDATES) +
                         " profiles, has " + std::to_string(profiles.size())};
    }
    return profiles;
}

}  // namespace llamux
