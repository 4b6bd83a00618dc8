/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The action vocabulary: every change Llamux can propose, as one table that
 * the candidate builder, the prompt, the validator, the writer and the
 * documentation all expand. Nothing outside this table is ever written.
 *
 * Ranges are narrower than what the kernel accepts: they are what a careful
 * administrator would allow a daemon (docs/SAFETY.md gives the reason for
 * each). Values are in the unit of the row.
 */
#ifndef LLAMUX_ACTIONS_H
#define LLAMUX_ACTIONS_H

enum llamux_scope {
	LLAMUX_SCOPE_NONE,
	LLAMUX_SCOPE_CGROUP, /* a file of one cgroup's directory */
	LLAMUX_SCOPE_SYSTEM, /* a file below /proc/sys */
};

enum llamux_tier {
	LLAMUX_TIER_AUTO,   /* may be applied by the service when acting is on */
	LLAMUX_TIER_CANARY, /* only when the knob is switched on by name */
};

enum llamux_direction {
	LLAMUX_KEEP,
	LLAMUX_LOWER,
	LLAMUX_RAISE,
};

/* cpu.weight and io.weight of a new group (Documentation/admin-guide/cgroup-v2.rst). */
#define LLAMUX_DEFAULT_WEIGHT 100

/*
 * X(ID, phrase, file, unit, min, max, step_permille, tier, scope)
 *
 * phrase: the words the model ranks ("lower the cpu weight of group B")
 * file: control file; the dirty pair is written as its two ratio files
 * step_permille: the most one change may move the value, in permille of the
 *	old value (1000: at most doubled when raised, and halved when lowered; a
 *	weight may also be raised to the default); 0: the row's own rule (see
 *	agent/validate)
 */
#define LLAMUX_ACTIONS(X) \
	X(NONE, "no change", "", "", \
	  0, 0, 0, AUTO, NONE) \
	X(CPU_WEIGHT, "cpu weight", "cpu.weight", "weight", \
	  20, 500, 1000, AUTO, CGROUP) \
	X(CPU_MAX, "cpu quota", "cpu.max", "us", \
	  1000, 1000000000, 1000, AUTO, CGROUP) \
	X(CPU_IDLE, "cpu idle class", "cpu.idle", "bool", \
	  0, 1, 0, CANARY, CGROUP) \
	X(MEMORY_HIGH, "memory limit", "memory.high", "bytes", \
	  16777216, 0x7fffffffffffffff, 1000, CANARY, CGROUP) \
	X(MEMORY_LOW, "memory protection", "memory.low", "bytes", \
	  0, 0x7fffffffffffffff, 0, AUTO, CGROUP) \
	X(MEMORY_RECLAIM, "reclaim", "memory.reclaim", "bytes", \
	  1048576, 1073741824, 0, AUTO, CGROUP) \
	X(IO_WEIGHT, "io weight", "io.weight", "weight", \
	  20, 500, 1000, AUTO, CGROUP) \
	X(SWAPPINESS, "swappiness", "vm/swappiness", "swappiness", \
	  10, 180, 1000, AUTO, SYSTEM) \
	X(DIRTY_RATIO, "dirty page limit", "vm/dirty_ratio", "percent", \
	  5, 30, 1000, AUTO, SYSTEM) \
	X(WATERMARK_SCALE, "free page reserve", "vm/watermark_scale_factor", \
	  "permyriad", 10, 300, 9000, AUTO, SYSTEM)

#define LLAMUX_ACTION_ENUM(id, ...) LLAMUX_ACTION_##id,
enum llamux_action_kind {
	LLAMUX_ACTIONS(LLAMUX_ACTION_ENUM)
	LLAMUX_N_ACTIONS
};
#undef LLAMUX_ACTION_ENUM

/*
 * Causes that the detectors know, in the order in which they are ruled out.
 * X(ID, words)
 */
#define LLAMUX_CAUSES(X) \
	X(NONE, "nothing is wrong") \
	X(CPU_CONTENTION, "another group takes the cpu") \
	X(CPU_QUOTA, "its own cpu quota is too small") \
	X(CPU_SATURATED, "more work than the cpus can do") \
	X(MEMORY_LEAK, "one group grows and fills the memory") \
	X(MEMORY_RECLAIM, "tasks wait while memory is reclaimed") \
	X(MEMORY_THRASH, "pages are read back soon after they were dropped") \
	X(MEMORY_LIMIT, "its own memory limit is too small") \
	X(SWAP_THRASH, "pages move to swap and back") \
	X(DIRTY_STALL, "writers wait for dirty pages") \
	X(IO_CONTENTION, "another group takes the disk") \
	X(FORK_STORM, "one group starts very many tasks") \
	X(MIGRATION_CHURN, "tasks move between cpus too often") \
	X(IRQ_LOAD, "interrupts take the cpu") \
	X(CLOCK_THROTTLED, "the cpu clock is held down") \
	X(SELF, "llamux itself takes the cpu")

#define LLAMUX_CAUSE_ENUM(id, ...) LLAMUX_CAUSE_##id,
enum llamux_cause_kind {
	LLAMUX_CAUSES(LLAMUX_CAUSE_ENUM)
	LLAMUX_N_CAUSES
};
#undef LLAMUX_CAUSE_ENUM

#endif
