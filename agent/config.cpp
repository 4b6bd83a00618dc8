// SPDX-License-Identifier: GPL-2.0-only
//
// See config.hpp. visit_fields() names every field once; one visitor reads
// them from a file, another one writes them out.
#include "config.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <set>

#include "core/catalogue.hpp"
#include "core/json_keys.hpp"
#include "kernel/files.hpp"

namespace llamux {
namespace {

using Json = nlohmann::ordered_json;

template <class Enum>
struct Word {
    std::string_view word;
    Enum value;
};
constexpr std::array<Word<OnExit>, 2> kOnExit = {
    {{"revert", OnExit::kRevert}, {"keep", OnExit::kKeep}}};
constexpr std::array<Word<KnobMode>, 3> kKnobModes = {
    {{"off", KnobMode::kOff}, {"advise", KnobMode::kAdvise}, {"apply", KnobMode::kApply}}};

// Ranges are what a careful administrator could mean; docs/AGENT.md has the
// meaning of each field.
template <class SomeConfig, class Visitor>
void visit_fields(SomeConfig& config, Visitor& visit) {
    visit.section("");
    visit.seconds("interval_seconds", 0.1, 3600, config.interval_ms);
    visit.integer("ask_again_seconds", 0, 3600, config.ask_again_seconds);
    visit.boolean("apply", config.policy.apply);
    visit.choice("on_exit", kOnExit, config.on_exit);
    visit.text("model", config.model);
    visit.integer("nice", -20, 19, config.nice);
    visit.integer("pause_model_permille", 0, 1000, config.pause_model_permille);
    visit.section("limits");
    visit.integer("changes_per_hour", 0, 1000, config.policy.changes_per_hour);
    visit.integer("cool_down_seconds", 0, 86400, config.policy.cool_down_seconds);
    visit.integer("retry_after_undo_seconds", 0, 86400, config.policy.retry_after_undo_seconds);
    visit.integer("reverse_after_seconds", 0, 86400, config.policy.reverse_after_seconds);
    visit.integer("quarantine_after_failures", 0, 100, config.policy.quarantine_after_failures);
    visit.section("measure");
    visit.integer("windows", 3, 60, config.measure.windows);
    visit.seconds("window_seconds", 0.1, 60, config.measure.window_ms);
    visit.seconds("settle_seconds", 0, 60, config.measure.settle_ms);
    visit.integer("return_windows", 0, 60, config.measure.return_windows);
    visit.integer("minimum_effect_permille", 10, 1000, config.measure.minimum_effect_permille);
    visit.section("groups");
    visit.patterns("protect", config.groups.protect);
    visit.patterns("background", config.groups.background);
    visit.patterns("latency", config.groups.latency);
    visit.section("models");
    visit.text("directory", config.models.directory);
    visit.text("host", config.models.host);
    visit.section("metrics");
    visit.loopback("listen", config.metrics.listen);
    visit.text("textfile", config.metrics.textfile);
    visit.section("knobs");
    for (std::uint32_t kind = 1; kind < LLAMUX_N_ACTIONS; kind++) {
        visit.choice(action_row(kind)->knob(), kKnobModes, config.policy.knobs[kind]);
    }
}

std::string path_of(const std::string& section, const std::string& name) {
    return section.empty() ? name : section + "." + name;
}

std::string trimmed(double value) {
    std::string number = std::to_string(value);
    number.erase(number.find_last_not_of('0') + 1);
    if (number.back() == '.') {
        number.pop_back();
    }
    return number;
}

// What is meant for this machine only is not offered to others by mistake.
bool is_loopback(std::string_view address) {
    const std::size_t colon = address.rfind(':');
    if (colon == std::string_view::npos) {
        return false;
    }
    const std::string_view host = address.substr(0, colon);
    const std::string_view port = address.substr(colon + 1);
    const bool is_port = !port.empty() && port.size() <= 5 &&
                         port.find_first_not_of("0123456789") == std::string_view::npos &&
                         std::stoi(std::string(port)) >= 1 && std::stoi(std::string(port)) <= 65535;
    return is_port && (host == "127.0.0.1" || host == "[::1]");
}

class FileReader {
  public:
    FileReader(std::string_view text, const Json& json, ConfigFile& out)
        : text_(text), json_(json), keys_(find_json_keys(text)), out_(out) {}

    void section(const std::string& name) {
        section_ = name;
        known_sections_.insert(name);
        object_ = nullptr;
        if (name.empty()) {
            object_ = &json_;
        } else if (json_.contains(name)) {
            if (json_[name].is_object()) {
                object_ = &json_[name];
            } else {
                complain(name, "must be an object");
            }
        }
    }

    void boolean(const std::string& name, bool& value) {
        const Json* json = find(name);
        if (json && check(json->is_boolean(), name, "must be true or false")) {
            value = json->get<bool>();
        }
    }

    template <class Integer>
    void integer(const std::string& name, std::int64_t min, std::int64_t max, Integer& value) {
        const Json* json = find(name);
        const bool fits = json && json->is_number_integer() && json->get<std::int64_t>() >= min &&
                          json->get<std::int64_t>() <= max;
        if (json && check(fits, name,
                          "must be a whole number from " + std::to_string(min) + " to " +
                              std::to_string(max))) {
            value = static_cast<Integer>(json->get<std::int64_t>());
        }
    }

    // Fractions allowed, kept in milliseconds.
    void seconds(const std::string& name, double min, double max, std::uint32_t& milliseconds) {
        const Json* json = find(name);
        const bool fits =
            json && json->is_number() && json->get<double>() >= min && json->get<double>() <= max;
        if (json &&
            check(fits, name,
                  "must be a number of seconds from " + trimmed(min) + " to " + trimmed(max))) {
            milliseconds = static_cast<std::uint32_t>(json->get<double>() * 1000 + 0.5);
        }
    }

    void text(const std::string& name, std::string& value) {
        const Json* json = find(name);
        if (json && check(json->is_string(), name, "must be text")) {
            value = json->get<std::string>();
        }
    }

    void loopback(const std::string& name, std::string& value) {
        std::string address = value;
        text(name, address);
        if (check(address.empty() || is_loopback(address), name,
                  "must be a loopback address with its port, such as \"127.0.0.1:9756\"")) {
            value = address;
        }
    }

    template <class Enum, std::size_t N>
    void choice(const std::string& name, const std::array<Word<Enum>, N>& words, Enum& value) {
        const Json* json = find(name);
        if (!json) {
            return;
        }
        std::string known;
        for (std::size_t i = 0; i < N; i++) {
            if (*json == words[i].word) {
                value = words[i].value;
                return;
            }
            known += (i == 0 ? "\"" : i + 1 < N ? ", \"" : " or \"");
            known += std::string(words[i].word) + "\"";
        }
        complain(path_of(section_, name), "must be " + known);
    }

    void patterns(const std::string& name, std::vector<std::string>& value) {
        const Json* json = find(name);
        if (!json || !check(json->is_array(), name,
                            "must be a list of cgroup paths such as \"/system.slice/*\"")) {
            return;
        }
        value.clear();
        for (const Json& item : *json) {
            const std::string pattern = item.is_string() ? item.get<std::string>() : "";
            if (check(!pattern.empty() && (pattern[0] == '/' || pattern[0] == '*'), name,
                      "has an entry that is no cgroup path: " + item.dump())) {
                value.push_back(pattern);
            }
        }
    }

    // After all fields were visited: what is there and is none of them.
    void finish() {
        for (const std::string& section_name : known_sections_) {
            if (section_name.empty()) {
                check_known(json_, "");
            } else if (json_.contains(section_name) && json_[section_name].is_object()) {
                check_known(json_[section_name], section_name);
            }
        }
        for (const std::string& path : keys_.given_twice) {
            complain(path, "is given twice");
        }
        std::stable_sort(out_.mistakes.begin(), out_.mistakes.end(),
                         [](const ConfigMistake& a, const ConfigMistake& b) {
                             return std::pair(a.line, a.column) < std::pair(b.line, b.column);
                         });
    }

  private:
    const Json* find(const std::string& name) {
        const std::string path = path_of(section_, name);
        known_fields_[section_].push_back(name);
        if (!object_ || !object_->contains(name)) {
            return nullptr;
        }
        out_.lines[path] = position(path).line;
        return &(*object_)[name];
    }

    bool check(bool good, const std::string& name, const std::string& what) {
        if (!good) {
            complain(path_of(section_, name), what);
        }
        return good;
    }

    void check_known(const Json& object, const std::string& in) {
        std::vector<std::string> known = known_fields_[in];
        if (in.empty()) {
            std::copy_if(known_sections_.begin(), known_sections_.end(), std::back_inserter(known),
                         [](const std::string& name) { return !name.empty(); });
        }
        std::string all;
        for (const std::string& name : known) {
            all += (all.empty() ? "" : ", ") + name;
        }
        for (const auto& [name, value] : object.items()) {
            if (std::find(known.begin(), known.end(), name) == known.end()) {
                complain(path_of(in, name), "is not a field; known: " + all);
            }
        }
    }

    TextPosition position(const std::string& path) const {
        const auto offset = keys_.offsets.find(path);
        return offset == keys_.offsets.end() ? TextPosition{0, 0}
                                             : position_of(text_, offset->second);
    }

    void complain(const std::string& path, const std::string& what) {
        const TextPosition where = position(path);
        out_.mistakes.push_back({where.line, where.column, path + " " + what});
    }

    std::string_view text_;
    const Json& json_;
    JsonKeys keys_;
    ConfigFile& out_;
    std::string section_;
    const Json* object_ = nullptr;  // of the section; nullptr: not given
    std::set<std::string> known_sections_;
    std::map<std::string, std::vector<std::string>> known_fields_;  // by section
};

class ValueWriter {
  public:
    void section(const std::string& name) { section_ = name; }
    void boolean(const std::string& name, bool value) { add(name, value); }
    template <class Integer>
    void integer(const std::string& name, std::int64_t, std::int64_t, Integer value) {
        add(name, value);
    }
    void seconds(const std::string& name, double, double, std::uint32_t milliseconds) {
        if (milliseconds % 1000 == 0) {
            add(name, milliseconds / 1000);
        } else {
            add(name, milliseconds / 1000.0);
        }
    }
    void text(const std::string& name, const std::string& value) { add(name, value); }
    void loopback(const std::string& name, const std::string& value) { add(name, value); }
    template <class Enum, std::size_t N>
    void choice(const std::string& name, const std::array<Word<Enum>, N>& words, Enum value) {
        for (const Word<Enum>& word : words) {
            if (word.value == value) {
                add(name, word.word);
            }
        }
    }
    void patterns(const std::string& name, const std::vector<std::string>& value) {
        add(name, value);
    }

    std::vector<ConfigValue> take() { return std::move(values_); }

  private:
    template <class Value>
    void add(const std::string& name, const Value& value) {
        values_.push_back({path_of(section_, name), Json(value).dump()});
    }

    std::string section_;
    std::vector<ConfigValue> values_;
};

// "[json.exception.parse_error.101] parse error at line 3, column 5: what".
// The position is counted anew from its byte, as editors count.
ConfigMistake syntax_mistake(const Json::parse_error& error, std::string_view text) {
    std::string what = error.what();
    if (const std::size_t colon = what.find(": "); colon != std::string::npos) {
        what = what.substr(colon + 2);
    }
    const TextPosition where = position_of(text, error.byte == 0 ? 0 : error.byte - 1);
    return {where.line, where.column, what};
}

Result<Config> without_mistakes(ConfigFile file, const std::string& name) {
    if (file.mistakes.empty()) {
        return std::move(file.config);
    }
    Error error{EINVAL, ""};
    for (const ConfigMistake& mistake : file.mistakes) {
        error.message += (error.message.empty() ? "" : "\n") + mistake.in_file(name);
    }
    return error;
}

}  // namespace

std::string ConfigMistake::in_file(const std::string& path) const {
    const std::string where =
        line == 0 ? "" : ":" + std::to_string(line) + ":" + std::to_string(column);
    return path + where + ": " + text;
}

ConfigFile parse_config(std::string_view text) {
    ConfigFile file;
    Json json;
    try {
        json = Json::parse(text, nullptr, true, true);
    } catch (const Json::parse_error& error) {
        file.mistakes.push_back(syntax_mistake(error, text));
        return file;
    }
    if (!json.is_object()) {
        file.mistakes.push_back({1, 1, "the file must be an object"});
        return file;
    }
    FileReader reader(text, json, file);
    visit_fields(file.config, reader);
    reader.finish();
    return file;
}

Result<ConfigFile> read_config_file(const std::string& path, bool must_exist) {
    const Result<std::string> text = read_text(path);
    if (text) {
        return parse_config(*text);
    }
    if (text.error().code == ENOENT && !must_exist) {
        return ConfigFile{};
    }
    return text.error().in("configuration");
}

Result<Config> load_config_text(std::string_view text, const std::string& name) {
    return without_mistakes(parse_config(text), name);
}

Result<Config> load_config(const std::string& path, bool must_exist) {
    Result<ConfigFile> file = read_config_file(path, must_exist);
    return file ? without_mistakes(std::move(*file), path) : file.error();
}

std::vector<ConfigValue> config_values(const Config& config) {
    ValueWriter writer;
    visit_fields(config, writer);
    return writer.take();
}

}  // namespace llamux
