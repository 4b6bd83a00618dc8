// SPDX-License-Identifier: GPL-2.0-only
//
// See service.hpp.
#include "service.hpp"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <deque>
#include <functional>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

namespace llamux::gym {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;

constexpr std::size_t kPage = 4096;

std::int64_t thread_cpu_ns() {
    timespec ts{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return std::int64_t{ts.tv_sec} * 1'000'000'000 + ts.tv_nsec;
}

// What requests share: memory, files, and the lock that they convoy at.
class Store {
  public:
    explicit Store(const ServiceOptions& options)
        : request_(options.request),
          memory_(half_random(std::size_t(options.memory_mib) << 20, options.seed)) {}
    ~Store() {
        for (const int fd : {read_fd_, append_fd_}) {
            if (fd >= 0) {
                close(fd);
            }
        }
    }
    Store(const Store&) = delete;
    Store& operator=(const Store&) = delete;

    bool open_files() {
        if (!request_.reads.empty()) {
            read_fd_ = open(request_.reads.c_str(), O_RDONLY | O_CLOEXEC);
            const off_t end = read_fd_ < 0 ? 0 : lseek(read_fd_, 0, SEEK_END);
            if (end < off_t{kPage}) {
                std::perror(request_.reads.c_str());
                return false;
            }
            file_pages_ = static_cast<std::size_t>(end) / kPage;
            // As after a long time in service: all of it is in the page cache.
            std::vector<char> content(1 << 20);
            for (off_t at = 0; at < end; at += static_cast<off_t>(content.size())) {
                (void)!pread(read_fd_, content.data(), content.size(), at);
            }
        }
        if (!request_.appends.empty()) {
            append_fd_ = open(request_.appends.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
            if (append_fd_ < 0) {
                std::perror(request_.appends.c_str());
                return false;
            }
        }
        return true;
    }

    void serve(std::mt19937_64& random) {
        if (request_.hold_us > 0) {
            const std::lock_guard lock(convoy_);
            usleep(static_cast<useconds_t>(request_.hold_us));
        }
        burn(request_.work_us);
        for (int i = 0; i < request_.pages && !memory_.empty(); ++i) {
            memory_[random() % memory_.size()]++;
        }
        std::array<char, kPage> block{};
        for (int i = 0; i < request_.pages && read_fd_ >= 0; ++i) {
            const auto page = static_cast<off_t>(random() % file_pages_);
            (void)!pread(read_fd_, block.data(), block.size(), page * off_t{kPage});
        }
        if (append_fd_ >= 0) {
            // round and round in a MiB, as a journal does
            const auto page = static_cast<off_t>(appended_++ % 256);
            (void)!pwrite(append_fd_, block.data(), block.size(), page * off_t{kPage});
            fdatasync(append_fd_);
        }
    }

  private:
    const Request request_;
    std::vector<unsigned char> memory_;  // any thread writes any byte: only the fault counts
    int read_fd_ = -1;
    int append_fd_ = -1;
    std::size_t file_pages_ = 0;
    std::atomic<unsigned> appended_ = 0;
    std::mutex convoy_;
};

class Service {
  public:
    Service(const ServiceOptions& options, Store& store) : options_(options), store_(store) {}

    void run(std::FILE* out) {
        std::vector<std::thread> workers;
        for (int i = 0; i < options_.threads; ++i) {
            workers.emplace_back([this, i] { serve(options_.seed + unsigned(i)); });
        }
        const auto start = Clock::now();
        const microseconds gap{1'000'000 / options_.rate};
        auto arrival = start;
        auto report = start + std::chrono::seconds(1);
        const auto end = options_.seconds == 0 ? Clock::time_point::max()
                                               : start + std::chrono::seconds(options_.seconds);
        while (Clock::now() < end) {
            arrival += gap;
            std::this_thread::sleep_until(arrival);
            {
                const std::lock_guard lock(mutex_);
                queue_.push_back(arrival);
            }
            ready_.notify_one();
            if (Clock::now() >= report) {
                print(out, std::chrono::duration<double>(report - start).count());
                report += std::chrono::seconds(1);
            }
        }
        {
            const std::lock_guard lock(mutex_);
            stop_ = true;
        }
        ready_.notify_all();
        for (auto& worker : workers) {
            worker.join();
        }
    }

  private:
    void serve(std::uint64_t seed) {
        std::mt19937_64 random(seed);
        std::unique_lock lock(mutex_);
        while (true) {
            ready_.wait(lock, [this] { return stop_ || !queue_.empty(); });
            if (stop_) {
                return;
            }
            const auto arrival = queue_.front();
            queue_.pop_front();
            const microseconds give_up{options_.give_up_ms * 1000};
            if (Clock::now() - arrival > give_up) {
                ++given_up_;
                responses_us_.push_back(give_up.count());
                continue;
            }
            lock.unlock();
            store_.serve(random);
            const auto us = std::chrono::duration_cast<microseconds>(Clock::now() - arrival);
            lock.lock();
            responses_us_.push_back(us.count());
        }
    }

    void print(std::FILE* out, double seconds) {
        std::vector<std::int64_t> responses;
        int given_up = 0;
        {
            const std::lock_guard lock(mutex_);
            responses.swap(responses_us_);
            std::swap(given_up, given_up_);
        }
        std::sort(responses.begin(), responses.end());
        const auto percentile = [&](std::size_t permille) -> long long {
            return responses.empty() ? -1 : responses[(responses.size() - 1) * permille / 1000];
        };
        std::fprintf(out, "%.0f %zu %lld %lld %d\n", seconds, responses.size(), percentile(500),
                     percentile(990), given_up);
        std::fflush(out);
    }

    const ServiceOptions& options_;
    Store& store_;
    std::mutex mutex_;
    std::condition_variable ready_;
    std::deque<Clock::time_point> queue_;     // arrival times; guarded by mutex_
    std::vector<std::int64_t> responses_us_;  // of this second; guarded by mutex_
    int given_up_ = 0;                        // of this second; guarded by mutex_
    bool stop_ = false;                       // guarded by mutex_
};

}  // namespace

std::vector<unsigned char> half_random(std::size_t bytes, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::array<std::uint64_t, kPage / sizeof(std::uint64_t)> page{};
    std::generate_n(page.begin(), page.size() / 2, std::ref(random));
    std::vector<unsigned char> memory(bytes);
    for (std::size_t at = 0; at + kPage <= bytes; at += kPage) {
        page[0] = at;  // no two are the same
        std::memcpy(&memory[at], page.data(), kPage);
    }
    return memory;
}

void burn(std::int64_t us) {
    const std::int64_t end = thread_cpu_ns() + us * 1000;
    while (thread_cpu_ns() < end) {
        for (volatile int i = 0; i < 500;) {
            i = i + 1;
        }
    }
}

int run_service(const ServiceOptions& options) {
    Store store(options);
    if (!store.open_files()) {
        return 1;
    }
    std::FILE* out = options.out.empty() ? stdout : std::fopen(options.out.c_str(), "w");
    if (out == nullptr) {
        std::perror(options.out.c_str());
        return 1;
    }
    Service(options, store).run(out);
    return out == stdout ? 0 : std::fclose(out);
}

}  // namespace llamux::gym
