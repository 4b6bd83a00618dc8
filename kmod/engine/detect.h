/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Snapshot -> facts: what is wrong with the machine, if anything, whom it
 * hurts and who causes it, each with the numbers that show it.
 *
 * Pure and integer only. Every value of a snapshot is untrusted: any content
 * gives at most LLAMUX_MAX_FACTS well-formed facts. What is not known is never
 * taken as evidence. docs/DECISIONS.md has the thresholds in words.
 */
#ifndef LLX_DETECT_H
#define LLX_DETECT_H

#include "llamux/actions.h"
#include "llamux/telemetry.h"
#include "port.h"
#include "uapi/llamux.h"

/* Level of a fact, and of a word in a prompt. */
enum llx_level {
	LLX_LEVEL_NONE,
	LLX_LEVEL_SOME,
	LLX_LEVEL_HIGH,
	LLX_LEVEL_SEVERE,
	LLX_LEVEL_UNKNOWN,
	LLX_N_LEVELS,
};

/* What a group usually shows, and what it showed in the last window. */
struct llx_baseline_group {
	u64 cgroup_id;		  /* 0: free */
	u64 window;		  /* last window it was seen in */
	u64 memory_current_bytes; /* at the end of that window */
	u64 normal_wait_p99_us;	  /* LLAMUX_UNKNOWN: not known yet */
	u64 normal_cpu_permille;  /* likewise */
};

/*
 * What is normal on this machine: averages that decay over windows in which
 * nothing was wrong, so that a problem never becomes normal. One per session,
 * owned by it; about 4 KiB, so never on a kernel stack.
 */
struct llx_baseline {
	u64 n_windows; /* windows seen */
	u64 n_quiet;   /* windows learned from */
	u64 normal[LLAMUX_N_SOURCES]; /* by enum llamux_source, system wide */
	struct llx_baseline_group groups[LLAMUX_MAX_GROUPS];
};

/* Nothing known. Any context. */
void llx_baseline_init(struct llx_baseline *baseline);

/**
 * llx_baseline_update - learn from a window
 * @facts: what llx_detect() said about this very snapshot
 *
 * Call once a window, after llx_detect(). Any context.
 */
void llx_baseline_update(struct llx_baseline *baseline,
			 const struct llamux_snapshot *snapshot,
			 const struct llamux_fact *facts, u32 n_facts);

/**
 * llx_detect - find what is wrong
 * @snapshot: any content
 * @baseline: of earlier windows; may be NULL
 * @facts: out, (LLAMUX_MAX_FACTS); unused entries are zeroed
 *
 * Facts come worst level first, and in the reading order (own quota, other
 * groups, reclaim, refault, swap, dirty pages, disk, interrupts, clock) among
 * equals. The order of the snapshot's groups does not matter. A first
 * snapshot, which has no window, gives no fact. Any context; O(n_groups^2).
 *
 * Return: number of facts.
 */
u32 llx_detect(const struct llamux_snapshot *snapshot,
	       const struct llx_baseline *baseline,
	       struct llamux_fact *facts);

/**
 * llx_detect_value - one number as the detectors read it
 * @group: entry of @snapshot->groups, or NULL for the whole machine
 *
 * Rates are per second and shares in permille of the window. Return: the value;
 * LLAMUX_UNKNOWN if the snapshot does not tell it.
 */
u64 llx_detect_value(const struct llamux_snapshot *snapshot,
		     const struct llamux_group_snapshot *group,
		     enum llamux_source source);

/* Level of a value by the threshold table; LLX_LEVEL_UNKNOWN if unknown. */
enum llx_level llx_detect_level(const struct llamux_snapshot *snapshot,
				enum llamux_source source, u64 value);

/* Entry of that cgroup in the snapshot, or NULL (also for id 0). */
const struct llamux_group_snapshot *
llx_detect_group(const struct llamux_snapshot *snapshot, u64 cgroup_id);

#endif
