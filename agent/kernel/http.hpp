// SPDX-License-Identifier: GPL-2.0-only
//
// Gets one file over HTTP, from where an earlier try stopped. By libcurl, which is
// loaded then.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "core/result.hpp"

namespace llamux {

// Called as bytes come: those that are there, and those there will be.
using OnProgress = std::function<void(std::uint64_t have_bytes, std::uint64_t all_bytes)>;

// Appends to @fd, which holds the first @have_bytes of the file; starts over
// where the server can not go on from there. Follows up to 5 redirections,
// from https only to https. Done when the file has @all_bytes; anything else
// is an error: ENOENT (404, 410), EACCES (401, 403), EPROTO (another status,
// or a file of another size), EHOSTUNREACH, ECONNABORTED (fewer bytes than
// promised; what came stays), or that of the write.
Status download(const std::string& url, int fd, std::uint64_t have_bytes, std::uint64_t all_bytes,
                const OnProgress& progress);

}  // namespace llamux
