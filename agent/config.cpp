// SPDX-License-Identifier: GPL-2.0-only
//
// See config.hpp. Each object of the file is one function that names its
// fields; whatever it did not name is reported as unknown.
#include "config.hpp"

#include <cerrno>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "core/catalogue.hpp"
#include "kernel/files.hpp"

namespace llamux {
namespace {

using Json = nlohmann::ordered_json;
using Errors = std::vector<std::string>;

// One object of the file: fields by name, each with its reader.
class Section {
  public:
    Section(std::string prefix, Errors& errors) : prefix_(std::move(prefix)), errors_(errors) {}

    void field(const char* name, std::function<void(const Json&)> reader) {
        readers_[name] = std::move(reader);
    }

    void boolean(const char* name, bool& value) {
        field(name, [this, name, &value](const Json& json) {
            if (!json.is_boolean()) {
                return complain(name, "must be true or false");
            }
            value = json.get<bool>();
        });
    }

    template <class Integer>
    void integer(const char* name, std::int64_t min, std::int64_t max, Integer& value) {
        field(name, [this, name, min, max, &value](const Json& json) {
            const bool fits = json.is_number_integer() && json.get<std::int64_t>() >= min &&
                              json.get<std::int64_t>() <= max;
            if (!fits) {
                return complain(name, "must be a whole number from " + std::to_string(min) +
                                          " to " + std::to_string(max));
            }
            value = static_cast<Integer>(json.get<std::int64_t>());
        });
    }

    // Seconds, fractions allowed, kept in milliseconds.
    void seconds(const char* name, double min, double max, std::uint32_t& milliseconds) {
        field(name, [this, name, min, max, &milliseconds](const Json& json) {
            const bool fits =
                json.is_number() && json.get<double>() >= min && json.get<double>() <= max;
            if (!fits) {
                return complain(name, "must be a number of seconds from " + trimmed(min) + " to " +
                                          trimmed(max));
            }
            milliseconds = static_cast<std::uint32_t>(json.get<double>() * 1000 + 0.5);
        });
    }

    void text(const char* name, std::string& value) {
        field(name, [this, name, &value](const Json& json) {
            if (!json.is_string()) {
                return complain(name, "must be text");
            }
            value = json.get<std::string>();
        });
    }

    void patterns(const char* name, std::vector<std::string>& value) {
        field(name, [this, name, &value](const Json& json) {
            value.clear();
            if (!json.is_array()) {
                return complain(name, "must be a list of cgroup paths such as \"/system.slice/*\"");
            }
            for (const Json& item : json) {
                const std::string pattern = item.is_string() ? item.get<std::string>() : "";
                if (pattern.empty() || (pattern[0] != '/' && pattern[0] != '*')) {
                    return complain(name, "has an entry that is no cgroup path: " + item.dump());
                }
                value.push_back(pattern);
            }
        });
    }

    void read(const Json& json) {
        if (!json.is_object()) {
            errors_.push_back((prefix_.empty() ? "the file" : prefix_) + " must be an object");
            return;
        }
        for (const auto& [name, value] : json.items()) {
            const auto reader = readers_.find(name);
            if (reader == readers_.end()) {
                complain(name, "is not a field; known: " + known_fields());
            } else {
                reader->second(value);
            }
        }
    }

    void complain(const std::string& name, const std::string& what) {
        errors_.push_back((prefix_.empty() ? name : prefix_ + "." + name) + " " + what);
    }

  private:
    std::string known_fields() const {
        std::string all;
        for (const auto& [name, reader] : readers_) {
            all += (all.empty() ? "" : ", ") + name;
        }
        return all;
    }

    static std::string trimmed(double value) {
        std::string number = std::to_string(value);
        number.erase(number.find_last_not_of('0') + 1);
        if (number.back() == '.') {
            number.pop_back();
        }
        return number;
    }

    std::string prefix_;
    Errors& errors_;
    std::map<std::string, std::function<void(const Json&)>> readers_;
};

void read_limits(const Json& json, Config& config, Errors& errors) {
    Section section("limits", errors);
    section.integer("changes_per_hour", 0, 1000, config.policy.changes_per_hour);
    section.integer("cool_down_seconds", 0, 86400, config.policy.cool_down_seconds);
    section.integer("retry_after_undo_seconds", 0, 86400, config.policy.retry_after_undo_seconds);
    section.read(json);
}

void read_measure(const Json& json, Config& config, Errors& errors) {
    Section section("measure", errors);
    section.integer("windows", 3, 60, config.measure.windows);
    section.seconds("window_seconds", 0.1, 60, config.measure.window_ms);
    section.seconds("settle_seconds", 0, 60, config.measure.settle_ms);
    section.integer("minimum_effect_permille", 10, 1000, config.measure.minimum_effect_permille);
    section.read(json);
}

void read_groups(const Json& json, Config& config, Errors& errors) {
    Section section("groups", errors);
    section.patterns("protect", config.groups.protect);
    section.patterns("background", config.groups.background);
    section.patterns("latency", config.groups.latency);
    section.read(json);
}

void read_knobs(const Json& json, Config& config, Errors& errors) {
    Section section("knobs", errors);
    for (std::uint32_t kind = 1; kind < LLAMUX_N_ACTIONS; kind++) {
        KnobMode& mode = config.policy.knobs[kind];
        const std::string knob = action_row(kind)->knob();
        section.field(action_row(kind)->knob().c_str(), [&section, &mode, knob](const Json& value) {
            if (value == "off") {
                mode = KnobMode::kOff;
            } else if (value == "advise") {
                mode = KnobMode::kAdvise;
            } else if (value == "apply") {
                mode = KnobMode::kApply;
            } else {
                section.complain(knob, "must be \"off\", \"advise\" or \"apply\"");
            }
        });
    }
    section.read(json);
}

}  // namespace

Config parse_config(std::string_view text, std::vector<std::string>& errors) {
    Config config;
    Json json;
    try {
        json = Json::parse(text, nullptr, true, true);
    } catch (const Json::parse_error& error) {
        // "[json.exception.parse_error.101] parse error at line 3, column 5: ..."
        std::string what = error.what();
        const std::size_t bracket = what.find("] ");
        errors.push_back(bracket == std::string::npos ? what : what.substr(bracket + 2));
        return config;
    }
    Section section("", errors);
    section.seconds("interval_seconds", 0.1, 3600, config.interval_ms);
    section.integer("ask_again_seconds", 0, 3600, config.ask_again_seconds);
    section.boolean("apply", config.policy.apply);
    section.field("on_exit", [&](const Json& value) {
        if (value == "revert") {
            config.on_exit = OnExit::kRevert;
        } else if (value == "keep") {
            config.on_exit = OnExit::kKeep;
        } else {
            section.complain("on_exit", "must be \"revert\" or \"keep\"");
        }
    });
    section.text("model", config.model);
    section.integer("nice", -20, 19, config.nice);
    section.field("limits", [&](const Json& value) { read_limits(value, config, errors); });
    section.field("measure", [&](const Json& value) { read_measure(value, config, errors); });
    section.field("groups", [&](const Json& value) { read_groups(value, config, errors); });
    section.field("knobs", [&](const Json& value) { read_knobs(value, config, errors); });
    section.read(json);
    return config;
}

Result<Config> load_config(const std::string& path, bool must_exist) {
    const Result<std::string> text = read_text(path);
    if (!text) {
        if (text.error().code == ENOENT && !must_exist) {
            return Config{};
        }
        return text.error().in("configuration");
    }
    std::vector<std::string> errors;
    Config config = parse_config(*text, errors);
    if (errors.empty()) {
        return config;
    }
    Error error{EINVAL, ""};
    for (const std::string& line : errors) {
        error.message += (error.message.empty() ? "" : "\n") + path + ": " + line;
    }
    return error;
}

}  // namespace llamux
