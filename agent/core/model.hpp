// SPDX-License-Identifier: GPL-2.0-only
//
// A model that can be had, as the manifest describes it.
#pragma once

#include <cstdint>
#include <string>

namespace llamux {

struct ModelEntry {
    std::string name;  // "tinyllama"
    std::string file;  // "tinyllama-1.1b-chat-v1.0.Q4_K_M.gguf", no directory
    bool shipped = false;
    std::uint64_t bytes = 0;
    std::string sha256;  // 64 lower-case hexadecimal digits
    std::string url;     // "{host}/..."; empty: shipped
    std::string host;    // what {host} is unless configured: "https://..."
};

// @host: replaces the entry's own; empty: the entry's own.
inline std::string url_of(const ModelEntry& entry, std::string host) {
    if (host.empty()) {
        host = entry.host;
    }
    while (host.ends_with('/')) {
        host.pop_back();
    }
    std::string url = entry.url;
    if (const std::size_t at = url.find("{host}"); at != std::string::npos) {
        url.replace(at, std::string("{host}").size(), host);
    }
    return url;
}

}  // namespace llamux
