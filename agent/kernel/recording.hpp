// SPDX-License-Identifier: GPL-2.0-only
//
// A recording: what the loop saw, look by look, in a file that can be sent
// with a bug report. gzip of JSON lines: a header, then one line a frame; each
// frame is flushed, so that a recording that was cut off is whole up to there.
// docs/AGENT.md describes the fields.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/result.hpp"
#include "core/suggestion.hpp"
#include "kernel/snapshot_json.hpp"

namespace llamux {

constexpr std::uint32_t kRecordingVersion = 1;

struct RecordingHeader {
    std::string boot_id;
    std::string kernel;               // release, "6.12.95+deb12-amd64"
    std::string model;                // empty: none was loaded
    std::string config;               // JSON text, an object
    std::string journal;              // as the file was
    std::vector<std::string> tuners;  // other tuners that ran, by name
    std::uint64_t clock_boot_ns = 0;  // when it began
    std::uint64_t clock_wall_ns = 0;
};

// One look.
struct Frame {
    std::uint64_t boot_ns = 0;
    std::uint64_t wall_ns = 0;
    bool has_pressure = false;
    NamedSnapshot seen;
    std::optional<Suggestion> advice;  // where something was wrong
};

class RecordingWriter {
  public:
    // Never overwrites: EEXIST. Mode 0600: it names every cgroup.
    static Result<RecordingWriter> create(const std::string& path, const RecordingHeader& header);
    Status append(const Frame& frame);
    // Ends the file; without it the reader says that it was cut off.
    Status finish();

    RecordingWriter(RecordingWriter&& other) noexcept;
    RecordingWriter& operator=(RecordingWriter&&) = delete;
    ~RecordingWriter();

  private:
    RecordingWriter(void* stream, std::string path) : stream_(stream), path_(std::move(path)) {}
    Status write_line(const Json& json);

    void* stream_;  // gzFile
    std::string path_;
};

class RecordingReader {
  public:
    // ENOENT; EBADMSG: no recording, or damaged; EPROTO: of another version.
    static Result<RecordingReader> open(const std::string& path);
    const RecordingHeader& header() const { return header_; }
    // std::nullopt: the end. After an error there is no more.
    Result<std::optional<Frame>> next();
    std::uint64_t frames_read() const { return n_frames_; }

    RecordingReader(RecordingReader&& other) noexcept;
    RecordingReader& operator=(RecordingReader&&) = delete;
    ~RecordingReader();

  private:
    RecordingReader(void* stream, std::string path) : stream_(stream), path_(std::move(path)) {}
    // std::nullopt: the end of the file.
    Result<std::optional<Json>> read_line();
    Status read_header();
    Error damaged(const std::string& what) const;

    void* stream_;  // gzFile
    std::string path_;
    RecordingHeader header_;
    std::uint64_t n_frames_ = 0;
    std::uint64_t last_boot_ns_ = 0;
};

}  // namespace llamux
