// SPDX-License-Identifier: GPL-2.0-only
//
// What the telemetry costs: runs switches, forks, page faults and reads with it
// in place and prints, for each program, how often it ran and how long it took
// on average, as the kernel measures it (BPF_STATS_RUN_TIME, which itself adds
// two clock reads to each run). Also how long a wake-up and switch takes with
// and without. Not a test: numbers are for docs/TELEMETRY.md. Needs root.
#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <vector>

#include "counters.hpp"
#include "kernel/bpf_source.hpp"
#include "load.hpp"

namespace {

using namespace llamux;
using namespace llamux::test;

constexpr const char* kPins = "/sys/fs/bpf/llamux_cost";

// Two processes on one CPU hand a byte to and fro: nanoseconds per hand-over,
// which is one wake-up and one context switch. The best of five.
double hand_over_ns(int n) {
    double best = 1e18;
    for (int round = 0; round < 5; round++) {
        int there[2], back[2];
        if (pipe(there) != 0 || pipe(back) != 0) {
            std::abort();
        }
        char byte = 'x';
        const pid_t pid = fork();
        if (pid == 0) {
            close(there[1]);
            while (read(there[0], &byte, 1) == 1 && write(back[1], &byte, 1) == 1) {
            }
            _exit(0);
        }
        const Clock::time_point start = Clock::now();
        for (int i = 0; i < n; i++) {
            if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1) {
                std::abort();
            }
        }
        const std::chrono::duration<double, std::nano> took = Clock::now() - start;
        best = std::min(best, took.count() / (2 * n));
        for (int fd : {there[0], there[1], back[0], back[1]}) {
            close(fd);
        }
        waitpid(pid, nullptr, 0);
    }
    return best;
}

void load(int n) {
    (void)hand_over_ns(n);
    fork_times(n / 20);
    for (int i = 0; i < 50; i++) {
        use_cpu(i % 2);
    }
    use_cpu(0);
    spin(std::chrono::milliseconds(500));  // ticks
    if (const Fd disk(open("/dev/vda", O_RDONLY | O_DIRECT)); disk.is_open()) {
        void* buffer = aligned_alloc(4096, 4096);
        for (int i = 0; i < 300; i++) {
            if (pread(disk.get(), buffer, 4096, i * 65536L) < 0) {
                break;
            }
        }
        free(buffer);
    }
}

void print_programs() {
    std::printf("%-16s %10s %10s %8s\n", "program", "events", "ns/event", "missed");
    std::vector<std::filesystem::path> paths;
    for (const auto& entry : std::filesystem::directory_iterator(std::string(kPins) + "/links")) {
        paths.push_back(entry.path());
    }
    std::sort(paths.begin(), paths.end());
    for (const auto& path : paths) {
        bpf_link_info link = {};
        bpf_prog_info program = {};
        std::uint32_t length = sizeof(link);
        const Fd link_fd(bpf_obj_get(path.c_str()));
        (void)bpf_obj_get_info_by_fd(link_fd.get(), &link, &length);
        const Fd fd(bpf_prog_get_fd_by_id(link.prog_id));
        length = sizeof(program);
        (void)bpf_obj_get_info_by_fd(fd.get(), &program, &length);
        const double mean = program.run_cnt ? static_cast<double>(program.run_time_ns) /
                                                  static_cast<double>(program.run_cnt)
                                            : 0;
        std::printf("%-16s %10llu %10.0f %8llu\n", path.filename().c_str(), program.run_cnt, mean,
                    program.recursion_misses);
    }
}

}  // namespace

int main(int argc, char** argv) {
    const int n = argc > 1 ? std::atoi(argv[1]) : 20'000;
    use_cpu(0);
    const double without = hand_over_ns(n);
    BpfOptions options;
    options.pin_directory = kPins;
    {
        const Result<BpfSource> source = BpfSource::ensure(options);
        if (!source) {
            std::fprintf(stderr, "%s\n", source.error().message.c_str());
            return 1;
        }
        const double with = hand_over_ns(n);
        const Fd statistics(bpf_enable_stats(BPF_STATS_RUN_TIME));
        load(n);
        print_programs();
        std::printf("wake-up and switch: %.0f ns without, %.0f ns with telemetry\n", without, with);
    }
    return BpfSource::unload(kPins) ? 0 : 1;
}
