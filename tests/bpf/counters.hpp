// SPDX-License-Identifier: GPL-2.0-only
//
// Reads the telemetry maps through libbpf, independently of the module.
#pragma once

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cstdint>
#include <vector>

#include "llamux/telemetry.h"

namespace llamux::test {

template <class Record, class Key>
Record sum_over_cpus(int fd, const Key& key) {
    // The kernel rounds each CPU's value up to 8 bytes; records are multiples.
    static_assert(sizeof(Record) % 8 == 0);
    std::vector<Record> values(static_cast<std::size_t>(libbpf_num_possible_cpus()));
    Record sum = {};
    if (bpf_map_lookup_elem(fd, &key, values.data()) != 0) {
        return sum;
    }
    auto* words = reinterpret_cast<std::uint64_t*>(&sum);
    for (const Record& value : values) {
        const auto* more = reinterpret_cast<const std::uint64_t*>(&value);
        for (std::size_t i = 0; i < sizeof(Record) / 8; i++) {
            words[i] += more[i];
        }
    }
    return sum;
}

inline llamux_cgroup_record cgroup_record(int fd, std::uint64_t id) {
    return sum_over_cpus<llamux_cgroup_record>(fd, llamux_cgroup_key{id});
}

inline llamux_system_record system_record(int fd) {
    return sum_over_cpus<llamux_system_record>(fd, std::uint32_t{0});
}

}  // namespace llamux::test
