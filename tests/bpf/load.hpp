// SPDX-License-Identifier: GPL-2.0-only
//
// Known loads in cgroups of their own, for tests that run as root in a guest.
#pragma once

#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <utility>

namespace llamux::test {

using Clock = std::chrono::steady_clock;

inline std::string slurp(const std::string& path) {
    std::ifstream file(path);
    return std::string(std::istreambuf_iterator<char>(file), {});
}

// The number after "KEY " at the start of a line of a flat-keyed file; -1: none.
inline std::int64_t flat_value(const std::string& path, const std::string& key) {
    std::ifstream file(path);
    std::string word;
    std::int64_t value = 0;
    while (file >> word >> value) {
        if (word == key) {
            return value;
        }
    }
    return -1;
}

class Group {
  public:
    explicit Group(const std::string& name) : path_("/sys/fs/cgroup/" + name) {
        mkdir(path_.c_str(), 0755);
        struct stat status = {};
        stat(path_.c_str(), &status);
        id_ = status.st_ino;
    }
    ~Group() { rmdir(path_.c_str()); }
    Group(const Group&) = delete;
    Group& operator=(const Group&) = delete;

    std::uint64_t id() const { return id_; }
    std::string file(const std::string& name) const { return path_ + "/" + name; }
    bool set(const std::string& name, const std::string& value) const {
        std::ofstream out(file(name));
        out << value << std::flush;
        return out.good();
    }
    std::int64_t value(const std::string& name, const std::string& key) const {
        return flat_value(file(name), key);
    }

  private:
    std::string path_;
    std::uint64_t id_ = 0;
};

// A process that runs @load inside @group, from its first instruction on.
class Child {
  public:
    Child(const Group& group, std::function<void()> load) {
        int gate[2];
        if (pipe2(gate, O_CLOEXEC) != 0) {
            std::abort();
        }
        pid_ = fork();
        if (pid_ == 0) {
            char go = 0;
            if (read(gate[0], &go, 1) != 1) {
                _exit(99);
            }
            load();
            _exit(0);
        }
        moved_ = group.set("cgroup.procs", std::to_string(pid_));
        if (write(gate[1], "g", 1) != 1) {
            std::abort();
        }
        close(gate[0]);
        close(gate[1]);
    }
    ~Child() {
        if (pid_ > 0) {
            kill(pid_, SIGKILL);
            (void)wait();
        }
    }
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;

    bool moved() const { return moved_; }
    // Exit status as waitpid(2) has it.
    int wait() {
        int status = -1;
        wait4(std::exchange(pid_, -1), &status, 0, &usage_);
        return status;
    }
    const rusage& usage() const { return usage_; }

  private:
    pid_t pid_ = -1;
    bool moved_ = false;
    rusage usage_ = {};
};

inline int run_in(const Group& group, std::function<void()> load) {
    Child child(group, std::move(load));
    return child.moved() ? child.wait() : -1;
}

inline void use_cpu(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof(set), &set) != 0) {
        _exit(98);
    }
}

inline void spin_until(Clock::time_point end) {
    while (Clock::now() < end) {
    }
}

inline void spin(std::chrono::milliseconds time) {
    spin_until(Clock::now() + time);
}

inline void fork_times(int n) {
    for (int i = 0; i < n; i++) {
        const pid_t pid = fork();
        if (pid == 0) {
            _exit(0);
        }
        waitpid(pid, nullptr, 0);
    }
}

}  // namespace llamux::test
