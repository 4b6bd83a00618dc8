// SPDX-License-Identifier: GPL-2.0-only
//
// See recording.hpp. A file is input: a line is bounded in length and depth
// before it is parsed, and every field is checked.
#include "kernel/recording.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "kernel/files.hpp"
#include "kernel/json_reader.hpp"

namespace llamux {
namespace {

constexpr const char* kMagic = "llamux_recording";
// A frame with 64 groups takes 0.1 MiB; the header holds the journal.
constexpr std::size_t kMaxLine = 16 << 20;
constexpr int kMaxDepth = 16;
// Times are added to, also to themselves.
constexpr std::uint64_t kLatestNs = 1ull << 62;

gzFile gz(void* stream) {
    return static_cast<gzFile>(stream);
}

// JSON is parsed without recursion, but not copied so.
bool is_too_deep(std::string_view line) {
    int depth = 0;
    bool in_text = false;
    for (std::size_t i = 0; i < line.size(); i++) {
        const char c = line[i];
        if (in_text) {
            i += c == '\\' ? 1 : 0;
            in_text = c != '"';
        } else if (c == '"') {
            in_text = true;
        } else if (c == '{' || c == '[') {
            if (++depth > kMaxDepth) {
                return true;
            }
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return false;
}

Result<Frame> frame_from_json(const Json& json) {
    JsonReader reader(json);
    Frame frame;
    frame.boot_ns = reader.number("boot_ns");
    frame.wall_ns = reader.number("wall_ns");
    frame.has_pressure = reader.boolean("has_pressure");
    frame.seen = reader.take(named_snapshot_from_json(reader.object("snapshot")), "snapshot");
    if (reader.has("advice")) {
        frame.advice = reader.take(suggestion_from_json(reader.object("advice")), "advice");
    }
    if (frame.boot_ns > kLatestNs || frame.wall_ns > kLatestNs) {
        reader.fail("its time is out of range");
    }
    return reader.finish(std::move(frame));
}

}  // namespace

// ---- writing --------------------------------------------------------------

Result<RecordingWriter> RecordingWriter::create(const std::string& path,
                                                const RecordingHeader& header) {
    const Result<Fd> fd = open_at(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (!fd) {
        return fd.error();
    }
    gzFile stream = ::gzdopen(::dup(fd->get()), "wb");
    if (!stream) {
        return errno_error(errno != 0 ? errno : ENOMEM, path);
    }
    RecordingWriter writer(stream, path);
    Result<Json> config = parse_json(header.config);
    if (!config) {
        return config.error().in("configuration");
    }
    const Status written = writer.write_line({{kMagic, kRecordingVersion},
                                              {"telemetry_schema", LLAMUX_TELEMETRY_SCHEMA},
                                              {"boot_id", header.boot_id},
                                              {"kernel", header.kernel},
                                              {"model", header.model},
                                              {"clock_boot_ns", header.clock_boot_ns},
                                              {"clock_wall_ns", header.clock_wall_ns},
                                              {"tuners", header.tuners},
                                              {"config", std::move(*config)},
                                              {"journal", header.journal}});
    if (!written) {
        return written.error();
    }
    return writer;
}

RecordingWriter::RecordingWriter(RecordingWriter&& other) noexcept
    : stream_(std::exchange(other.stream_, nullptr)), path_(std::move(other.path_)) {}

RecordingWriter::~RecordingWriter() {
    if (stream_) {
        ::gzclose(gz(stream_));
    }
}

Status RecordingWriter::append(const Frame& frame) {
    Json json = {{"boot_ns", frame.boot_ns},
                 {"wall_ns", frame.wall_ns},
                 {"has_pressure", frame.has_pressure},
                 {"snapshot", to_json(*frame.seen.snapshot, frame.seen.tree)}};
    if (frame.advice) {
        json["advice"] = to_json(*frame.advice);
    }
    return write_line(json);
}

Status RecordingWriter::write_line(const Json& json) {
    const std::string line = dump_line(json) + "\n";
    errno = 0;
    if (::gzwrite(gz(stream_), line.data(), static_cast<unsigned>(line.size())) <= 0 ||
        ::gzflush(gz(stream_), Z_SYNC_FLUSH) != Z_OK) {
        return errno_error(errno != 0 ? errno : EIO, path_);
    }
    return {};
}

Status RecordingWriter::finish() {
    errno = 0;
    if (::gzclose(gz(std::exchange(stream_, nullptr))) != Z_OK) {
        return errno_error(errno != 0 ? errno : EIO, path_);
    }
    return {};
}

// ---- reading --------------------------------------------------------------

Result<RecordingReader> RecordingReader::open(const std::string& path) {
    // A recording may be reached through a link.
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno_error(errno, path);
    }
    gzFile stream = ::gzdopen(fd, "rb");
    if (!stream) {
        ::close(fd);
        return errno_error(ENOMEM, path);
    }
    RecordingReader reader(stream, path);
    if (Status read = reader.read_header(); !read) {
        return read.error();
    }
    return reader;
}

RecordingReader::RecordingReader(RecordingReader&& other) noexcept
    : stream_(std::exchange(other.stream_, nullptr)),
      path_(std::move(other.path_)),
      header_(std::move(other.header_)),
      n_frames_(other.n_frames_),
      last_boot_ns_(other.last_boot_ns_) {}

RecordingReader::~RecordingReader() {
    if (stream_) {
        ::gzclose(gz(stream_));
    }
}

Error RecordingReader::damaged(const std::string& what) const {
    return Error{EBADMSG,
                 path_ + ": damaged after frame " + std::to_string(n_frames_) + ": " + what};
}

Result<std::optional<Json>> RecordingReader::read_line() {
    std::string line;
    std::array<char, 65536> block{};
    for (;;) {
        if (::gzgets(gz(stream_), block.data(), static_cast<int>(block.size())) == nullptr) {
            int code = Z_OK;
            const char* words = ::gzerror(gz(stream_), &code);
            if (code == Z_BUF_ERROR) {
                return damaged("the file is cut off");
            }
            if (code != Z_OK && code != Z_STREAM_END) {
                return damaged(code == Z_ERRNO ? std::strerror(errno) : words);
            }
            if (line.empty()) {
                return std::optional<Json>();
            }
            return damaged("the last line has no end");
        }
        line += block.data();
        if (line.ends_with('\n')) {
            break;
        }
        if (line.size() > kMaxLine) {
            return damaged("a line of more than 16 MiB");
        }
        // A NUL in the line ends what gzgets() shows of it.
        int code = Z_OK;
        ::gzerror(gz(stream_), &code);
        if (std::strlen(block.data()) + 1 < block.size() && code == Z_OK && !::gzeof(gz(stream_))) {
            return damaged("not text");
        }
    }
    if (is_too_deep(line)) {
        return damaged("nested too deeply");
    }
    Result<Json> json = parse_json(line);
    if (!json) {
        return damaged(json.error().message);
    }
    return std::optional<Json>(std::move(*json));
}

Status RecordingReader::read_header() {
    const Error none{EBADMSG, path_ + ": not a recording of llamux-agent"};
    const Result<std::optional<Json>> line = read_line();
    if (!line || !*line || !(*line)->is_object() || !(*line)->contains(kMagic)) {
        return none;
    }
    JsonReader reader(**line);
    const std::uint64_t version = reader.number(kMagic);
    const std::uint64_t schema =
        version == kRecordingVersion ? reader.number("telemetry_schema") : LLAMUX_TELEMETRY_SCHEMA;
    if (version != kRecordingVersion || schema != LLAMUX_TELEMETRY_SCHEMA) {
        return Error{EPROTO, path_ + ": a recording of version " + std::to_string(version) +
                                 ", telemetry " + std::to_string(schema) +
                                 "; this agent reads version " + std::to_string(kRecordingVersion) +
                                 ", telemetry " + std::to_string(LLAMUX_TELEMETRY_SCHEMA)};
    }
    header_.boot_id = reader.string("boot_id");
    header_.kernel = reader.string("kernel");
    header_.model = reader.string("model");
    header_.config = dump_line(reader.object("config"));
    header_.journal = reader.string("journal");
    header_.clock_boot_ns = reader.number("clock_boot_ns");
    header_.clock_wall_ns = reader.number("clock_wall_ns");
    for (const Json& tuner : reader.array("tuners")) {
        if (tuner.is_string()) {
            header_.tuners.push_back(tuner.get<std::string>());
        } else {
            reader.fail("tuners has an entry that is no text");
        }
    }
    if (header_.clock_boot_ns > kLatestNs || header_.clock_wall_ns > kLatestNs) {
        reader.fail("its time is out of range");
    }
    if (const Result<bool> read = reader.finish(true); !read) {
        return damaged("header: " + read.error().message);
    }
    last_boot_ns_ = header_.clock_boot_ns;
    return {};
}

Result<std::optional<Frame>> RecordingReader::next() {
    const Result<std::optional<Json>> line = read_line();
    if (!line) {
        return line.error();
    }
    if (!*line) {
        return std::optional<Frame>();
    }
    Result<Frame> frame = frame_from_json(**line);
    if (!frame) {
        return damaged(frame.error().message);
    }
    if (frame->boot_ns < last_boot_ns_) {
        return damaged("time goes backwards");
    }
    last_boot_ns_ = frame->boot_ns;
    n_frames_++;
    return std::optional<Frame>(std::move(*frame));
}

}  // namespace llamux
