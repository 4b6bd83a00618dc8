/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Snapshot -> facts: what is wrong with the machine, if anything, whom it
 * hurts and who causes it, each with the numbers that show it.
 *
 * Pure and integer only. Every value of a snapshot is untrusted: any content
 * gives at most LLAMUX_MAX_FACTS well-formed facts. What is not known is never
 * taken as evidence. docs/DETECTORS.md has the thresholds in words.
 */
#ifndef LLX_DETECT_H
#define LLX_DETECT_H

#include "baseline.h"
#include "llamux/actions.h"
#include "measure.h"

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

#endif
