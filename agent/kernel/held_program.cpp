// SPDX-License-Identifier: GPL-2.0-only
//
// See held_program.hpp.
#include "kernel/held_program.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

namespace llamux {
namespace {

constexpr int kCannotExecute = 126;  // as shells have it
constexpr int kNotFound = 127;

[[noreturn]] void become(const std::vector<std::string>& words, int gate) {
    char go = 0;
    if (::read(gate, &go, 1) != 1) {
        ::_exit(0);  // not let go
    }
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
        ::signal(signal, SIG_DFL);
    }
    std::vector<char*> argv;
    for (const std::string& word : words) {
        argv.push_back(const_cast<char*>(word.c_str()));
    }
    argv.push_back(nullptr);
    ::execvp(argv[0], argv.data());
    const int code = errno;
    std::fprintf(stderr, "llamux-agent: %s: %s\n", argv[0], std::strerror(code));
    ::_exit(code == ENOENT ? kNotFound : kCannotExecute);
}

}  // namespace

Result<bool> wait_for_end(pid_t pid, StopSignals& signals) {
    const Fd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (!process.is_open()) {
        return errno_error(errno, "process " + std::to_string(pid));
    }
    for (;;) {
        pollfd events[] = {{.fd = process.get(), .events = POLLIN, .revents = 0},
                           {.fd = signals.fd(), .events = POLLIN, .revents = 0}};
        if (::poll(events, 2, -1) < 0 && errno != EINTR) {
            return errno_error(errno, "process " + std::to_string(pid));
        }
        if (events[0].revents != 0) {
            return true;
        }
        if (signals.wait(std::chrono::milliseconds(0)) != 0) {
            return false;
        }
    }
}

Result<HeldProgram> HeldProgram::start(const std::vector<std::string>& words) {
    int ends[2] = {-1, -1};
    if (::pipe2(ends, O_CLOEXEC) != 0) {
        return errno_error(errno, "pipe");
    }
    const Fd inside(ends[0]);
    Fd gate(ends[1]);
    const pid_t pid = ::fork();
    if (pid < 0) {
        return errno_error(errno, "fork");
    }
    if (pid == 0) {
        ::close(ends[1]);
        become(words, ends[0]);
    }
    return HeldProgram(pid, std::move(gate));
}

HeldProgram::HeldProgram(HeldProgram&& other) noexcept
    : pid_(std::exchange(other.pid_, 0)), gate_(std::move(other.gate_)) {}

HeldProgram::~HeldProgram() {
    if (pid_ > 0) {
        gate_ = Fd();
        int status = 0;
        while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
        }
    }
}

Status HeldProgram::let_go() {
    const char go = 1;
    if (::write(gate_.get(), &go, 1) != 1) {
        return errno_error(errno, "starting the program");
    }
    return {};
}

int HeldProgram::wait(StopSignals& signals) {
    const Result<bool> ended = wait_for_end(pid_, signals);
    if (ended && !*ended) {
        ::kill(pid_, SIGTERM);
    }
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace llamux
