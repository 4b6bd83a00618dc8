// SPDX-License-Identifier: GPL-2.0-only
/*
 * The detectors of what is wrong with memory: a limit, a leak, swapping, pages
 * that are dropped and read again, reclaim.
 */
#include "detect_scene.h"

/* At least half of what goes between it and disks are pages of files that it had. */
static bool reads_again(const struct scene *sc, group_t *g)
{
	u64 again = llx_measure_scale(g->record.refaults_file, LLX_PAGE_BYTES, 1);

	return llx_measure_has_maps(sc->s) && again &&
	       again >= g->record.block_io_bytes / 2;
}

/*
 * How long it waits for disks, if that is for pages that it had before: a stall of
 * the same kind as waiting for memory, so with the same threshold. The kernel
 * counts as memory pressure only part of it.
 */
static enum llx_level waits_for_its_pages(const struct scene *sc, group_t *g)
{
	u64 disk = llx_measure_value(sc->s, g, LLAMUX_SOURCE_PSI_IO_SOME_PERMILLE);

	if (!llx_known(disk) || !reads_again(sc, g))
		return LLX_LEVEL_NONE;
	return llx_measure_level(sc->s, LLAMUX_SOURCE_PSI_MEMORY_SOME_PERMILLE, disk);
}

static bool feels_limit(const struct scene *sc, group_t *g)
{
	return pressed(sc, g, LLAMUX_SOURCE_PSI_MEMORY_SOME_PERMILLE) ||
	       waits_for_its_pages(sc, g);
}

/* The groups around one with a limit have its events, too. */
static u64 events_at_limit(const struct scene *sc, group_t *g, enum llamux_source source)
{
	u64 limit = g->signals.memory_high_bytes;
	u64 used = g->signals.memory_current_bytes;

	if (!llx_known(limit) || !llx_known(used) || used < limit / 10 * 9)
		return LLAMUX_UNKNOWN;
	return source_of(sc, g, source);
}

/* The group that its own limit costs most, or NULL. */
static group_t *limited_group(const struct scene *sc)
{
	const enum llamux_source source = LLAMUX_SOURCE_MEMORY_HIGH_EVENTS_PER_SECOND;
	group_t *g = top_by(sc, events_at_limit, source, may_be_victim, NULL);

	return g && level_of(sc, g, source) && feels_limit(sc, g) ? g : NULL;
}

bool llx_find_memory_limit(const struct scene *sc, struct llamux_fact *fact)
{
	const enum llamux_source source = LLAMUX_SOURCE_MEMORY_HIGH_EVENTS_PER_SECOND;
	group_t *g = limited_group(sc);

	if (!g)
		return false;
	fact->level = level_of(sc, g, source);
	fact->victim_id = id_of(g);
	add_evidence(sc, fact, g, source);
	add_evidence(sc, fact, g, LLAMUX_SOURCE_PSI_MEMORY_SOME_PERMILLE);
	add_evidence(sc, fact, g, LLAMUX_SOURCE_PSI_IO_SOME_PERMILLE);
	return true;
}

static bool memory_pressed(const struct scene *sc)
{
	const enum llamux_source source = LLAMUX_SOURCE_PSI_MEMORY_SOME_PERMILLE;

	if (llx_known(llx_measure_value(sc->s, NULL, source)))
		return level_of(sc, NULL, source);
	return level_of(sc, NULL, LLAMUX_SOURCE_DIRECT_RECLAIM_US_PER_SECOND);
}

static void memory_evidence(const struct scene *sc, struct llamux_fact *fact)
{
	add_evidence(sc, fact, NULL, LLAMUX_SOURCE_PSI_MEMORY_SOME_PERMILLE);
	add_evidence(sc, fact, NULL, LLAMUX_SOURCE_MEMORY_AVAILABLE_PERMILLE);
	add_evidence(sc, fact, NULL, LLAMUX_SOURCE_DIRECT_RECLAIM_US_PER_SECOND);
}

static u64 growth_of(const struct scene *sc, group_t *g, enum llamux_source source)
{
	(void)source;
	return has_groups_inside(sc, g) ? LLAMUX_UNKNOWN
					: llx_baseline_growth(sc->b, sc->s, g);
}

bool llx_find_leak(const struct scene *sc, struct llamux_fact *fact)
{
	const enum llamux_source source = LLAMUX_SOURCE_MEMORY_GROWTH_KIB_PER_SECOND;
	enum llx_level scarce =
		level_of(sc, NULL, LLAMUX_SOURCE_MEMORY_AVAILABLE_PERMILLE);
	enum llx_level fast;
	group_t *top;
	u64 growth;

	if (!scarce || (!memory_pressed(sc) && scarce < LLX_LEVEL_HIGH))
		return false;
	top = top_by(sc, growth_of, source, may_be_culprit, NULL);
	if (!top)
		return false;
	growth = growth_of(sc, top, source);
	fast = llx_measure_level(sc->s, source, growth);
	if (!fast)
		return false;
	fact->level = max_t(u32, scarce, fast);
	fact->culprit_id = id_of(top);
	fact->victim_id = id_of(top_group(sc, LLAMUX_SOURCE_DIRECT_RECLAIM_US_PER_SECOND,
					  may_be_victim, top));
	add_number(sc, fact, top, source, growth);
	memory_evidence(sc, fact);
	return true;
}

static u64 memory_of(const struct scene *sc, group_t *g, enum llamux_source source)
{
	(void)source;
	return has_groups_inside(sc, g) ? LLAMUX_UNKNOWN : llx_measure_memory(&g->signals);
}

/* The group with most memory, in RAM and swap, or NULL. */
static group_t *largest_group(const struct scene *sc)
{
	return top_by(sc, memory_of, LLAMUX_SOURCE_NONE, is_group, NULL);
}

/* Does @g have at least half of what all groups have, and may it be held back? */
static bool fills_memory(const struct scene *sc, group_t *g)
{
	u64 all = 0;
	u32 i;

	if (!g || !may_be_culprit(g))
		return false;
	for (i = 0; i < llx_measure_groups(sc->s); i++) {
		u64 bytes = memory_of(sc, &sc->s->groups[i], LLAMUX_SOURCE_NONE);

		if (llx_known(bytes))
			all = llx_measure_sum(all, bytes);
	}
	return llx_measure_memory(&g->signals) >= all / 2;
}

/* A second. Of fewer pages, the agent could not tell whether a change helped. */
#define PAGES_WORTH_SAVING 20

/* Pages that came back from swap for it, or, where that is not known, its waiting. */
static u64 swapped_back_of(const struct scene *sc, group_t *g, enum llamux_source source)
{
	u64 pages = llx_measure_rate(sc->s, g->record.refaults_anon);

	if (!llx_measure_has_maps(sc->s))
		return innermost_of(sc, g, source);
	return llx_known(pages) && pages >= PAGES_WORTH_SAVING ? pages : 0;
}

bool llx_find_swap(const struct scene *sc, struct llamux_fact *fact)
{
	const enum llamux_source source = LLAMUX_SOURCE_SWAP_PAGES_PER_SECOND;
	u64 in = llx_measure_rate(sc->s, sc->s->signals.swap_in_pages);
	u64 out = llx_measure_rate(sc->s, sc->s->signals.swap_out_pages);
	u64 least = llx_measure_threshold(sc->s, source, LLX_LEVEL_SOME) / 4;
	group_t *largest = largest_group(sc);

	if (!memory_pressed(sc) || !level_of(sc, NULL, source))
		return false;
	if (!llx_known(in) || !llx_known(out) || in < least || out < least)
		return false;
	fact->level = level_of(sc, NULL, source);
	/* the largest waits, too, but for room that it takes itself */
	fact->victim_id = id_of(top_by(sc, swapped_back_of,
				       LLAMUX_SOURCE_PSI_MEMORY_SOME_PERMILLE,
				       may_be_victim, largest));
	if (fills_memory(sc, largest))
		fact->culprit_id = id_of(largest);
	add_evidence(sc, fact, NULL, source);
	memory_evidence(sc, fact);
	return true;
}

/*
 * By how often pages are read again while tasks wait for memory; or, where memory is
 * scarce, by how long the group with most of them waits for the disk to do so.
 */
bool llx_find_thrash(const struct scene *sc, struct llamux_fact *fact)
{
	const enum llamux_source source = LLAMUX_SOURCE_REFAULTS_PER_SECOND;
	group_t *top = top_group(sc, source, may_be_victim, NULL);
	enum llx_level level = LLX_LEVEL_NONE;

	if (memory_pressed(sc))
		level = level_of(sc, NULL, source);
	if (!level && top && top != limited_group(sc) &&
	    level_of(sc, NULL, LLAMUX_SOURCE_MEMORY_AVAILABLE_PERMILLE))
		level = waits_for_its_pages(sc, top);
	if (!level)
		return false;
	fact->level = level;
	fact->victim_id = id_of(top);
	add_evidence(sc, fact, NULL, source);
	add_evidence(sc, fact, top, LLAMUX_SOURCE_PSI_IO_SOME_PERMILLE);
	memory_evidence(sc, fact);
	return true;
}

/* Only when nothing says why there is reclaim: no other trouble, and no limit. */
bool llx_find_reclaim(const struct scene *sc, struct llamux_fact *fact)
{
	const enum llamux_source source = LLAMUX_SOURCE_DIRECT_RECLAIM_US_PER_SECOND;
	group_t *top = top_group(sc, source, may_be_victim, NULL);

	if (found(sc, LLAMUX_CAUSE_MEMORY_LEAK) ||
	    found(sc, LLAMUX_CAUSE_SWAP_THRASH) ||
	    found(sc, LLAMUX_CAUSE_MEMORY_THRASH) || (top && top == limited_group(sc)))
		return false;
	if (!memory_pressed(sc) || !level_of(sc, NULL, source))
		return false;
	fact->level = level_of(sc, NULL, source);
	fact->victim_id = id_of(top);
	add_evidence(sc, fact, NULL, source);
	add_evidence(sc, fact, NULL, LLAMUX_SOURCE_PSI_MEMORY_SOME_PERMILLE);
	add_evidence(sc, fact, NULL, LLAMUX_SOURCE_MEMORY_AVAILABLE_PERMILLE);
	return true;
}
