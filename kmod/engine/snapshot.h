/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Two readings -> snapshot: the pure half of kmod/telemetry.c.
 *
 * Everything here is integer arithmetic on values that nobody vouches for: the
 * maps can be written by whoever may use bpf(2), the signals come from user
 * space. Any input gives a snapshot within its stated ranges. No allocation,
 * no clock, no lock.
 */
#ifndef LLX_SNAPSHOT_H
#define LLX_SNAPSHOT_H

#include "port.h"

#include <llamux/telemetry.h>

struct llx_group_reading {
	u64 cgroup_id;
	struct llamux_cgroup_record record;
};

/* Everything that was read at one moment. About 0.4 MiB. */
struct llx_reading {
	u64 time_ns; /* CLOCK_BOOTTIME */
	bool has_maps;
	bool has_signals;
	u64 inference_ns; /* CPU time of inference but for rankings, counter */
	u32 n_groups;
	struct llamux_system_record system;
	struct llamux_signals signals;
	/* in ascending order of cgroup_id, each once */
	struct llx_group_reading groups[LLAMUX_MAX_CGROUPS];
};

/**
 * llx_signals_check() - is this a struct llamux_signals we can work with?
 * @signals: in our memory, untrusted.
 *
 * Checks the form only; every value of every other field is fine.
 *
 * Context: any.
 * Return: 0; -EINVAL if size, number of groups, a flag or a reserved field is
 * wrong, or if a cgroup id is 0 or there twice.
 */
int llx_signals_check(const struct llamux_signals *signals);

/**
 * llx_record_add() - add one CPU's share of a cgroup's record
 * @sum: added to; wraps around, as counters do.
 * @record: one CPU's value.
 */
void llx_record_add(struct llamux_cgroup_record *sum,
		    const struct llamux_cgroup_record *record);

/**
 * llx_system_record_add() - add one CPU's share of the system's record
 * @sum: added to; wraps around, as counters do.
 * @record: one CPU's value.
 */
void llx_system_record_add(struct llamux_system_record *sum,
			   const struct llamux_system_record *record);

/**
 * llx_hist_p99_us() - upper bound of the slot that holds the 99th percentile
 * @hist: LLAMUX_HIST_SLOTS counts.
 *
 * Return: microseconds, 2 to 2^LLAMUX_HIST_SLOTS (which also stands for
 * everything above); 0 if nothing was counted.
 */
u32 llx_hist_p99_us(const u64 *hist);

/**
 * llx_snapshot_make() - what happened between two readings
 * @before: earlier reading, or NULL: counters are then since their beginning
 *	and the snapshot has LLAMUX_SNAPSHOT_FIRST.
 * @now: later reading; its signals were checked.
 * @n_cpus: online CPUs, at least 1.
 * @sequence: number of the snapshot.
 * @out: overwritten completely.
 *
 * A record of which any counter went backwards was evicted and began anew:
 * all of it is taken as from zero. A counter among the signals that is unknown
 * now or was unknown before is LLAMUX_UNKNOWN, one that went backwards is taken
 * as from zero. A group without signals that did nothing is left out, and not
 * counted as dropped. idle_ns is computed (all CPU time that no task used),
 * because the map learns of idle time only when it ends.
 *
 * Order of groups: CPU time, then those with signals, then cgroup id.
 *
 * Context: any; takes O(groups in @now * groups in signals).
 */
void llx_snapshot_make(const struct llx_reading *before, const struct llx_reading *now,
		       u32 n_cpus, u64 sequence, struct llamux_snapshot *out);

#endif
