// SPDX-License-Identifier: GPL-2.0-only
//
// Workloads with a metric that a user feels, for the demo and the fault suite.
//
//   workload service --threads N --rate R --work-us W [--out FILE] ...
//	A queue of requests that arrive at a fixed rate whether or not the last
//	one is done (an open loop, so that waiting is not hidden: "coordinated
//	omission"). Each takes W us of CPU time. Every second one line goes to
//	FILE: seconds since start, requests done, p50 and p99 response time in
//	microseconds, requests given up. A request that waited longer than
//	--give-up-ms is given up, as a client would, and counts as a response
//	of that time.
//   workload hog --threads N [--seconds S]
//	N threads that never sleep.
//
// It puts itself nowhere: the caller chooses the cgroup.
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;

int64_t thread_cpu_ns() {
    timespec ts{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return int64_t{ts.tv_sec} * 1'000'000'000 + ts.tv_nsec;
}

// Uses the CPU until this thread has run for `work` more.
void burn(microseconds work) {
    const int64_t end = thread_cpu_ns() + work.count() * 1000;
    while (thread_cpu_ns() < end) {
        for (volatile int i = 0; i < 500;) {
            i = i + 1;
        }
    }
}

struct ServiceOptions {
    int threads = 2;
    int rate = 100;
    int work_us = 10000;
    int give_up_ms = 500;
    int seconds = 0;
    std::string out;
};

class Service {
  public:
    explicit Service(const ServiceOptions& options) : options_(options) {}

    int run() {
        std::FILE* out = options_.out.empty() ? stdout : std::fopen(options_.out.c_str(), "w");
        if (out == nullptr) {
            std::perror(options_.out.c_str());
            return 1;
        }
        std::vector<std::thread> workers;
        for (int i = 0; i < options_.threads; ++i) {
            workers.emplace_back([this] { serve(); });
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
        return out == stdout ? 0 : std::fclose(out);
    }

  private:
    void serve() {
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
            burn(microseconds(options_.work_us));
            const auto us = std::chrono::duration_cast<microseconds>(Clock::now() - arrival);
            lock.lock();
            responses_us_.push_back(us.count());
        }
    }

    void print(std::FILE* out, double seconds) {
        std::vector<int64_t> responses;
        int given_up = 0;
        {
            const std::lock_guard lock(mutex_);
            responses.swap(responses_us_);
            std::swap(given_up, given_up_);
        }
        std::sort(responses.begin(), responses.end());
        const auto percentile = [&](size_t permille) -> long long {
            return responses.empty() ? -1 : responses[(responses.size() - 1) * permille / 1000];
        };
        std::fprintf(out, "%.0f %zu %lld %lld %d\n", seconds, responses.size(), percentile(500),
                     percentile(990), given_up);
        std::fflush(out);
    }

    ServiceOptions options_;
    std::mutex mutex_;
    std::condition_variable ready_;
    std::deque<Clock::time_point> queue_;  // arrival times; guarded by mutex_
    std::vector<int64_t> responses_us_;    // of this second; guarded by mutex_
    int given_up_ = 0;                     // of this second; guarded by mutex_
    bool stop_ = false;                    // guarded by mutex_
};

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

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("Workloads for the demo and the fault suite");
    app.require_subcommand(1);
    ServiceOptions service;
    auto* service_command = app.add_subcommand("service", "open-loop request queue");
    service_command->add_option("--threads", service.threads)->check(CLI::Range(1, 64));
    service_command->add_option("--rate", service.rate, "requests a second")
        ->check(CLI::Range(1, 100000));
    service_command->add_option("--work-us", service.work_us, "CPU time of a request")
        ->check(CLI::Range(1, 1000000));
    service_command->add_option("--give-up-ms", service.give_up_ms)->check(CLI::Range(1, 60000));
    service_command->add_option("--seconds", service.seconds, "0: until killed");
    service_command->add_option("--out", service.out, "file for the lines; default stdout");
    int hog_threads = 1;
    int hog_seconds = 0;
    auto* hog_command = app.add_subcommand("hog", "threads that never sleep");
    hog_command->add_option("--threads", hog_threads)->check(CLI::Range(1, 64));
    hog_command->add_option("--seconds", hog_seconds, "0: until killed");
    CLI11_PARSE(app, argc, argv);
    return *service_command ? Service(service).run() : run_hog(hog_threads, hog_seconds);
}
