// SPDX-License-Identifier: GPL-2.0-only
//
// See experience_file.hpp.
#include "kernel/experience_file.hpp"

#include <cerrno>

#include "kernel/files.hpp"
#include "kernel/json_reader.hpp"

namespace llamux {

ExperienceFile::ExperienceFile(const std::string& state_directory)
    : path_(state_directory + "/experience.json") {}

Result<Experience> ExperienceFile::load() const {
    const Result<std::string> text = read_text(path_);
    if (!text) {
        return text.error().code == ENOENT ? Result<Experience>(Experience{}) : text.error();
    }
    const Result<Json> json = parse_json(*text);
    if (!json) {
        return json.error().in(path_);
    }
    JsonReader reader(*json);
    Experience experience;
    for (const Json& item : reader.array("lessons")) {
        experience.push_back(reader.take(lesson_from_json(item), "lessons"));
    }
    Result<Experience> read = reader.finish(std::move(experience));
    return read ? std::move(read) : read.error().in(path_);
}

Result<Experience> ExperienceFile::load_or_begin() const {
    Result<Experience> known = load();
    return !known && known.error().code == EBADMSG ? Result<Experience>(Experience{})
                                                   : std::move(known);
}

Status ExperienceFile::save(const Experience& experience) const {
    Json lessons = Json::array();
    for (const Lesson& lesson : experience) {
        lessons.push_back(to_json(lesson));
    }
    return replace_file(path_, dump_line(Json{{"lessons", std::move(lessons)}}) + "\n");
}

Status ExperienceFile::learn(const Change& change) const {
    if (!teaches(change)) {
        return {};
    }
    Result<Experience> experience = load_or_begin();
    if (!experience) {
        return experience.error();
    }
    llamux::learn(*experience, change);
    return save(*experience);
}

Status ExperienceFile::forget(llamux_action_kind kind) const {
    Result<Experience> experience = load_or_begin();
    if (!experience) {
        return experience.error();
    }
    const auto n_forgotten = std::erase_if(
        *experience, [&](const Lesson& lesson) { return lesson.kind == std::uint32_t{kind}; });
    return n_forgotten == 0 ? Status() : save(*experience);
}

}  // namespace llamux
