// SPDX-License-Identifier: GPL-2.0-only
//
// See process.hpp.
#include "kernel/process.hpp"

#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>

namespace llamux {
namespace {

std::uint64_t now_ns(clockid_t clock) {
    timespec now{};
    ::clock_gettime(clock, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * kNsPerSecond +
           static_cast<std::uint64_t>(now.tv_nsec);
}

volatile sig_atomic_t last_signal = 0;
volatile sig_atomic_t reload_asked = 0;
volatile sig_atomic_t hang_up_reloads = 0;
int wake_fd = -1;

// Async-signal-safe: one store and one write(2).
void on_signal(int signal) {
    const int saved_errno = errno;
    if (signal == SIGHUP && hang_up_reloads) {
        reload_asked = 1;
    } else {
        last_signal = signal;
    }
    const std::uint64_t one = 1;
    (void)!::write(wake_fd, &one, sizeof(one));
    errno = saved_errno;
}

struct Capability {
    int number;
    const char* name;
};

// What each is for is in docs/AGENT.md. The three of BPF are one where
// CAP_SYS_ADMIN is held, but the kernel wants them by name otherwise.
constexpr std::array<Capability, 4> kNeeded = {{
    {CAP_SYS_ADMIN, "CAP_SYS_ADMIN"},
    {CAP_BPF, "CAP_BPF"},
    {CAP_PERFMON, "CAP_PERFMON"},
    {CAP_DAC_OVERRIDE, "CAP_DAC_OVERRIDE"},
}};

}  // namespace

std::uint64_t SystemClock::boot_ns() {
    return now_ns(CLOCK_BOOTTIME);
}

std::uint64_t SystemClock::wall_ns() {
    return now_ns(CLOCK_REALTIME);
}

Result<StopSignals> StopSignals::catch_all(HangUp meaning) {
    hang_up_reloads = meaning == HangUp::kReloads;
    Fd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!fd.is_open()) {
        return errno_error(errno, "eventfd");
    }
    wake_fd = fd.get();
    struct sigaction action {};
    action.sa_handler = on_signal;  // no SA_RESTART: waits shall end
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
        if (::sigaction(signal, &action, nullptr) != 0) {
            return errno_error(errno, "sigaction");
        }
    }
    return StopSignals(std::move(fd));
}

int StopSignals::wait(std::chrono::milliseconds timeout) {
    pollfd event{.fd = fd_.get(), .events = POLLIN, .revents = 0};
    // An interrupted wait was interrupted by what it waits for.
    (void)::poll(&event, 1, static_cast<int>(timeout.count()));
    return last_signal;
}

bool StopSignals::take_reload() {
    if (!reload_asked) {
        return false;
    }
    reload_asked = 0;
    std::uint64_t n_signals = 0;
    if (last_signal == 0) {
        // Made unreadable again; a signal from here on makes it readable.
        (void)!::read(fd_.get(), &n_signals, sizeof(n_signals));
    }
    return true;
}

Result<Fd> claim_service(const std::string& state_directory) {
    if (Status made = make_directories(state_directory, 0700); !made) {
        return made.error();
    }
    Result<Fd> lock =
        open_at(AT_FDCWD, state_directory + "/service.lock", O_RDONLY | O_CREAT, 0600);
    if (lock && ::flock(lock->get(), LOCK_EX | LOCK_NB) != 0) {
        return Error{errno, "another llamux-agent runs on " + state_directory};
    }
    return lock;
}

bool service_is_running(const std::string& state_directory) {
    const Result<Fd> lock = open_at(AT_FDCWD, state_directory + "/service.lock", O_RDONLY);
    return lock && ::flock(lock->get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

void notify_service_manager(const std::string& state) {
    sd_notify(0, state.c_str());
}

void notify_reloading() {
    // systemd compares the time with that of its request.
    const std::uint64_t us = now_ns(CLOCK_MONOTONIC) / kNsPerUs;
    notify_service_manager("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(us));
}

std::chrono::milliseconds watchdog_interval() {
    std::uint64_t us = 0;
    if (sd_watchdog_enabled(0, &us) <= 0) {
        return std::chrono::milliseconds(0);
    }
    return std::chrono::milliseconds(us / 2000);
}

bool started_by_systemd() {
    return std::getenv("INVOCATION_ID") != nullptr;
}

std::vector<std::string> missing_capabilities(const ProcFs& proc) {
    const std::uint64_t held = proc.effective_capabilities();
    std::vector<std::string> missing;
    for (const Capability& capability : kNeeded) {
        if (!(held >> capability.number & 1)) {
            missing.emplace_back(capability.name);
        }
    }
    return missing;
}

Status drop_capabilities() {
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return errno_error(errno, "no_new_privs");
    }
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
    if (::syscall(SYS_capget, &header, sets.data()) != 0) {
        return errno_error(errno, "capget");
    }
    constexpr __u32 kKept = 1u << CAP_SYS_ADMIN | 1u << CAP_DAC_OVERRIDE;
    const __u32 kept = sets[0].permitted & kKept;
    sets = {};
    sets[0].effective = kept;
    sets[0].permitted = kept;
    if (::syscall(SYS_capset, &header, sets.data()) != 0) {
        return errno_error(errno, "capset");
    }
    return {};
}

std::string who_asks() {
    const passwd* user = ::getpwuid(::getuid());
    std::string name = user ? user->pw_name : "uid " + std::to_string(::getuid());
    const char* before_sudo = std::getenv("SUDO_USER");
    return before_sudo ? name + " (sudo by " + before_sudo + ")" : name;
}

double cpu_seconds() {
    timespec used{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}

Status set_nice(int nice) {
    if (::setpriority(PRIO_PROCESS, 0, nice) != 0) {
        return errno_error(errno, "nice " + std::to_string(nice));
    }
    return {};
}

Result<std::string> enter_own_cgroup(const std::string& cgroup_root, const ProcFs& proc) {
    if (started_by_systemd()) {
        return proc.own_cgroup();
    }
    if (!path_exists(cgroup_root + "/cgroup.controllers")) {
        return Error{ENOENT, cgroup_root + " is no cgroup v2 tree"};
    }
    const std::string path = "/llamux-agent";
    const std::string directory = cgroup_root + path;
    if (::mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST) {
        return errno_error(errno, directory);
    }
    if (Status moved = write_text_at(AT_FDCWD, directory + "/cgroup.procs", "0"); !moved) {
        return moved.error();
    }
    return path;
}

}  // namespace llamux
