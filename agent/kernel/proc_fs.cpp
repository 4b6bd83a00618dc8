// SPDX-License-Identifier: GPL-2.0-only
//
// See proc_fs.hpp.
#include "kernel/proc_fs.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "kernel/files.hpp"

namespace llamux {
namespace {

std::uint64_t total_of(std::string_view text, std::string_view line_name) {
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(text.size(), line.size() + 1));
        if (line.substr(0, line_name.size()) != line_name) {
            continue;
        }
        constexpr std::string_view kTotal = "total=";
        const std::size_t at = line.find(kTotal);
        if (at == std::string_view::npos) {
            break;
        }
        return parse_number(line.substr(at + kTotal.size())).value_or(LLAMUX_UNKNOWN);
    }
    return LLAMUX_UNKNOWN;
}

// The fields of /proc/PID/stat after the name, which may itself hold blanks
// and brackets: field 3 (state) is the first.
std::optional<std::uint64_t> start_ticks_of(std::string_view stat) {
    const std::size_t bracket = stat.rfind(')');
    if (bracket == std::string_view::npos) {
        return std::nullopt;
    }
    stat.remove_prefix(std::min(stat.size(), bracket + 2));
    for (int field = 3; field < 22; field++) {
        const std::size_t gap = stat.find(' ');
        if (gap == std::string_view::npos) {
            return std::nullopt;
        }
        stat.remove_prefix(gap + 1);
    }
    return parse_number(stat);
}

}  // namespace

llamux_psi unknown_psi() {
    return llamux_psi{LLAMUX_UNKNOWN, LLAMUX_UNKNOWN};
}

llamux_psi parse_pressure(std::string_view text) {
    return llamux_psi{total_of(text, "some "), total_of(text, "full ")};
}

Result<llamux_psi> ProcFs::pressure(const std::string& resource) const {
    Result<std::string> text = read_text(proc_ + "/pressure/" + resource);
    if (!text) {
        return text.error();
    }
    return parse_pressure(*text);
}

Result<std::string> ProcFs::meminfo() const {
    return read_text(proc_ + "/meminfo");
}

Result<std::string> ProcFs::vmstat() const {
    return read_text(proc_ + "/vmstat");
}

Result<std::string> ProcFs::sysctl(const std::string& file) const {
    return read_text(proc_ + "/sys/" + file);
}

Status ProcFs::write_sysctl(const std::string& file, std::string_view text) const {
    return write_text_at(AT_FDCWD, proc_ + "/sys/" + file, text);
}

Result<std::string> ProcFs::boot_id() const {
    return sysctl("kernel/random/boot_id");
}

std::string ProcFs::kernel_release() const {
    const Result<std::string> release = sysctl("kernel/osrelease");
    return release ? *release : std::string();
}

std::uint32_t ProcFs::online_cpus() const {
    const Result<std::string> text = read_text(proc_ + "/stat");
    if (!text) {
        return 0;
    }
    std::uint32_t n_cpus = 0;
    for (std::size_t at = text->find("\ncpu"); at != std::string::npos;
         at = text->find("\ncpu", at + 1)) {
        n_cpus++;
    }
    return n_cpus;
}

bool ProcFs::swap_is_fast() const {
    const Result<std::string> zswap = read_text(sys_ + "/module/zswap/parameters/enabled");
    if (zswap && *zswap == "Y") {
        return true;
    }
    const Result<std::string> swaps = read_text(proc_ + "/swaps");
    return swaps && swaps->find("/dev/zram") != std::string::npos;
}

bool ProcFs::multi_gen_lru() const {
    const Result<std::string> enabled = read_text(sys_ + "/kernel/mm/lru_gen/enabled");
    return enabled && *enabled != "0x0000";
}

std::optional<std::uint64_t> ProcFs::cpu_clock_permille() const {
    const std::string directory = sys_ + "/devices/system/cpu/cpu0/cpufreq/";
    const Result<std::string> present = read_text(directory + "scaling_cur_freq");
    const Result<std::string> highest = read_text(directory + "cpuinfo_max_freq");
    if (!present || !highest) {
        return std::nullopt;
    }
    const auto present_khz = parse_number(*present);
    const auto highest_khz = parse_number(*highest);
    if (!present_khz || !highest_khz || *highest_khz == 0) {
        return std::nullopt;
    }
    return *present_khz * 1000 / *highest_khz;
}

Owner ProcFs::this_process() const {
    const Result<std::string> stat = read_text(proc_ + "/self/stat");
    return {::getpid(), stat ? start_ticks_of(*stat).value_or(0) : 0};
}

Owner ProcFs::process(std::int64_t pid) const {
    const Result<std::string> stat = read_text(proc_ + "/" + std::to_string(pid) + "/stat");
    return {pid, stat ? start_ticks_of(*stat).value_or(0) : 0};
}

bool ProcFs::is_alive(const Owner& owner) const {
    const Result<std::string> stat = read_text(proc_ + "/" + std::to_string(owner.pid) + "/stat");
    return stat && start_ticks_of(*stat) == owner.start_ticks;
}

Result<std::string> ProcFs::cgroup_of(const std::string& process) const {
    const Result<std::string> text = read_text(proc_ + "/" + process + "/cgroup");
    if (!text) {
        return text.error();
    }
    std::string_view rest = *text;
    while (!rest.empty()) {
        const std::string_view line = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(std::min(rest.size(), line.size() + 1));
        if (line.substr(0, 3) == "0::") {
            return std::string(line.substr(3));
        }
    }
    return Error{ENOENT, "process " + process + " is in no cgroup v2"};
}

std::uint64_t ProcFs::effective_capabilities() const {
    const Result<std::string> status = read_text(proc_ + "/self/status");
    constexpr std::string_view kKey = "CapEff:\t";
    const std::size_t at = status ? status->find(kKey) : std::string::npos;
    if (at == std::string::npos) {
        return 0;
    }
    std::uint64_t mask = 0;
    const char* start = status->data() + at + kKey.size();
    std::from_chars(start, status->data() + status->size(), mask, 16);
    return mask;
}

}  // namespace llamux
