// SPDX-License-Identifier: GPL-2.0-only
//
// Loads that hurt others: the known causes of the fault suite. Each runs until
// it is killed, or for so many seconds.
#pragma once

#include <cstdint>
#include <string>

namespace llamux::gym {

// Threads that never sleep.
int run_hog(int threads, int seconds);

// Threads that start processes which end at once, each so many a second; 0: as
// fast as it can.
int run_forks(int threads, int rate);

// Threads that move themselves from CPU to CPU between short bursts of work.
int run_migrations(int threads, int work_us);

// Takes so much memory, says "ready" and waits for a line; then takes more every second, up to a
// limit, and keeps it in use.
int run_leak(int from_mib, int mib_per_second, int most_mib, std::uint64_t seed);

// Takes so much memory, says "ready" and waits for a line; then writes to so many of its pages a
// second, at random.
int run_touch(int mib, int pages_per_second, std::uint64_t seed);

// Overwrites a file again and again through the page cache.
int run_writer(const std::string& file, int mib);

// Reads a file in blocks of 256 KiB at random, past the page cache.
int run_reader(const std::string& file, int threads, std::uint64_t seed);

// Sends UDP packets of one byte over the loopback device, so many a second and thread; 0: as
// fast as it can.
int run_flood(int threads, int rate);

// Takes and gives back huge pages.
int run_huge_pages(int threads);

}  // namespace llamux::gym
