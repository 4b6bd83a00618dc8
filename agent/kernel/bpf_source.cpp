// SPDX-License-Identifier: GPL-2.0-only
//
// See bpf_source.hpp. libbpf's own messages are caught, not printed: they are
// where the reason is found when a program does not load.

#include "kernel/bpf_source.hpp"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <filesystem>
#include <iterator>
#include <memory>
#include <optional>
#include <string_view>

#include "llamux.skel.h"

namespace llamux {
namespace {

// Twin of struct llamux_meta in bpf/llamux.bpf.h; the loader is its only user.
struct Meta {
    std::uint64_t object_hash;
    std::uint32_t schema;
    std::uint32_t refused;  // bit set of probes, by place in plan_probes()
};

constexpr const char* kSeed = "llamux_seed";  // makes the storage of tasks

// ---- libbpf's messages -----------------------------------------------------

thread_local std::string* message_sink = nullptr;

int catch_message(enum libbpf_print_level level, const char* format, va_list arguments) {
    if (!message_sink || level == LIBBPF_DEBUG) {
        return 0;
    }
    std::array<char, 1024> text;
    const int n = std::vsnprintf(text.data(), text.size(), format, arguments);
    message_sink->append(text.data());
    return n;
}

class MessageCatcher {
  public:
    MessageCatcher() : previous_(libbpf_set_print(catch_message)) { message_sink = &text_; }
    ~MessageCatcher() {
        message_sink = nullptr;
        libbpf_set_print(previous_);
    }
    MessageCatcher(const MessageCatcher&) = delete;
    MessageCatcher& operator=(const MessageCatcher&) = delete;

    const std::string& text() const { return text_; }

  private:
    std::string text_;
    libbpf_print_fn_t previous_;
};

// What is between @before and @after, at its first place.
std::string between(std::string_view text, std::string_view before, std::string_view after) {
    const std::size_t start = text.find(before);
    if (start == std::string_view::npos) {
        return {};
    }
    text.remove_prefix(start + before.size());
    return std::string(text.substr(0, text.find(after)));
}

// The program of "libbpf: prog 'NAME': failed to load: -22".
std::string failed_program(std::string_view messages) {
    const std::size_t end = messages.find("': failed to load");
    if (end == std::string_view::npos) {
        return {};
    }
    const std::size_t quote = messages.rfind('\'', end - 1);
    return std::string(messages.substr(quote + 1, end - quote - 1));
}

// ---- what this kernel has --------------------------------------------------

struct BtfDeleter {
    void operator()(btf* types) const { btf__free(types); }
};
using Btf = std::unique_ptr<btf, BtfDeleter>;

Result<Btf> kernel_types(const std::string& path) {
    MessageCatcher messages;
    Btf types(btf__parse(path.c_str(), nullptr));
    if (!types) {
        return Error{ENOTSUP, "no type information of the kernel in " + path + ": " +
                                  std::strerror(errno) +
                                  " (the kernel needs CONFIG_DEBUG_INFO_BTF)"};
    }
    return types;
}

struct SkeletonDeleter {
    void operator()(llamux_bpf* skeleton) const { llamux_bpf__destroy(skeleton); }
};
using Skeleton = std::unique_ptr<llamux_bpf, SkeletonDeleter>;

Result<Skeleton> open_skeleton() {
    MessageCatcher messages;
    Skeleton skeleton(llamux_bpf__open());
    if (!skeleton) {
        return errno_error(errno, "cannot open the BPF object");
    }
    return skeleton;
}

bpf_program* find_program(const Skeleton& skeleton, std::string_view name) {
    return bpf_object__find_program_by_name(skeleton->obj, std::string(name).c_str());
}

Error required_failed(const ProbePlan& plan) {
    return Error{ENOTSUP,
                 "BPF telemetry cannot start: probe " + plan.probe.name + ": " + plan.probe.reason};
}

// "" or the capabilities that are missing to load the programs.
std::string missing_capabilities() {
    __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {};
    if (syscall(SYS_capget, &header, sets) != 0) {
        return {};
    }
    const auto has = [&](unsigned capability) {
        return (sets[CAP_TO_INDEX(capability)].effective & CAP_TO_MASK(capability)) != 0;
    };
    if (has(CAP_SYS_ADMIN)) {
        return {};
    }
    std::string missing = has(CAP_BPF) ? "" : "CAP_BPF";
    if (!has(CAP_PERFMON)) {
        missing += missing.empty() ? "CAP_PERFMON" : " and CAP_PERFMON";
    }
    return missing;
}

// ---- what is pinned --------------------------------------------------------

std::string links_directory(const std::string& directory) {
    return directory + "/links";
}

std::string link_path(const std::string& directory, const std::string& program) {
    return links_directory(directory) + "/" + program;
}

Fd open_pinned(const std::string& path) {
    return Fd(bpf_obj_get(path.c_str()));
}

bool is_map(const Fd& fd, std::uint32_t type, std::uint32_t key_size, std::uint32_t value_size,
            std::uint32_t max_entries) {
    bpf_map_info info = {};
    std::uint32_t length = sizeof(info);
    return fd.is_open() && bpf_obj_get_info_by_fd(fd.get(), &info, &length) == 0 &&
           info.type == type && info.key_size == key_size && info.value_size == value_size &&
           info.max_entries == max_entries;
}

Fd open_cgroups(const std::string& directory) {
    Fd fd = open_pinned(directory + "/" LLAMUX_MAP_CGROUPS);
    return is_map(fd, BPF_MAP_TYPE_LRU_PERCPU_HASH, sizeof(llamux_cgroup_key),
                  sizeof(llamux_cgroup_record), LLAMUX_MAX_CGROUPS)
               ? std::move(fd)
               : Fd();
}

Fd open_system(const std::string& directory) {
    Fd fd = open_pinned(directory + "/" LLAMUX_MAP_SYSTEM);
    return is_map(fd, BPF_MAP_TYPE_PERCPU_ARRAY, sizeof(std::uint32_t),
                  sizeof(llamux_system_record), 1)
               ? std::move(fd)
               : Fd();
}

std::string meta_path(const std::string& directory) {
    return directory + "/llamux_meta";
}

std::optional<Meta> read_meta(const std::string& directory) {
    const Fd fd = open_pinned(meta_path(directory));
    const std::uint32_t key = 0;
    Meta meta = {};
    if (!is_map(fd, BPF_MAP_TYPE_ARRAY, sizeof(key), sizeof(meta), 1) ||
        bpf_map_lookup_elem(fd.get(), &key, &meta) != 0) {
        return std::nullopt;
    }
    return meta;
}

// FNV-1a, 64 bits: tells builds apart, protects against nothing.
std::uint64_t object_hash() {
    std::size_t size = 0;
    const auto* bytes = static_cast<const unsigned char*>(llamux_bpf__elf_bytes(&size));
    std::uint64_t hash = 0xcbf29ce484222325;
    for (std::size_t i = 0; i < size; i++) {
        hash = (hash ^ bytes[i]) * 0x100000001b3;
    }
    return hash;
}

Status remove_tree(const std::string& path) {
    std::error_code error;
    std::filesystem::remove_all(path, error);
    if (error) {
        return errno_error(error.value(), "cannot remove " + path);
    }
    return {};
}

// The directory, made if need be, locked against another agent.
Result<Fd> lock_directory(const std::string& directory) {
    if (mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
        return errno_error(errno, "cannot make " + directory);
    }
    Fd fd(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd.is_open()) {
        return errno_error(errno, "cannot open " + directory);
    }
    struct statfs fs = {};
    if (fstatfs(fd.get(), &fs) != 0 || fs.f_type != BPF_FS_MAGIC) {
        (void)rmdir(directory.c_str());
        return Error{ENOTDIR, directory + " is not on a BPF file system (mount -t bpf bpf " +
                                  std::filesystem::path(directory).parent_path().string() + ")"};
    }
    if (flock(fd.get(), LOCK_EX) != 0) {
        return errno_error(errno, "cannot lock " + directory);
    }
    return fd;
}

// ---- loading ---------------------------------------------------------------

void select_programs(const Skeleton& skeleton, const std::vector<ProbePlan>& plans) {
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, skeleton->obj) {
        const std::string name = bpf_program__name(program);
        const bool wanted =
            name == kSeed || std::any_of(plans.begin(), plans.end(), [&](const ProbePlan& plan) {
                return std::find(plan.programs.begin(), plan.programs.end(), name) !=
                       plan.programs.end();
            });
        bpf_program__set_autoload(program, wanted);
    }
}

// Takes @program out of its plan; false if the plan cannot do without.
bool drop_program(std::vector<ProbePlan>& plans, const std::string& program,
                  const std::string& reason) {
    for (ProbePlan& plan : plans) {
        const auto found = std::find(plan.programs.begin(), plan.programs.end(), program);
        if (found == plan.programs.end()) {
            continue;
        }
        plan.give_up(program + ": " + reason);
        return !plan.probe.required;
    }
    return false;
}

Error load_error(const std::vector<ProbePlan>& plans, const std::string& reason) {
    for (const ProbePlan& plan : plans) {
        if (plan.probe.required && !plan.probe.active) {
            return required_failed(plan);
        }
    }
    return Error{ENOTSUP, "BPF telemetry cannot start: " + reason};
}

// A program that the kernel refuses fails the whole object: it is taken out,
// and the object loaded anew. @cgroups, @system: maps to go on with, or not
// open.
Result<Skeleton> load(std::vector<ProbePlan>& plans, const Fd& cgroups, const Fd& system) {
    for (;;) {
        Result<Skeleton> skeleton = open_skeleton();
        if (!skeleton) {
            return skeleton;
        }
        select_programs(*skeleton, plans);
        MessageCatcher messages;
        if ((cgroups.is_open() &&
             bpf_map__reuse_fd((*skeleton)->maps.llamux_cgroups, cgroups.get()) != 0) ||
            (system.is_open() &&
             bpf_map__reuse_fd((*skeleton)->maps.llamux_system, system.get()) != 0)) {
            return errno_error(errno, "cannot go on with the pinned maps");
        }
        const int error = llamux_bpf__load(skeleton->get());
        if (error == 0) {
            return skeleton;
        }
        std::string reason = between(messages.text(), "BPF program load failed: ", "\n");
        if (reason.empty()) {
            reason = std::strerror(-error);
        }
        if (!drop_program(plans, failed_program(messages.text()), reason)) {
            return load_error(plans, reason);
        }
    }
}

// Gives every task that is there its storage; new ones get it at birth.
Status seed_tasks(const Skeleton& skeleton) {
    bpf_link* link = bpf_program__attach_iter(find_program(skeleton, kSeed), nullptr);
    if (!link) {
        return errno_error(errno, "cannot walk the tasks");
    }
    const Fd walk(bpf_iter_create(bpf_link__fd(link)));
    char unused[64];
    ssize_t n = walk.is_open() ? 1 : -1;
    while (n > 0 || (n < 0 && walk.is_open() && (errno == EINTR || errno == EAGAIN))) {
        n = read(walk.get(), unused, sizeof(unused));
    }
    const int error = errno;
    bpf_link__destroy(link);
    return n < 0 ? Status(errno_error(error, "cannot walk the tasks")) : Status();
}

// Attaches and pins one program; "" or the reason why not.
std::string attach(const Skeleton& skeleton, const std::string& program,
                   const std::string& directory) {
    bpf_link* link = bpf_program__attach(find_program(skeleton, program));
    if (!link) {
        return std::strerror(errno);
    }
    const int error = bpf_link__pin(link, link_path(directory, program).c_str());
    bpf_link__destroy(link);
    return error ? std::string("cannot pin: ") + std::strerror(-error) : "";
}

Status attach_all(std::vector<ProbePlan>& plans, const Skeleton& skeleton,
                  const std::string& directory) {
    MessageCatcher messages;
    for (std::size_t i = 0; i < plans.size(); i++) {
        ProbePlan& plan = plans[i];
        for (const std::string& program : std::vector<std::string>(plan.programs)) {
            const std::string reason = attach(skeleton, program, directory);
            if (reason.empty()) {
                continue;
            }
            for (const std::string& other : plan.programs) {
                (void)unlink(link_path(directory, other).c_str());
            }
            plan.give_up(program + ": " + reason);
            break;
        }
        if (plan.probe.required && !plan.probe.active) {
            return required_failed(plan);
        }
        // From here on each new task has storage; now those that are there.
        if (i == 0) {
            if (Status seeded = seed_tasks(skeleton); !seeded) {
                return seeded;
            }
        }
    }
    return {};
}

Status pin_maps(const Skeleton& skeleton, const std::string& directory, std::uint32_t refused) {
    MessageCatcher messages;
    const struct {
        const bpf_map* map;
        std::string path;
    } pins[] = {
        {skeleton->maps.llamux_cgroups, directory + "/" LLAMUX_MAP_CGROUPS},
        {skeleton->maps.llamux_system, directory + "/" LLAMUX_MAP_SYSTEM},
        {skeleton->maps.llamux_meta, meta_path(directory)},
    };
    const std::uint32_t key = 0;
    const Meta meta = {object_hash(), LLAMUX_TELEMETRY_SCHEMA, refused};
    if (bpf_map_update_elem(bpf_map__fd(skeleton->maps.llamux_meta), &key, &meta, BPF_ANY) != 0) {
        return errno_error(errno, "cannot write llamux_meta");
    }
    for (const auto& pin : pins) {
        if (bpf_obj_pin(bpf_map__fd(pin.map), pin.path.c_str()) != 0) {
            return errno_error(errno, "cannot pin " + pin.path);
        }
    }
    return {};
}

std::uint32_t active_set(const std::vector<ProbePlan>& plans) {
    std::uint32_t set = 0;
    for (std::size_t i = 0; i < plans.size(); i++) {
        set |= std::uint32_t{plans[i].probe.active} << i;
    }
    return set;
}

// Everything new below the (empty) directory.
Status build(std::vector<ProbePlan>& plans, const std::string& directory, const Fd& cgroups,
             const Fd& system) {
    if (mkdir(links_directory(directory).c_str(), 0700) != 0) {
        return errno_error(errno, "cannot make " + links_directory(directory));
    }
    const std::uint32_t planned = active_set(plans);
    Result<Skeleton> skeleton = load(plans, cgroups, system);
    if (!skeleton) {
        return skeleton.error();
    }
    if (Status attached = attach_all(plans, *skeleton, directory); !attached) {
        return attached;
    }
    return pin_maps(*skeleton, directory, planned & ~active_set(plans));
}

// Empties the directory, which its caller has locked.
Status clear(const std::string& directory) {
    for (const char* name :
         {"/llamux_meta", "/links", "/" LLAMUX_MAP_CGROUPS, "/" LLAMUX_MAP_SYSTEM}) {
        if (Status removed = remove_tree(directory + name); !removed) {
            return removed;
        }
    }
    return {};
}

// Takes out the probes that the kernel refused when the pinned set was made:
// asking again would only interrupt the others.
void give_up_refused(std::vector<ProbePlan>& plans, std::uint32_t refused) {
    for (std::size_t i = 0; i < plans.size(); i++) {
        if (plans[i].probe.active && !plans[i].probe.required && (refused >> i & 1)) {
            plans[i].give_up("the kernel refused it when the telemetry was started");
        }
    }
}

// True if all links of each wanted probe are pinned, and no others.
bool links_match(const std::vector<ProbePlan>& plans, const std::string& directory) {
    std::size_t n_wanted = 0;
    for (const ProbePlan& plan : plans) {
        for (const std::string& program : plan.programs) {
            if (!open_pinned(link_path(directory, program)).is_open()) {
                return false;
            }
            n_wanted++;
        }
    }
    std::error_code error;
    const std::filesystem::directory_iterator links(links_directory(directory), error);
    return !error && std::distance(begin(links), end(links)) == std::ptrdiff_t(n_wanted);
}

}  // namespace

Result<std::vector<Probe>> BpfSource::survey(const BpfOptions& options) {
    Result<Btf> types = kernel_types(options.kernel_btf);
    if (!types) {
        return types.error();
    }
    Result<Skeleton> skeleton = open_skeleton();
    if (!skeleton) {
        return skeleton.error();
    }
    std::vector<ProbePlan> plans = plan_probes((*skeleton)->obj, types->get(), options.leave_out);
    if (const std::optional<Meta> meta = read_meta(options.pin_directory)) {
        give_up_refused(plans, meta->refused);
    }
    std::vector<Probe> probes;
    for (ProbePlan& plan : plans) {
        probes.push_back(std::move(plan.probe));
    }
    return probes;
}

Result<BpfSource> BpfSource::ensure(const BpfOptions& options) {
    if (const std::string missing = missing_capabilities(); !missing.empty()) {
        return Error{EPERM, "BPF telemetry needs " + missing + " (or CAP_SYS_ADMIN)"};
    }
    Result<Btf> types = kernel_types(options.kernel_btf);
    if (!types) {
        return types.error();
    }
    Result<Skeleton> skeleton = open_skeleton();
    if (!skeleton) {
        return skeleton.error();
    }
    std::vector<ProbePlan> plans = plan_probes((*skeleton)->obj, types->get(), options.leave_out);
    for (const ProbePlan& plan : plans) {
        if (plan.probe.required && !plan.probe.active) {
            return required_failed(plan);
        }
    }
    const std::string& directory = options.pin_directory;
    Result<Fd> lock = lock_directory(directory);
    if (!lock) {
        return lock.error();
    }

    BpfSource source;
    const std::optional<Meta> meta = read_meta(directory);
    if (meta && meta->schema == LLAMUX_TELEMETRY_SCHEMA) {
        source.cgroups_ = open_cgroups(directory);
        source.system_ = open_system(directory);
    }
    const bool maps_fit = source.cgroups_.is_open() && source.system_.is_open();
    std::vector<ProbePlan> kept = plans;
    give_up_refused(kept, meta ? meta->refused : 0);
    source.reused_ = maps_fit && meta->object_hash == object_hash() && links_match(kept, directory);
    if (source.reused_) {
        plans = std::move(kept);
    } else {
        if (Status cleared = clear(directory); !cleared) {
            return cleared.error();
        }
        const Fd none;
        Status built = build(plans, directory, maps_fit ? source.cgroups_ : none,
                             maps_fit ? source.system_ : none);
        if (!built) {
            (void)clear(directory);
            (void)rmdir(directory.c_str());
            return built.error();
        }
        source.cgroups_ = open_cgroups(directory);
        source.system_ = open_system(directory);
    }
    for (ProbePlan& plan : plans) {
        source.probes_.push_back(std::move(plan.probe));
    }
    return source;
}

Status BpfSource::unload(const std::string& pin_directory) {
    struct stat status = {};
    if (stat(pin_directory.c_str(), &status) != 0 && errno == ENOENT) {
        return {};
    }
    Result<Fd> lock = lock_directory(pin_directory);
    if (!lock) {
        return lock.error();
    }
    if (Status cleared = clear(pin_directory); !cleared) {
        return cleared;
    }
    if (rmdir(pin_directory.c_str()) != 0) {
        return errno_error(errno, "cannot remove " + pin_directory);
    }
    return {};
}

}  // namespace llamux
