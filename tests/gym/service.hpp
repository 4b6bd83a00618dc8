// SPDX-License-Identifier: GPL-2.0-only
//
// A service whose users wait: an open loop of requests, so that waiting is not
// hidden ("coordinated omission"). Used by the demo and the fault suite.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace llamux::gym {

// What one request does, in this order. 0 or empty: not at all.
struct Request {
    int hold_us = 0;      // sleeps with the lock that all requests share
    int work_us = 10000;  // CPU time
    int pages = 0;        // pages of the service's own memory, at random
    std::string reads;    // file of which it reads `pages` blocks of 4 KiB at random
    std::string appends;  // file to which it appends 4 KiB and syncs it
};

struct ServiceOptions {
    int threads = 2;
    int rate = 100;        // requests a second, at fixed times
    int give_up_ms = 500;  // a client waits no longer
    int seconds = 0;       // 0: until killed
    int memory_mib = 0;    // its own memory, all of it touched at the start
    std::uint64_t seed = 1;
    std::string out;  // empty: stdout
    Request request;
};

// Writes a line a second: seconds since start, requests done, p50 and p99
// response time in microseconds, requests given up. Such a request counts as a
// response of the time that its client waited. Returns an exit status.
int run_service(const ServiceOptions& options);

// Memory that zram compresses as it does what programs have: half of each page is random.
std::vector<unsigned char> half_random(std::size_t bytes, std::uint64_t seed);

// Uses the CPU until this thread has run for so many microseconds more.
void burn(std::int64_t us);

}  // namespace llamux::gym
