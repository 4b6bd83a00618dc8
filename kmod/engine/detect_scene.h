/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What every detector works with: levels, evidence, and who stands out. Private
 * to detect*.c.
 */
#ifndef LLX_DETECT_SCENE_H
#define LLX_DETECT_SCENE_H

#include "detect.h"

/* The root cgroup: kernel threads live there, and it has no knobs. */
#define ROOT_CGROUP 1ULL

/* What all detectors look at. */
struct scene {
	const struct llamux_snapshot *s;
	const struct llx_baseline *b;
	u32 found; /* bit per cause, of the detectors that ran before */
};

typedef const struct llamux_group_snapshot group_t;

static inline u64 id_of(group_t *g)
{
	return g ? g->signals.cgroup_id : 0;
}

static inline bool found(const struct scene *sc, enum llamux_cause_kind cause)
{
	return sc->found & (1u << cause);
}

static inline enum llx_level level_of(const struct scene *sc, group_t *g,
				      enum llamux_source source)
{
	enum llx_level level =
		llx_measure_level(sc->s, source, llx_measure_value(sc->s, g, source));

	return level == LLX_LEVEL_UNKNOWN ? LLX_LEVEL_NONE : level;
}

/* At least "some", or not known at all. */
static inline bool pressed(const struct scene *sc, group_t *g, enum llamux_source source)
{
	return level_of(sc, g, source) ||
	       !llx_known(llx_measure_value(sc->s, g, source));
}

static inline void add_number(const struct scene *sc, struct llamux_fact *fact, group_t *g,
			      enum llamux_source source, u64 value)
{
	struct llamux_evidence *e;

	if (!llx_known(value) || fact->n_evidence >= LLAMUX_EVIDENCE_MAX)
		return;
	e = &fact->evidence[fact->n_evidence++];
	e->source = source;
	e->cgroup_id = id_of(g);
	e->value = value;
	e->normal = llx_baseline_normal(sc->b, id_of(g), source);
	e->threshold = llx_measure_threshold(sc->s, source, LLX_LEVEL_SOME);
}

static inline void add_evidence(const struct scene *sc, struct llamux_fact *fact, group_t *g,
				enum llamux_source source)
{
	add_number(sc, fact, g, source, llx_measure_value(sc->s, g, source));
}

static inline bool is_self(group_t *g)
{
	return g->signals.flags & LLAMUX_GROUP_SELF;
}

/* Root has no knobs; id 0 is nobody. */
static inline bool is_group(group_t *g)
{
	return g->signals.cgroup_id > ROOT_CGROUP;
}

static inline bool may_be_victim(group_t *g)
{
	return is_group(g) &&
	       !(g->signals.flags & (LLAMUX_GROUP_SELF | LLAMUX_GROUP_BACKGROUND));
}

static inline bool may_be_culprit(group_t *g)
{
	return is_group(g) &&
	       !(g->signals.flags &
		 (LLAMUX_GROUP_SELF | LLAMUX_GROUP_PROTECTED | LLAMUX_GROUP_LATENCY));
}

/*
 * Memory, and waiting for it and for disks, the kernel counts for a group with all
 * that are inside it: who stands out by that is to be found among these.
 */
static inline bool has_groups_inside(const struct scene *sc, group_t *g)
{
	u32 i;

	for (i = 0; i < llx_measure_groups(sc->s); i++)
		if (sc->s->groups[i].signals.parent_id == id_of(g))
			return true;
	return false;
}

/* The lower id wins a tie, so that the order of groups never matters. */
static inline bool beats(u64 value, u64 id, u64 best, group_t *best_group)
{
	if (!best_group)
		return true;
	return value > best || (value == best && id < best_group->signals.cgroup_id);
}

/* The group that @may pass with the largest value, known and not 0, if any. */
static inline group_t *top_by(const struct scene *sc,
			      u64 (*value_of)(const struct scene *sc, group_t *g,
					      enum llamux_source source),
			      enum llamux_source source, bool (*may)(group_t *g),
			      group_t *not_this)
{
	group_t *top = NULL;
	u64 best = 0;
	u32 i;

	for (i = 0; i < llx_measure_groups(sc->s); i++) {
		group_t *g = &sc->s->groups[i];
		u64 value = value_of(sc, g, source);

		if (g == not_this || !may(g) || !llx_known(value) || !value)
			continue;
		if (beats(value, id_of(g), best, top)) {
			top = g;
			best = value;
		}
	}
	return top;
}

static inline u64 source_of(const struct scene *sc, group_t *g, enum llamux_source source)
{
	return llx_measure_value(sc->s, g, source);
}

static inline u64 innermost_of(const struct scene *sc, group_t *g, enum llamux_source source)
{
	return has_groups_inside(sc, g) ? LLAMUX_UNKNOWN : source_of(sc, g, source);
}

/* The same by a source that the kernel sums up over the groups inside. */
static inline group_t *top_innermost(const struct scene *sc, enum llamux_source source,
				     bool (*may)(group_t *g), group_t *not_this)
{
	return top_by(sc, innermost_of, source, may, not_this);
}

/* The same by what a source says of a group alone. */
static inline group_t *top_group(const struct scene *sc, enum llamux_source source,
				 bool (*may)(group_t *g), group_t *not_this)
{
	return top_by(sc, source_of, source, may, not_this);
}

/*
 * Detectors of detect_memory.c. They fill the fact but for its cause.
 * Return: is there one?
 */
bool llx_find_memory_limit(const struct scene *sc, struct llamux_fact *fact);
bool llx_find_leak(const struct scene *sc, struct llamux_fact *fact);
bool llx_find_swap(const struct scene *sc, struct llamux_fact *fact);
bool llx_find_thrash(const struct scene *sc, struct llamux_fact *fact);
bool llx_find_reclaim(const struct scene *sc, struct llamux_fact *fact);

#endif
