// SPDX-License-Identifier: GPL-2.0-only
//
// A value or an Error. Recoverable failure is a return value everywhere in the
// agent; exceptions do not cross modules. Context is added as the error rises.
#pragma once

#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace llamux {

struct Error {
    int code = 0;  // errno, 0 where none fits
    std::string message;

    // The same error with what was attempted in front of it.
    [[nodiscard]] Error in(std::string_view what) const {
        return Error{code, std::string(what) + ": " + message};
    }
};

// "what: No such file or directory".
inline Error errno_error(int code, std::string_view what) {
    return Error{code, std::string(what) + ": " + std::strerror(code)};
}

template <class T>
class [[nodiscard]] Result {
  public:
    Result(T value) : state_(std::move(value)) {}
    Result(Error error) : state_(std::move(error)) {}

    [[nodiscard]] bool ok() const { return state_.index() == 0; }
    explicit operator bool() const { return ok(); }

    T& value() & { return std::get<0>(state_); }
    const T& value() const& { return std::get<0>(state_); }
    T&& value() && { return std::get<0>(std::move(state_)); }
    T& operator*() & { return value(); }
    const T& operator*() const& { return value(); }
    T&& operator*() && { return std::get<0>(std::move(state_)); }
    T* operator->() { return &value(); }
    const T* operator->() const { return &value(); }

    const Error& error() const { return std::get<1>(state_); }

  private:
    std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
  public:
    Result() = default;
    Result(Error error) : error_(std::move(error)), failed_(true) {}

    [[nodiscard]] bool ok() const { return !failed_; }
    explicit operator bool() const { return ok(); }
    const Error& error() const { return error_; }

  private:
    Error error_;
    bool failed_ = false;
};

using Status = Result<void>;

}  // namespace llamux
