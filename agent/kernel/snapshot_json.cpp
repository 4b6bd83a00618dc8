// SPDX-License-Identifier: GPL-2.0-only
//
// See snapshot_json.hpp. Each struct's fields are named once, in a function
// that a writer and a reader visit.
#include "kernel/snapshot_json.hpp"

#include <cstring>

#include "kernel/json_reader.hpp"

namespace llamux {
namespace {

class FieldWriter {
  public:
    explicit FieldWriter(Json& json) : json_(json) {}

    template <class Integer>
    void operator()(const char* name, const Integer& value) {
        if (value != 0) {
            json_[name] = number_to_json(value);
        }
    }
    template <class Integer, std::size_t N>
    void list(const char* name, const Integer (&values)[N]) {
        Json list = Json::array();
        bool is_empty = true;
        for (const Integer value : values) {
            list.push_back(value);
            is_empty = is_empty && value == 0;
        }
        if (!is_empty) {
            json_[name] = std::move(list);
        }
    }
    template <class Visit>
    void object(const char* name, const Visit& visit) {
        Json child = Json::object();
        FieldWriter writer(child);
        visit(writer);
        if (!child.empty()) {
            json_[name] = std::move(child);
        }
    }

  private:
    Json& json_;
};

// Keeps the first mistake in @reader.
class FieldReader {
  public:
    FieldReader(const Json& json, JsonReader& reader) : json_(json), reader_(reader) {}

    void operator()(const char* name, __u64& value) {
        value = reader_.has(name) ? reader_.number(name) : 0;
    }
    void operator()(const char* name, __u32& value) {
        value = reader_.has(name) ? reader_.small_number(name) : 0;
    }
    template <std::size_t N>
    void list(const char* name, __u64 (&values)[N]) {
        if (!reader_.has(name)) {
            return;
        }
        const Json& list = reader_.array(name);
        if (list.size() != N) {
            return reader_.fail(std::string(name) + " has not " + std::to_string(N) + " entries");
        }
        for (std::size_t i = 0; i < N; i++) {
            if (!list[i].is_number_unsigned()) {
                return reader_.fail(std::string(name) + " has an entry that is no number");
            }
            values[i] = list[i].get<std::uint64_t>();
        }
    }
    template <class Visit>
    void object(const char* name, const Visit& visit) {
        if (!reader_.has(name)) {
            return;
        }
        const Json& child = reader_.object(name);
        JsonReader child_reader(child);
        FieldReader fields(child, child_reader);
        visit(fields);
        if (const Result<bool> read = child_reader.finish(true); !read) {
            reader_.fail(std::string(name) + ": " + read.error().message);
        }
    }

  private:
    const Json& json_;
    JsonReader& reader_;
};

template <class Pressure, class Visitor>
void visit_pressure(Pressure& psi, Visitor& visit) {
    visit("cpu_some_us", psi.cpu.some_us);
    visit("cpu_full_us", psi.cpu.full_us);
    visit("memory_some_us", psi.memory.some_us);
    visit("memory_full_us", psi.memory.full_us);
    visit("io_some_us", psi.io.some_us);
    visit("io_full_us", psi.io.full_us);
}

template <class Record, class Visitor>
void visit_cgroup_record(Record& record, Visitor& visit) {
    visit("run_ns", record.run_ns);
    visit("runq_wait_ns", record.runq_wait_ns);
    visit("runq_wait_count", record.runq_wait_count);
    visit("switches", record.switches);
    visit("migrations", record.migrations);
    visit("preempted_by_self", record.preempted_by_self);
    visit("preempted_by_other", record.preempted_by_other);
    visit("preempted_others", record.preempted_others);
    visit("throttled_count", record.throttled_count);
    visit("direct_reclaim_ns", record.direct_reclaim_ns);
    visit("direct_reclaim_count", record.direct_reclaim_count);
    visit("compaction_ns", record.compaction_ns);
    visit("compaction_count", record.compaction_count);
    visit("major_faults", record.major_faults);
    visit("refaults_anon", record.refaults_anon);
    visit("refaults_file", record.refaults_file);
    visit("oom_victims", record.oom_victims);
    visit("forks", record.forks);
    visit("block_io_ns", record.block_io_ns);
    visit("block_io_count", record.block_io_count);
    visit("block_io_bytes", record.block_io_bytes);
    visit.list("runq_wait_hist", record.runq_wait_hist);
}

template <class Record, class Visitor>
void visit_system_record(Record& record, Visitor& visit) {
    visit.object("total", [&](auto& v) { visit_cgroup_record(record.total, v); });
    visit("kswapd_wakes", record.kswapd_wakes);
    visit("kswapd_ns", record.kswapd_ns);
    visit("softirq_ns", record.softirq_ns);
    visit("idle_ns", record.idle_ns);
    visit("dropped_records", record.dropped_records);
    visit("dropped_wakeups", record.dropped_wakeups);
    visit("dropped_block_io", record.dropped_block_io);
    visit.list("block_io_hist", record.block_io_hist);
}

template <class Signals, class Visitor>
void visit_group_signals(Signals& signals, Visitor& visit) {
    visit("cgroup_id", signals.cgroup_id);
    visit("parent_id", signals.parent_id);
    visit("flags", signals.flags);
    visit.object("psi", [&](auto& v) { visit_pressure(signals.psi, v); });
    visit("throttled_us", signals.throttled_us);
    visit("throttled_count", signals.throttled_count);
    visit("periods_count", signals.periods_count);
    visit("memory_current_bytes", signals.memory_current_bytes);
    visit("memory_swap_bytes", signals.memory_swap_bytes);
    visit("memory_high_events", signals.memory_high_events);
    visit("cpu_weight", signals.cpu_weight);
    visit("cpu_idle", signals.cpu_idle);
    visit("cpu_max_quota_us", signals.cpu_max_quota_us);
    visit("cpu_max_period_us", signals.cpu_max_period_us);
    visit("memory_low_bytes", signals.memory_low_bytes);
    visit("memory_high_bytes", signals.memory_high_bytes);
    visit("io_weight", signals.io_weight);
}

template <class Signals, class Visitor>
void visit_system_signals(Signals& signals, Visitor& visit) {
    visit("flags", signals.flags);
    visit("n_cpus", signals.n_cpus);
    visit.object("psi", [&](auto& v) { visit_pressure(signals.psi, v); });
    visit("memory_total_bytes", signals.memory_total_bytes);
    visit("memory_available_bytes", signals.memory_available_bytes);
    visit("memory_dirty_bytes", signals.memory_dirty_bytes);
    visit("memory_writeback_bytes", signals.memory_writeback_bytes);
    visit("swap_total_bytes", signals.swap_total_bytes);
    visit("swap_free_bytes", signals.swap_free_bytes);
    visit("swap_in_pages", signals.swap_in_pages);
    visit("swap_out_pages", signals.swap_out_pages);
    visit("allocstalls", signals.allocstalls);
    visit("dirty_throttle_us", signals.dirty_throttle_us);
    visit("cpu_mhz_permille", signals.cpu_mhz_permille);
    visit("vm_swappiness", signals.vm_swappiness);
    visit("vm_dirty_background_ratio", signals.vm_dirty_background_ratio);
    visit("vm_dirty_ratio", signals.vm_dirty_ratio);
    visit("vm_dirty_background_bytes", signals.vm_dirty_background_bytes);
    visit("vm_dirty_bytes", signals.vm_dirty_bytes);
    visit("vm_watermark_scale_factor", signals.vm_watermark_scale_factor);
}

template <class Group, class Visitor>
void visit_group(Group& group, Visitor& visit) {
    visit.object("record", [&](auto& v) { visit_cgroup_record(group.record, v); });
    visit.object("signals", [&](auto& v) { visit_group_signals(group.signals, v); });
    visit("runq_wait_p99_us", group.runq_wait_p99_us);
    visit("cpu_permille", group.cpu_permille);
}

// All but schema and groups.
template <class Snapshot, class Visitor>
void visit_system(Snapshot& snapshot, Visitor& visit) {
    visit("flags", snapshot.flags);
    visit("sequence", snapshot.sequence);
    visit("window_start_ns", snapshot.window_start_ns);
    visit("window_ns", snapshot.window_ns);
    visit.object("record", [&](auto& v) { visit_system_record(snapshot.record, v); });
    visit.object("signals", [&](auto& v) { visit_system_signals(snapshot.signals, v); });
    visit("runq_wait_p99_us", snapshot.runq_wait_p99_us);
    visit("block_io_p99_us", snapshot.block_io_p99_us);
    visit("n_groups_dropped", snapshot.n_groups_dropped);
    visit("inference_permille", snapshot.inference_permille);
}

Result<CgroupNode> read_group(const Json& json, llamux_group_snapshot& group) {
    JsonReader reader(json);
    FieldReader fields(json, reader);
    visit_group(group, fields);
    CgroupNode node;
    node.id = group.signals.cgroup_id;
    node.parent_id = group.signals.parent_id;
    node.path = reader.has("path") ? reader.string("path") : "";
    node.n_siblings = reader.has("n_siblings") ? reader.small_number("n_siblings") : 0;
    return reader.finish(std::move(node));
}

}  // namespace

Json to_json(const llamux_snapshot& snapshot, const CgroupTree& tree) {
    Json json = Json::object();
    FieldWriter writer(json);
    visit_system(snapshot, writer);
    Json groups = Json::array();
    for (std::uint32_t i = 0; i < snapshot.n_groups && i < LLAMUX_MAX_GROUPS; i++) {
        Json group = Json::object();
        if (const CgroupNode* node = tree.find(snapshot.groups[i].signals.cgroup_id)) {
            group["path"] = node->path;
            group["n_siblings"] = node->n_siblings;
        }
        FieldWriter fields(group);
        visit_group(snapshot.groups[i], fields);
        groups.push_back(std::move(group));
    }
    json["groups"] = std::move(groups);
    return json;
}

Result<NamedSnapshot> named_snapshot_from_json(const Json& json) {
    JsonReader reader(json);
    const auto snapshot = std::make_shared<llamux_snapshot>();
    std::memset(snapshot.get(), 0, sizeof(*snapshot));
    snapshot->schema = LLAMUX_TELEMETRY_SCHEMA;
    FieldReader fields(json, reader);
    visit_system(*snapshot, fields);
    NamedSnapshot named;
    const Json& groups = reader.array("groups");
    if (groups.size() > LLAMUX_MAX_GROUPS) {
        reader.fail("more than " + std::to_string(LLAMUX_MAX_GROUPS) + " groups");
        return reader.finish(std::move(named));
    }
    for (const Json& group : groups) {
        CgroupNode node =
            reader.take(read_group(group, snapshot->groups[snapshot->n_groups++]), "groups");
        if (!node.path.empty()) {
            named.tree.nodes.push_back(std::move(node));
        }
    }
    named.snapshot = snapshot;
    return reader.finish(std::move(named));
}

}  // namespace llamux
