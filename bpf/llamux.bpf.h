/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What all telemetry programs share: the maps, and how to reach the record of
 * a cgroup, of the system, of a task and of this CPU.
 *
 * Programs only count: no thresholds, no policy, no ring buffer. A counter in
 * a per-CPU map needs no atomic operation: each field is written by one hook,
 * hooks run with preemption off, and the kernel does not run one program
 * inside itself (such a miss is counted: recursion_misses in bpftool prog
 * show). The dropped_* counters have several writers and are atomic.
 */
#ifndef LLAMUX_BPF_H
#define LLAMUX_BPF_H

#include "core_compat.bpf.h"

#include <llamux/telemetry.h>

/* Requests in flight whose start is remembered; more are counted as dropped. */
#define LLAMUX_MAX_REQUESTS 8192

/* Value of llamux_tasks. A time of 0 means: not in that state. */
struct llamux_task {
	__u64 wait_since_ns;	   /* runnable without a CPU */
	__u64 reclaim_since_ns;	   /* in direct reclaim; kswapd: awake */
	__u64 compaction_since_ns;
	__u64 major_faults_counted; /* of task_struct.maj_flt */
};

/* Value of llamux_cpus. */
struct llamux_cpu {
	__u64 since_ns;		/* up to here the CPU's time is accounted */
	__u64 softirq_since_ns;
};

struct llamux_request {
	__u64 issued_ns;
	__u64 cgroup_id;
	__u64 bytes;
};

/* The loader writes and pins it last: it says that the pinned set is whole. */
struct llamux_meta {
	__u64 object_hash;	/* of the object that the programs come from */
	__u32 schema;		/* LLAMUX_TELEMETRY_SCHEMA */
	__u32 refused;		/* bit set of the probes that the kernel refused */
};

struct llamux_cgroups_map {
	__uint(type, BPF_MAP_TYPE_LRU_PERCPU_HASH);
	__uint(max_entries, LLAMUX_MAX_CGROUPS);
	__type(key, struct llamux_cgroup_key);
	__type(value, struct llamux_cgroup_record);
};

struct llamux_system_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct llamux_system_record);
};

struct llamux_tasks_map {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct llamux_task);
};

struct llamux_cpus_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct llamux_cpu);
};

struct llamux_requests_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LLAMUX_MAX_REQUESTS);
	__type(key, __u64);
	__type(value, struct llamux_request);
};

struct llamux_meta_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct llamux_meta);
};

extern struct llamux_cgroups_map llamux_cgroups SEC(".maps");
extern struct llamux_system_map llamux_system SEC(".maps");
extern struct llamux_tasks_map llamux_tasks SEC(".maps");
extern struct llamux_cpus_map llamux_cpus SEC(".maps");

static const __u32 zero_key;

static __always_inline __u64 cgroup_id(struct cgroup *cgroup)
{
	return cgroup->kn->id;
}

/* Of the default (v2) hierarchy, whatever else is mounted. */
static __always_inline __u64 task_cgroup_id(struct task_struct *task)
{
	return cgroup_id(task->cgroups->dfl_cgrp);
}

static __always_inline struct llamux_system_record *system_record(void)
{
	return bpf_map_lookup_elem(&llamux_system, &zero_key);
}

static __always_inline struct llamux_cpu *this_cpu(void)
{
	return bpf_map_lookup_elem(&llamux_cpus, &zero_key);
}

/* NULL: the task has no storage (made at its birth, see llamux_newtask). */
static __always_inline struct llamux_task *task_state(struct task_struct *task)
{
	return bpf_task_storage_get(&llamux_tasks, task, NULL, 0);
}

static const struct llamux_cgroup_record empty_record;

/* NULL if the map has no room even for a new entry: counted as dropped. */
static __always_inline struct llamux_cgroup_record *
record_of(__u64 id, struct llamux_system_record *system)
{
	struct llamux_cgroup_key key = { .cgroup_id = id };
	struct llamux_cgroup_record *record;

	record = bpf_map_lookup_elem(&llamux_cgroups, &key);
	if (record)
		return record;
	/* Another CPU may be faster: then it exists, which is as good. */
	bpf_map_update_elem(&llamux_cgroups, &key, &empty_record, BPF_NOEXIST);
	record = bpf_map_lookup_elem(&llamux_cgroups, &key);
	if (!record)
		__sync_fetch_and_add(&system->dropped_records, 1);
	return record;
}

/* Adds to a cgroup's record, which may be NULL, and to the total. */
#define count(record, system, field, n)                                        \
	do {                                                                   \
		__u64 n_ = (n);                                                \
		if (record)                                                    \
			(record)->field += n_;                                 \
		(system)->total.field += n_;                                   \
	} while (0)

/* Slot of a time, as include/llamux/telemetry.h defines them. */
static __always_inline __u32 hist_slot(__u64 ns)
{
	__u64 us = ns / 1000;
	__u32 rest = us;
	__u32 slot = 0;

	if (us >> LLAMUX_HIST_SLOTS)
		return LLAMUX_HIST_SLOTS - 1;
	if (rest >> 16) {
		rest >>= 16;
		slot += 16;
	}
	if (rest >> 8) {
		rest >>= 8;
		slot += 8;
	}
	if (rest >> 4) {
		rest >>= 4;
		slot += 4;
	}
	if (rest >> 2) {
		rest >>= 2;
		slot += 2;
	}
	slot += rest >> 1;
	/* The verifier does not know that us < 2^LLAMUX_HIST_SLOTS. */
	return slot < LLAMUX_HIST_SLOTS ? slot : LLAMUX_HIST_SLOTS - 1;
}

/* Time since *since, which is cleared; 0 if it was not set. */
static __always_inline __u64 take_elapsed(__u64 *since, __u64 now)
{
	__u64 elapsed = *since && now > *since ? now - *since : 0;

	*since = 0;
	return elapsed;
}

#endif
