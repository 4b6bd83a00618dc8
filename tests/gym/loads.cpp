// SPDX-License-Identifier: GPL-2.0-only
//
// See loads.hpp.
#include "loads.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <thread>
#include <vector>

#include "service.hpp"

namespace llamux::gym {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

// Runs the same in several threads, for ever.
int run_threads(int threads, const std::function<void(int)>& loop) {
    std::vector<std::thread> workers;
    for (int i = 0; i < threads; ++i) {
        workers.emplace_back(loop, i);
    }
    for (auto& worker : workers) {
        worker.join();
    }
    return 1;  // not reached while all goes well
}

// Sleeps as needed for so many calls a second; not at all for 0.
class Pace {
  public:
    explicit Pace(int rate) : gap_(rate > 0 ? 1'000'000'000 / rate : 0) {}
    void wait() {
        if (gap_.count() > 0) {
            next_ += gap_;
            std::this_thread::sleep_until(next_);
        }
    }

  private:
    std::chrono::nanoseconds gap_;
    std::chrono::steady_clock::time_point next_ = std::chrono::steady_clock::now();
};

int failed(const std::string& what) {
    std::perror(what.c_str());
    return 1;
}

// Random bytes: zram can not make them smaller.
std::vector<unsigned char> random_block(std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<unsigned char> block(kMiB);
    for (std::size_t at = 0; at < kMiB; at += sizeof(std::uint64_t)) {
        const std::uint64_t value = random();
        std::memcpy(&block[at], &value, sizeof(value));
    }
    return block;
}

// What a load has before it does harm. Says "ready" when it is there, and waits for a line.
template <typename Take>
auto beforehand(const Take& take) {
    auto taken = take();
    std::puts("ready");
    std::fflush(stdout);
    for (int c = 0; c != '\n' && c != EOF;) {
        c = std::getchar();
    }
    return taken;
}

}  // namespace

int run_hog(int threads, int seconds) {
    std::atomic<bool> stop = false;
    std::vector<std::thread> workers;
    for (int i = 0; i < threads; ++i) {
        workers.emplace_back([&stop] {
            while (!stop.load(std::memory_order_relaxed)) {
            }
        });
    }
    if (seconds == 0) {
        workers.front().join();
    }
    std::this_thread::sleep_for(std::chrono::seconds(seconds));
    stop = true;
    for (auto& worker : workers) {
        worker.join();
    }
    return 0;
}

int run_forks(int threads, int rate) {
    return run_threads(threads, [rate](int) {
        Pace pace(rate);
        while (true) {
            pace.wait();
            const pid_t child = vfork();
            if (child == 0) {
                _exit(0);
            }
            if (child > 0) {
                waitpid(child, nullptr, 0);
            }
        }
    });
}

int run_migrations(int threads, int work_us) {
    const int cpus = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
    return run_threads(threads, [=](int first) {
        for (int cpu = first;; ++cpu) {
            cpu_set_t set;
            CPU_ZERO(&set);
            CPU_SET(static_cast<unsigned>(cpu % cpus), &set);
            sched_setaffinity(0, sizeof(set), &set);
            burn(work_us);
        }
    });
}

int run_leak(int from_mib, int mib_per_second, int most_mib, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    const std::vector<unsigned char> content = random_block(seed);
    auto blocks =
        beforehand([&] { return std::vector(static_cast<std::size_t>(from_mib), content); });
    Pace pace(mib_per_second);
    while (true) {
        pace.wait();
        if (static_cast<int>(blocks.size()) < most_mib) {
            blocks.push_back(content);
        }
        // looks into what it has now and then, as a program does
        std::vector<unsigned char>& block = blocks[random() % blocks.size()];
        for (std::size_t at = 0; at < kMiB; at += 16 * 4096) {
            block[at]++;
        }
    }
}

int run_touch(int mib, int pages_per_second, std::uint64_t seed) {
    constexpr std::size_t kPage = 4096;
    constexpr int kAtOnce = 50;
    std::mt19937_64 random(seed);
    std::vector<unsigned char> memory =
        beforehand([&] { return half_random(std::size_t(mib) * kMiB, seed); });
    Pace pace(std::max(pages_per_second / kAtOnce, 1));
    while (true) {
        pace.wait();
        for (int i = 0; i < kAtOnce; ++i) {
            memory[random() % (memory.size() / kPage) * kPage]++;
        }
    }
}

int run_writer(const std::string& file, int mib) {
    const int fd = open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return failed(file);
    }
    const std::vector<char> block(kMiB, 'x');
    for (int i = 0;; i = (i + 1) % mib) {
        if (pwrite(fd, block.data(), block.size(), off_t{i} * off_t{kMiB}) < 0) {
            return failed(file);
        }
    }
}

int run_reader(const std::string& file, int threads, std::uint64_t seed) {
    constexpr std::size_t kBlock = 256 << 10;
    const int fd = open(file.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC);
    const off_t end = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
    if (end < off_t{kBlock}) {
        return failed(file);
    }
    return run_threads(threads, [=](int thread) {
        std::mt19937_64 random(seed + unsigned(thread));
        void* block = std::aligned_alloc(4096, kBlock);
        while (true) {
            const auto at = off_t(random() % std::uint64_t(end / off_t{kBlock}));
            (void)!pread(fd, block, kBlock, at * off_t{kBlock});
        }
    });
}

int run_flood(int threads, int rate) {
    return run_threads(threads, [rate](int) {
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        const int sink = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        const int source = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        socklen_t size = sizeof(to);
        if (sink < 0 || source < 0 || bind(sink, reinterpret_cast<sockaddr*>(&to), size) != 0 ||
            getsockname(sink, reinterpret_cast<sockaddr*>(&to), &size) != 0) {
            std::perror("udp");
            return;
        }
        // Nobody reads: what does not fit the socket's buffer is dropped after
        // all the work of receiving it.
        Pace pace(rate);
        while (true) {
            pace.wait();
            (void)!sendto(source, "x", 1, 0, reinterpret_cast<sockaddr*>(&to), sizeof(to));
        }
    });
}

int run_huge_pages(int threads) {
    constexpr std::size_t kBytes = 32 * kMiB;
    return run_threads(threads, [](int) {
        while (true) {
            void* at =
                mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (at == MAP_FAILED) {
                continue;
            }
            madvise(at, kBytes, MADV_HUGEPAGE);
            for (std::size_t page = 0; page < kBytes; page += 4096) {
                static_cast<volatile char*>(at)[page] = 1;
            }
            munmap(at, kBytes);
        }
    });
}

}  // namespace llamux::gym
