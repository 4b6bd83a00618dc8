// SPDX-License-Identifier: GPL-2.0-only
//
// Reads the fields of one JSON object, and keeps the first thing that is wrong
// with them. Files are input: no field is taken on trust.
#pragma once

#include <cerrno>
#include <cstdint>
#include <string>
#include <utility>

#include "core/result.hpp"
#include "kernel/json.hpp"
#include "llamux/telemetry.h"

namespace llamux {

// @json is not owned and outlives the reader.
class JsonReader {
  public:
    explicit JsonReader(const Json& json) : json_(json) {
        if (!json.is_object()) {
            fail("not an object");
        }
    }

    std::uint64_t number(const char* key) {
        const Json* field = find(key);
        if (!field) {
            return 0;
        }
        if (field->is_number_unsigned()) {
            return field->get<std::uint64_t>();
        }
        if (field->is_number_integer() && field->get<std::int64_t>() >= 0) {
            return static_cast<std::uint64_t>(field->get<std::int64_t>());
        }
        if (*field == "unknown") {
            return LLAMUX_UNKNOWN;
        }
        if (*field == "max") {
            return LLAMUX_NO_LIMIT;
        }
        return fail(std::string(key) + " is no number"), 0;
    }

    std::uint32_t small_number(const char* key) {
        const std::uint64_t value = number(key);
        if (value > UINT32_MAX) {
            return fail(std::string(key) + " is too large"), 0;
        }
        return static_cast<std::uint32_t>(value);
    }

    std::int64_t signed_number(const char* key) {
        const Json* field = find(key);
        if (field && field->is_number_integer()) {
            return field->get<std::int64_t>();
        }
        return fail(std::string(key) + " is no number"), 0;
    }

    double real(const char* key) {
        const Json* field = find(key);
        if (field && field->is_number()) {
            return field->get<double>();
        }
        return fail(std::string(key) + " is no number"), 0;
    }

    bool boolean(const char* key) {
        const Json* field = find(key);
        if (field && field->is_boolean()) {
            return field->get<bool>();
        }
        return fail(std::string(key) + " is not true or false"), false;
    }

    std::string string(const char* key) {
        const Json* field = find(key);
        if (field && field->is_string()) {
            return field->get<std::string>();
        }
        return fail(std::string(key) + " is no text"), std::string();
    }

    const Json& array(const char* key) {
        static const Json kEmpty = Json::array();
        const Json* field = find(key);
        if (field && field->is_array()) {
            return *field;
        }
        fail(std::string(key) + " is no list");
        return kEmpty;
    }

    const Json& object(const char* key) {
        static const Json kEmpty = Json::object();
        const Json* field = find(key);
        if (field && field->is_object()) {
            return *field;
        }
        fail(std::string(key) + " is no object");
        return kEmpty;
    }

    bool has(const char* key) const { return json_.is_object() && json_.contains(key); }

    void fail(std::string what) {
        if (error_.message.empty()) {
            error_ = Error{EBADMSG, std::move(what)};
        }
    }
    template <class T>
    T take(Result<T> part, const char* key) {
        if (part) {
            return std::move(*part);
        }
        fail(std::string(key) + ": " + part.error().message);
        return T{};
    }
    template <class T>
    Result<T> finish(T value) const {
        if (!error_.message.empty()) {
            return error_;
        }
        return value;
    }

  private:
    const Json* find(const char* key) {
        if (!has(key)) {
            fail(std::string(key) + " is missing");
            return nullptr;
        }
        return &json_[key];
    }

    const Json& json_;
    Error error_;
};

}  // namespace llamux
