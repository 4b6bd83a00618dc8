// SPDX-License-Identifier: GPL-2.0-only
//
// A machine made of files in a temporary directory: a cgroup tree, /proc and
// /sys as far as the agent reads them, and a clock that only tests move.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "core/clock.hpp"
#include "kernel/cgroup_fs.hpp"
#include "kernel/journal.hpp"
#include "kernel/knobs.hpp"
#include "kernel/proc_fs.hpp"
#include "kernel/roots.hpp"

namespace llamux {

class FakeClock final : public Clock {
  public:
    std::uint64_t boot_ns() override { return now_ns_; }
    std::uint64_t wall_ns() override { return now_ns_ + 1'600'000'000 * kNsPerSecond; }
    void advance_ms(std::uint64_t ms) { now_ns_ += ms * 1'000'000; }

  private:
    std::uint64_t now_ns_ = 1000 * kNsPerSecond;
};

class FakeMachine {
  public:
    FakeMachine() {
        // In memory where possible: every journal entry is a sync.
        const std::filesystem::path memory = "/dev/shm";
        std::string name =
            (std::filesystem::is_directory(memory) ? memory
                                                   : std::filesystem::temp_directory_path()) /
            "llamux-test-XXXXXX";
        if (!::mkdtemp(name.data())) {
            throw std::runtime_error("mkdtemp");
        }
        directory_ = name;
        roots = Roots::below(directory_);
        write("cgroup/cgroup.controllers", "cpu io memory");
        write("cgroup/io.cost.qos", "");
        write("proc/pressure/cpu", pressure(0, 0));
        write("proc/pressure/memory", pressure(0, 0));
        write("proc/pressure/io", pressure(0, 0));
        write("proc/meminfo",
              "MemTotal:        1048576 kB\nMemFree: 1 kB\nMemAvailable:     524288 kB\n"
              "Dirty:               100 kB\nWriteback:             0 kB\n"
              "SwapTotal:             0 kB\nSwapFree:              0 kB");
        write("proc/vmstat", "pswpin 5\npswpout 7\nallocstall_normal 3\nallocstall_movable 4");
        write("proc/stat", "cpu  1 2 3\ncpu0 1 2 3\ncpu1 1 2 3\nintr 5");
        write("proc/swaps", "Filename Type Size Used Priority");
        write("proc/self/stat", stat_line(1));
        write("proc/self/cgroup", "0::/llamux-agent");
        write("proc/sys/kernel/random/boot_id", "boot-1");
        write("proc/sys/vm/swappiness", "60");
        write("proc/sys/vm/dirty_background_ratio", "10");
        write("proc/sys/vm/dirty_ratio", "20");
        write("proc/sys/vm/dirty_background_bytes", "0");
        write("proc/sys/vm/dirty_bytes", "0");
        write("proc/sys/vm/watermark_scale_factor", "10");
    }
    ~FakeMachine() { std::filesystem::remove_all(directory_); }
    FakeMachine(const FakeMachine&) = delete;
    FakeMachine& operator=(const FakeMachine&) = delete;

    static std::string pressure(std::uint64_t some_us, std::uint64_t full_us) {
        return "some avg10=0.00 avg60=0.00 avg300=0.00 total=" + std::to_string(some_us) +
               "\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=" + std::to_string(full_us);
    }
    static std::string stat_line(std::uint64_t start_ticks) {
        return "1 (a) b) S 1 1 1 0 -1 4194560 1 1 1 1 1 1 1 1 20 0 1 0 " +
               std::to_string(start_ticks) + " 1 1";
    }

    // A group with every control file, as a fresh one has them. Its id.
    std::uint64_t add_group(const std::string& path) {
        const std::string base = "cgroup" + path + "/";
        std::filesystem::create_directories(directory_ + "/" + base);
        const std::vector<std::pair<const char*, std::string>> files = {
            {"cpu.pressure", pressure(0, 0)},
            {"memory.pressure", pressure(0, 0)},
            {"io.pressure", pressure(0, 0)},
            {"cpu.stat", "usage_usec 100\nnr_periods 0\nnr_throttled 0\nthrottled_usec 0"},
            {"memory.current", "104857600"},
            {"memory.swap.current", "0"},
            {"memory.events", "low 0\nhigh 0\nmax 0\noom 0"},
            {"cpu.weight", "100"},
            {"cpu.idle", "0"},
            {"cpu.max", "max 100000"},
            {"memory.low", "0"},
            {"memory.high", "max"},
            {"memory.reclaim", ""},
            {"io.weight", "default 100\n8:0 300"},
        };
        for (const auto& [file, text] : files) {
            write(base + file, text);
        }
        return id_of(path);
    }
    void remove_group(const std::string& path) {
        std::filesystem::remove_all(directory_ + "/cgroup" + path);
    }
    // The same name, another group: the old directory keeps its inode alive
    // until the new one has one.
    std::uint64_t replace_group(const std::string& path) {
        const std::string place = directory_ + "/cgroup" + path;
        std::filesystem::rename(place, directory_ + "/removed");
        const std::uint64_t id = add_group(path);
        std::filesystem::remove_all(directory_ + "/removed");
        return id;
    }
    std::uint64_t id_of(const std::string& path) const {
        const Result<Cgroup> group = CgroupFs(roots.cgroup).open(path, 0);
        return group ? group->id() : 0;
    }

    void write(const std::string& file, const std::string& text) const {
        const std::filesystem::path path = std::filesystem::path(directory_) / file;
        std::filesystem::create_directories(path.parent_path());
        std::ofstream(path) << text << "\n";
    }
    std::string read(const std::string& file) const {
        const Result<std::string> text = read_text(directory_ + "/" + file);
        return text ? *text : "(" + text.error().message + ")";
    }
    std::string group_file(const std::string& path, const std::string& file) const {
        return read("cgroup" + path + "/" + file);
    }
    void set_group_file(const std::string& path, const std::string& file,
                        const std::string& text) const {
        write("cgroup" + path + "/" + file, text);
    }
    std::string sysctl(const std::string& name) const { return read("proc/sys/" + name); }
    void set_sysctl(const std::string& name, const std::string& text) const {
        write("proc/sys/" + name, text);
    }
    const std::string& directory() const { return directory_; }

    // Nobody else writes, but for what is in writings.
    KernelKnobs knobs() const {
        return KernelKnobs(CgroupFs(roots.cgroup), ProcFs(roots), nullptr,
                           [this](const std::string& sysctl) -> std::optional<Writing> {
                               const auto found = writings.find(sysctl);
                               return found == writings.end() ? std::nullopt
                                                              : std::optional(found->second);
                           });
    }
    Journal journal(Owner owner = {1, 1}, const std::string& boot_id = "boot-1") {
        return Journal(roots.state, JournalWriter{boot_id, owner}, clock);
    }

    Roots roots;
    FakeClock clock;
    std::map<std::string, Writing> writings;  // last one of each sysctl

  private:
    std::string directory_;
};

}  // namespace llamux
