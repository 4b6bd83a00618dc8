// SPDX-License-Identifier: GPL-2.0-only
//
// See sysctl_watch.hpp.
#include "kernel/sysctl_watch.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>

#include "llamux/sysctl.h"
#include "llamux_sysctl.skel.h"

namespace llamux {
namespace {

struct Destroy {
    void operator()(llamux_sysctl_bpf* skeleton) const { llamux_sysctl_bpf__destroy(skeleton); }
};
using Skeleton = std::unique_ptr<llamux_sysctl_bpf, Destroy>;

using Name = std::array<char, LLAMUX_SYSCTL_NAME_BYTES>;

// libbpf would print what the caller says in one line.
class Silence {
  public:
    Silence() : previous_(libbpf_set_print(nullptr)) {}
    ~Silence() { libbpf_set_print(previous_); }
    Silence(const Silence&) = delete;
    Silence& operator=(const Silence&) = delete;

  private:
    libbpf_print_fn_t previous_;
};

Name key_of(std::string_view file) {
    Name name{};
    std::copy_n(file.begin(), std::min(file.size(), name.size() - 1), name.begin());
    return name;
}

std::string map_path(const std::string& directory) {
    return directory + "/writes";
}

std::string link_path(const std::string& directory) {
    return directory + "/link";
}

// Every sysctl of the catalogue.
Status add_files(int map) {
    const llamux_sysctl_write never = {};
    for (std::uint32_t kind = 0; kind < LLAMUX_N_ACTIONS; kind++) {
        if (action_row(kind)->scope != LLAMUX_SCOPE_SYSTEM) {
            continue;
        }
        for (const std::string_view file : knob_files(static_cast<llamux_action_kind>(kind))) {
            const Name name = key_of(file);
            if (bpf_map_update_elem(map, name.data(), &never, BPF_ANY) != 0) {
                return errno_error(errno, "map of sysctls");
            }
        }
    }
    return {};
}

// The link is pinned last: without it the set is not whole.
Status build(const std::string& directory, const std::string& cgroup_root) {
    const Silence silence;
    const Skeleton skeleton(llamux_sysctl_bpf__open_and_load());
    if (!skeleton) {
        return errno_error(errno, "the kernel refuses the program");
    }
    const int map = bpf_map__fd(skeleton->maps.llamux_sysctls);
    if (Status added = add_files(map); !added) {
        return added;
    }
    const Result<Fd> root = open_at(AT_FDCWD, cgroup_root, O_RDONLY | O_DIRECTORY);
    if (!root) {
        return root.error();
    }
    bpf_link* link = bpf_program__attach_cgroup(skeleton->progs.llamux_sysctl, root->get());
    if (link == nullptr) {
        return errno_error(errno, "the program can not be attached to " + cgroup_root);
    }
    const bool is_pinned = bpf_obj_pin(map, map_path(directory).c_str()) == 0 &&
                           bpf_link__pin(link, link_path(directory).c_str()) == 0;
    const int code = errno;
    bpf_link__destroy(link);
    return is_pinned ? Status() : errno_error(code, "cannot pin below " + directory);
}

}  // namespace

SysctlWatch SysctlWatch::open(const std::string& pin_directory) {
    SysctlWatch watch;
    const Fd link(bpf_obj_get(link_path(pin_directory).c_str()));
    Fd map(link.is_open() ? bpf_obj_get(map_path(pin_directory).c_str()) : -1);
    bpf_map_info info = {};
    std::uint32_t length = sizeof(info);
    // One that another build has pinned may have other records.
    if (map.is_open() && bpf_obj_get_info_by_fd(map.get(), &info, &length) == 0 &&
        info.key_size == sizeof(Name) && info.value_size == sizeof(llamux_sysctl_write)) {
        watch.map_ = std::move(map);
    }
    return watch;
}

Result<SysctlWatch> SysctlWatch::ensure(const std::string& pin_directory,
                                        const std::string& cgroup_root) {
    SysctlWatch watch = open(pin_directory);
    if (watch.is_watching()) {
        return watch;
    }
    if (Status cleared = unload(pin_directory); !cleared) {
        return cleared.error();
    }
    if (::mkdir(pin_directory.c_str(), 0700) != 0) {
        return errno_error(errno, "cannot make " + pin_directory);
    }
    if (Status built = build(pin_directory, cgroup_root); !built) {
        (void)unload(pin_directory);
        return built.error();
    }
    return open(pin_directory);
}

Status SysctlWatch::unload(const std::string& pin_directory) {
    std::error_code error;
    std::filesystem::remove_all(pin_directory, error);
    return error ? errno_error(error.value(), "cannot remove " + pin_directory) : Status();
}

std::optional<Writing> SysctlWatch::last_writing(const std::string& file) const {
    const Name name = key_of(file);
    llamux_sysctl_write write = {};
    if (!map_.is_open() || bpf_map_lookup_elem(map_.get(), name.data(), &write) != 0 ||
        write.boot_ns == 0) {
        return std::nullopt;
    }
    return Writing{write.boot_ns, write.pid, write.uid,
                   std::string(write.command, ::strnlen(write.command, sizeof(write.command)))};
}

}  // namespace llamux
