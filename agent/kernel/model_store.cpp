// SPDX-License-Identifier: GPL-2.0-only
//
// See model_store.hpp.
#include "kernel/model_store.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "kernel/files.hpp"
#include "kernel/json_reader.hpp"
#include "kernel/sha256.hpp"

namespace llamux {
namespace {

bool is_file_name(const std::string& text) {
    return !text.empty() && text.front() != '.' && text.find('/') == std::string::npos;
}

Result<ModelEntry> model_from_json(const Json& json) {
    JsonReader reader(json);
    ModelEntry entry;
    entry.name = reader.string("name");
    entry.file = reader.string("file");
    entry.shipped = reader.boolean("shipped");
    entry.bytes = reader.number("bytes");
    entry.sha256 = reader.string("sha256");
    if (!entry.shipped) {
        entry.url = reader.string("url");
        entry.host = reader.string("host");
    }
    if (!is_file_name(entry.name) || !is_file_name(entry.file)) {
        reader.fail("'" + entry.file + "' is no file name");
    }
    const bool is_hash = entry.sha256.size() == 64 &&
                         entry.sha256.find_first_not_of("0123456789abcdef") == std::string::npos;
    if (!is_hash) {
        reader.fail("sha256 is not 64 hexadecimal digits");
    }
    return reader.finish(std::move(entry));
}

std::uint64_t size_of(const std::string& path) {
    struct stat attributes {};
    return ::stat(path.c_str(), &attributes) == 0 ? static_cast<std::uint64_t>(attributes.st_size)
                                                  : 0;
}

Status check_room(const std::string& directory, std::uint64_t wanted_bytes) {
    struct statvfs room {};
    if (::statvfs(directory.c_str(), &room) != 0) {
        return errno_error(errno, directory);
    }
    const std::uint64_t free_bytes = std::uint64_t{room.f_bavail} * room.f_frsize;
    if (free_bytes < wanted_bytes) {
        return errno_error(ENOSPC, directory + ": " + std::to_string(wanted_bytes) +
                                       " bytes are needed, " + std::to_string(free_bytes) +
                                       " are free");
    }
    return {};
}

Status verify_open(int fd, const std::string& path, const ModelEntry& entry) {
    struct stat attributes {};
    if (::fstat(fd, &attributes) != 0) {
        return errno_error(errno, path);
    }
    const auto bytes = static_cast<std::uint64_t>(attributes.st_size);
    if (bytes != entry.bytes) {
        return Error{EBADMSG, path + ": " + std::to_string(bytes) + " bytes, the manifest says " +
                                  std::to_string(entry.bytes)};
    }
    const Result<std::string> sum = sha256_of(fd, path);
    if (!sum) {
        return sum.error();
    }
    if (*sum != entry.sha256) {
        return Error{EBADMSG,
                     path + ": its SHA-256 is " + *sum + ", the manifest says " + entry.sha256};
    }
    return {};
}

}  // namespace

Result<std::vector<ModelEntry>> read_manifest(const std::string& path) {
    const Result<std::string> text = read_text(path);
    if (!text) {
        return text.error().in("manifest");
    }
    const Result<Json> json = parse_json(*text);
    if (!json) {
        return json.error().in(path);
    }
    JsonReader reader(*json);
    std::vector<ModelEntry> entries;
    for (const Json& item : reader.array("models")) {
        entries.push_back(reader.take(model_from_json(item), "models"));
    }
    Result<std::vector<ModelEntry>> checked = reader.finish(std::move(entries));
    return checked ? std::move(checked) : checked.error().in(path);
}

std::string ModelStore::path_of(const ModelEntry& entry) const {
    const std::string shipped = shipped_ + "/" + entry.file;
    return entry.shipped && path_exists(shipped) ? shipped : fetched_ + "/" + entry.file;
}

std::string ModelStore::partial_path(const ModelEntry& entry) const {
    return fetched_ + "/" + entry.file + ".part";
}

bool ModelStore::is_here(const ModelEntry& entry) const {
    return path_exists(path_of(entry));
}

std::uint64_t ModelStore::partial_bytes(const ModelEntry& entry) const {
    return size_of(partial_path(entry));
}

Status ModelStore::verify(const ModelEntry& entry) const {
    const std::string path = path_of(entry);
    const Result<Fd> file = open_at(AT_FDCWD, path, O_RDONLY);
    if (!file) {
        return file.error();
    }
    return verify_open(file->get(), path, entry);
}

Status ModelStore::fetch(const ModelEntry& entry, const std::string& host,
                         const OnProgress& progress) const {
    if (Status made = make_directories(fetched_, 0755); !made) {
        return made;
    }
    const std::string partial = partial_path(entry);
    const Result<Fd> file = open_at(AT_FDCWD, partial, O_RDWR | O_CREAT, 0644);
    if (!file) {
        return file.error();
    }
    if (::flock(file->get(), LOCK_EX | LOCK_NB) != 0) {
        return Error{EBUSY, entry.name + " is being fetched already"};
    }
    std::uint64_t have_bytes = size_of(partial);
    if (have_bytes > entry.bytes) {
        have_bytes = 0;
        if (::ftruncate(file->get(), 0) != 0) {
            return errno_error(errno, partial);
        }
    }
    if (have_bytes < entry.bytes) {
        if (Status fits = check_room(fetched_, entry.bytes - have_bytes); !fits) {
            return fits;
        }
        const Status came =
            download(url_of(entry, host), file->get(), have_bytes, entry.bytes, progress);
        if (!came) {
            return came;
        }
    }
    if (Status sound = verify_open(file->get(), partial, entry); !sound) {
        // Going on from wrong bytes would never end.
        ::unlink(partial.c_str());
        return sound;
    }
    const std::string path = fetched_ + "/" + entry.file;
    if (::fsync(file->get()) != 0 || ::rename(partial.c_str(), path.c_str()) != 0) {
        return errno_error(errno, path);
    }
    return sync_directory_of(path);
}

}  // namespace llamux
