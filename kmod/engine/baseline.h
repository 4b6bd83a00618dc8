/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is normal on this machine: averages that decay over windows in which
 * nothing was wrong, so that a problem never becomes normal.
 */
#ifndef LLX_BASELINE_H
#define LLX_BASELINE_H

#include "measure.h"

/* What a group usually shows, and what it held after the last window. */
struct llx_baseline_group {
	u64 cgroup_id;		  /* 0: free */
	u64 window;		  /* last window it was seen in */
	u64 memory_bytes;	  /* in RAM and swap, at the end of that window */
	u64 wait_p99_us;	  /* average in sixteenths, or LLAMUX_UNKNOWN */
	u64 cpu_permille;	  /* likewise */
};

/*
 * One per session, owned by it; about 3 KiB, so never on a kernel stack. Start
 * with llx_baseline_init().
 */
struct llx_baseline {
	u64 n_windows; /* windows seen */
	u64 n_quiet;   /* windows learned from */
	u64 end_ns;    /* of the last window */
	u64 average[LLAMUX_N_SOURCES]; /* of the machine, in sixteenths */
	struct llx_baseline_group groups[LLAMUX_MAX_GROUPS];
};

/* Nothing known. Any context. */
void llx_baseline_init(struct llx_baseline *baseline);

/**
 * llx_baseline_update - learn from a window
 * @quiet: llx_detect() found nothing in this very snapshot
 *
 * Call once a window, after llx_detect(). Any context.
 */
void llx_baseline_update(struct llx_baseline *baseline,
			 const struct llamux_snapshot *snapshot, bool quiet);

/*
 * The usual value of a source, of a group (by id) or of the machine (0);
 * LLAMUX_UNKNOWN until enough quiet windows were seen. @baseline may be NULL.
 */
u64 llx_baseline_normal(const struct llx_baseline *baseline, u64 cgroup_id,
			enum llamux_source source);

/* KiB per second by which a group's memory grew since the last update. */
u64 llx_baseline_growth(const struct llx_baseline *baseline,
			const struct llamux_snapshot *snapshot,
			const struct llamux_group_snapshot *group);

#endif
