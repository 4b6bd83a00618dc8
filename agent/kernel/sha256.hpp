// SPDX-License-Identifier: GPL-2.0-only
//
// SHA-256 (FIPS 180-4) of a file, by OpenSSL.
#pragma once

#include <string>

#include "core/result.hpp"

namespace llamux {

// @fd: read from its start to its end; @name: for the error. 64 lower-case
// hexadecimal digits.
Result<std::string> sha256_of(int fd, const std::string& name);

}  // namespace llamux
