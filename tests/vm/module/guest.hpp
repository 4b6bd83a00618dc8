// SPDX-License-Identifier: GPL-2.0-only
//
// What the module's guest tests share: the module in and out of the kernel,
// models to load, other users. Only for a guest: it runs as root.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/module.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "support/tiny_model.hpp"

namespace llamux::vm {

using namespace std::chrono_literals;

// A file descriptor that is closed.
class Fd {
  public:
    explicit Fd(int fd = -1) : fd_(fd) {}
    ~Fd() { reset(); }
    Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Fd& operator=(Fd&& other) noexcept {
        if (this != &other) {
            reset();
            fd_ = std::exchange(other.fd_, -1);
        }
        return *this;
    }
    [[nodiscard]] int get() const { return fd_; }
    void reset() {
        if (fd_ >= 0)
            close(fd_);
        fd_ = -1;
    }

  private:
    int fd_;
};

inline Fd open_file(const std::string& path, int flags = O_RDONLY) {
    return Fd(open(path.c_str(), flags | O_CLOEXEC));
}

// Polls until it holds; TCG on a loaded host is slow, so the deadline is far.
inline bool eventually(const std::function<bool()>& holds, std::chrono::seconds limit = 60s) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    while (!holds()) {
        if (std::chrono::steady_clock::now() > deadline)
            return false;
        std::this_thread::sleep_for(10ms);
    }
    return true;
}

// 0 or errno.
inline int insmod(const std::string& parameters = "") {
    const char* path = std::getenv("LLAMUX_KO");
    const Fd file = open_file(path ? path : "");
    return syscall(SYS_finit_module, file.get(), parameters.c_str(), 0) == 0 ? 0 : errno;
}

inline int rmmod() {
    return syscall(SYS_delete_module, "llamux", O_NONBLOCK) == 0 ? 0 : errno;
}

// "key: value" lines of a file below /proc/llamux.
inline std::map<std::string, std::string> proc_values(const std::string& name) {
    std::map<std::string, std::string> values;
    std::ifstream file("/proc/llamux/" + name);
    for (std::string line; std::getline(file, line);) {
        const std::size_t colon = line.find(": ");
        if (colon != std::string::npos)
            values[line.substr(0, colon)] = line.substr(colon + 2);
    }
    return values;
}

inline std::uint64_t proc_number(const std::string& file, const std::string& key) {
    return std::strtoull(proc_values(file)[key].c_str(), nullptr, 10);
}

// The thread that runs requests; 0: there is none.
inline pid_t request_thread() {
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
        std::string name;
        std::getline(std::ifstream(entry.path() / "comm") >> std::ws, name);
        if (name == "llamux/0")
            return std::stoi(entry.path().filename());
    }
    return 0;
}

// The module is in the kernel while this lives.
class Module {
  public:
    explicit Module(const std::string& parameters = "") {
        const int error = insmod(parameters);
        EXPECT_EQ(error, 0) << "insmod " << parameters << ": " << std::strerror(error);
    }
    ~Module() {
        const int error = rmmod();
        EXPECT_EQ(error, 0) << "rmmod: " << std::strerror(error);
    }
    Module(const Module&) = delete;
    Module& operator=(const Module&) = delete;
};

// Runs it in a child process as another user; its result is the exit status.
inline int as_user(uid_t uid, const std::function<int()>& run) {
    const pid_t child = fork();
    if (child == 0) {
        if (setgid(uid) || setuid(uid))
            _exit(255);
        _exit(run());
    }
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

// Writes a model; the guest's /tmp is emptied after each test.
inline std::string write_model(const std::string& name, const test::TinyModel& model) {
    std::string path = "/tmp/" + name + ".gguf";
    EXPECT_TRUE(model.build().write(path));
    return path;
}

// Quick: a token takes some milliseconds in TCG.
inline test::TinyModel quick_model(std::uint32_t seed = 1) {
    test::TinyModel model;
    model.n_ctx = 128;
    model.type = 8;  // Q8_0: integers are faster than floats there
    model.seed = seed;
    return model;
}

// So long that an answer takes longer than any test waits.
inline test::TinyModel slow_model() {
    test::TinyModel model;
    model.n_embd = 256;
    model.n_ff = 1024;
    model.n_head = 8;
    model.n_head_kv = 8;
    model.n_layer = 6;
    model.n_ctx = 2048;
    return model;
}

}  // namespace llamux::vm
