/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Snapshot -> single numbers: rates per second, shares in permille, and how
 * bad each is by the threshold table. Pure; every value of a snapshot is
 * untrusted and gives a number or LLAMUX_UNKNOWN, never an overflow.
 */
#ifndef LLX_MEASURE_H
#define LLX_MEASURE_H

#include "llamux/telemetry.h"
#include "port.h"
#include "uapi/llamux.h"

/* Larger than any honest value, and never taken for "unknown". */
#define LLX_MEASURE_MAX (1ULL << 48)

#define LLX_PAGE_BYTES 4096ULL

/* How bad; also the words of a prompt. */
enum llx_level {
	LLX_LEVEL_NONE,
	LLX_LEVEL_SOME,
	LLX_LEVEL_HIGH,
	LLX_LEVEL_SEVERE,
	LLX_LEVEL_UNKNOWN,
	LLX_N_LEVELS,
};

/* Neither unknown nor "max". */
static inline bool llx_known(u64 value)
{
	return value < LLAMUX_NO_LIMIT;
}

/* value * mul / div, at most LLX_MEASURE_MAX; unknown stays unknown. */
u64 llx_measure_scale(u64 value, u64 mul, u64 div);

/* a + b, likewise. */
u64 llx_measure_sum(u64 a, u64 b);

/* Bytes of a group's memory in RAM and, where that is known, in swap. */
u64 llx_measure_memory(const struct llamux_group_signals *f);

bool llx_measure_has_maps(const struct llamux_snapshot *s);
bool llx_measure_has_signals(const struct llamux_snapshot *s);

/* Is there a window, long enough for rates to mean something? */
bool llx_measure_has_window(const struct llamux_snapshot *s);

/* Entries of @s->groups in use. */
u32 llx_measure_groups(const struct llamux_snapshot *s);

/* Per second of the window. */
u64 llx_measure_rate(const struct llamux_snapshot *s, u64 count);

/* Microseconds in permille of the window, at most 1000. */
u64 llx_measure_share(const struct llamux_snapshot *s, u64 us);

/* Time in which CPUs were not idle, in permille of all CPUs. */
u64 llx_measure_busy(const struct llamux_snapshot *s);

/**
 * llx_measure_value - one number as the detectors read it
 * @group: entry of @s->groups, or NULL for the whole machine
 *
 * In the unit that @source names. Any context. Return: the value;
 * LLAMUX_UNKNOWN if the snapshot does not tell it.
 */
u64 llx_measure_value(const struct llamux_snapshot *s,
		      const struct llamux_group_snapshot *group,
		      enum llamux_source source);

/* From which value on @source has a level of SOME, HIGH or SEVERE here. */
u64 llx_measure_threshold(const struct llamux_snapshot *s,
			  enum llamux_source source, enum llx_level level);

/* Level of a value by the threshold table; LLX_LEVEL_UNKNOWN if unknown. */
enum llx_level llx_measure_level(const struct llamux_snapshot *s,
				 enum llamux_source source, u64 value);

/*
 * Which of two measures says more plainly that a group waits for a CPU: its
 * long single waits (99th percentile), or the share of its runnable time. The
 * second finds who waits one tick again and again: with HZ=250 that is 4.0 ms,
 * too short a wait to count by itself.
 */
enum llamux_source llx_measure_cpu_wait(const struct llamux_snapshot *s,
					const struct llamux_group_snapshot *group);

/* Entry of that cgroup in the snapshot, or NULL (also for id 0). */
const struct llamux_group_snapshot *
llx_measure_group(const struct llamux_snapshot *s, u64 cgroup_id);

#endif
