// SPDX-License-Identifier: GPL-2.0-only
/*
 * From facts to changes that could help: a short list of intents per cause
 * (docs/DETECTORS.md), each turned into a value by the rule of its knob or
 * dropped where that rule says no. Every number the service ever writes starts
 * here.
 */
#include "candidates.h"

/* Levels of the cgroup tree that are looked at. */
#define MAX_DEPTH      16

/* Limits of a row of the action table. */
struct limits {
	u64 min;
	u64 max;
};

#define LIMITS_OF(id, phrase, file, unit, lo, hi, ...) { lo, hi },
static const struct limits limits[] = { LLAMUX_ACTIONS(LIMITS_OF) };

#define PHRASE_OF(id, phrase, ...) phrase,
static const char *const phrases[] = { LLAMUX_ACTIONS(PHRASE_OF) };

/* ---- letters -------------------------------------------------------------- */

static void add_letter(struct llx_letters *letters, u64 cgroup_id)
{
	u32 i;

	if (!cgroup_id)
		return;
	for (i = 0; i < letters->n; i++)
		if (letters->id[i] == cgroup_id)
			return;
	if (letters->n < LLX_MAX_LETTERS)
		letters->id[letters->n++] = cgroup_id;
}

void llx_letters_assign(struct llx_letters *letters, const struct llamux_fact *facts,
			u32 n_facts)
{
	u32 i;

	memset(letters, 0, sizeof(*letters));
	for (i = 0; i < n_facts; i++) {
		add_letter(letters, facts[i].victim_id);
		add_letter(letters, facts[i].culprit_id);
	}
}

char llx_letters_of(const struct llx_letters *letters, u64 cgroup_id)
{
	u32 i;

	for (i = 0; cgroup_id && i < letters->n; i++)
		if (letters->id[i] == cgroup_id)
			return (char)('A' + i);
	return '?';
}

u64 llx_letters_group(const struct llx_letters *letters, char letter)
{
	if (letter < 'A' || (u32)(letter - 'A') >= letters->n)
		return 0;
	return letters->id[letter - 'A'];
}

/* ---- who ------------------------------------------------------------------ */

enum target {
	THE_SYSTEM,
	THE_VICTIM,
	THE_CULPRIT,
};

/* What a cause suggests, before it is known whether a knob can do it. */
struct intent {
	enum llamux_action_kind kind;
	enum llamux_direction direction;
	enum target target;
};

#define MAX_INTENTS 4

/* All that one fact is about. */
struct scene {
	const struct llamux_snapshot *s;
	const struct llamux_fact *fact;
	const struct llamux_group_snapshot *victim;  /* may be NULL */
	const struct llamux_group_snapshot *culprit; /* may be NULL */
};

static u32 group_flags(const struct llamux_group_snapshot *g)
{
	return g ? g->signals.flags : 0;
}

static bool are_siblings(const struct llamux_group_snapshot *a,
			 const struct llamux_group_snapshot *b)
{
	return b->signals.parent_id == a->signals.parent_id;
}

/* The group one level up; NULL for a child of the root, or if not known. */
static const struct llamux_group_snapshot *
parent_of(const struct llamux_snapshot *s, const struct llamux_group_snapshot *g)
{
	return llx_measure_group(s, g->signals.parent_id);
}

/*
 * The groups that compete where the paths of @mine and @other part: weights
 * only count among siblings. Return: the one on @mine's side, or NULL if they
 * share a path or the snapshot does not tell.
 */
static const struct llamux_group_snapshot *
branch_of(const struct llamux_snapshot *s, const struct llamux_group_snapshot *mine,
	  const struct llamux_group_snapshot *other)
{
	const struct llamux_group_snapshot *a = mine;
	const struct llamux_group_snapshot *b;
	u32 i;
	u32 j;

	for (i = 0; a && i < MAX_DEPTH; i++, a = parent_of(s, a)) {
		b = other;
		for (j = 0; b && j < MAX_DEPTH; j++, b = parent_of(s, b))
			if (are_siblings(a, b))
				return a == b ? NULL : a;
	}
	return NULL;
}

static bool is_weight(enum llamux_action_kind kind)
{
	return kind == LLAMUX_ACTION_CPU_WEIGHT || kind == LLAMUX_ACTION_IO_WEIGHT;
}

/* The group whose knob is turned; NULL: none can be. */
static const struct llamux_group_snapshot *knob_owner(const struct scene *sc,
						      const struct intent *intent)
{
	const struct llamux_group_snapshot *mine = sc->victim;
	const struct llamux_group_snapshot *other = sc->culprit;

	if (intent->target == THE_CULPRIT) {
		mine = sc->culprit;
		other = sc->victim;
	}
	if (mine && other && is_weight(intent->kind))
		mine = branch_of(sc->s, mine, other);
	if (group_flags(mine) & LLAMUX_GROUP_SELF)
		return NULL;
	if (intent->target == THE_CULPRIT &&
	    (group_flags(mine) & LLAMUX_GROUP_PROTECTED))
		return NULL;
	return mine;
}

/* ---- what ----------------------------------------------------------------- */

static u64 page_aligned(u64 bytes)
{
	return bytes & ~(LLX_PAGE_BYTES - 1);
}

/* Half or twice as much; what was set too low goes back to the default at once. */
static u64 weight_value(u64 old, enum llamux_direction direction)
{
	if (direction == LLAMUX_LOWER)
		return max_t(u64, old / 2, 20);
	if (old >= 20 && old < LLAMUX_DEFAULT_WEIGHT)
		return LLAMUX_DEFAULT_WEIGHT;
	return min_t(u64, old * 2, 500);
}

/* Half as much again, as long as the CPUs can give it. */
static u64 quota_value(const struct llamux_snapshot *s,
		       const struct llamux_group_signals *f)
{
	u64 all = llx_measure_scale(f->cpu_max_period_us, s->signals.n_cpus, 1);

	if (!llx_known(all) || f->cpu_max_quota_us >= all)
		return LLAMUX_UNKNOWN;
	return min_t(u64, f->cpu_max_quota_us + f->cpu_max_quota_us / 2, all);
}

static bool is_memory_scarce(const struct llamux_snapshot *s)
{
	const enum llamux_source source = LLAMUX_SOURCE_MEMORY_AVAILABLE_PERMILLE;
	u64 available = llx_measure_value(s, NULL, source);

	return llx_known(available) && llx_measure_level(s, source, available);
}

/*
 * Half as much again, unless it would be taken from all others; or just above what
 * is in use: who grows stops there, and what it has already is not taken from it.
 */
static u64 memory_high_value(const struct llamux_snapshot *s,
			     const struct llamux_group_signals *f,
			     enum llamux_direction direction)
{
	u64 used = f->memory_current_bytes;

	if (direction == LLAMUX_RAISE) {
		if (!llx_known(f->memory_high_bytes) || is_memory_scarce(s))
			return LLAMUX_UNKNOWN;
		return page_aligned(llx_measure_sum(f->memory_high_bytes,
						    f->memory_high_bytes / 2));
	}
	if (!llx_known(used))
		return LLAMUX_UNKNOWN;
	return page_aligned(llx_measure_sum(used, used / 20));
}

/* A group is protected no further than those around it are; 0: not at all. */
static u64 protection_around(const struct llamux_snapshot *s,
			     const struct llamux_group_signals *f)
{
	u64 least = LLX_MEASURE_MAX;
	u64 parent = f->parent_id;
	u32 i;

	for (i = 0; parent && i < MAX_DEPTH; i++) {
		const struct llamux_group_snapshot *g = llx_measure_group(s, parent);

		if (!g || !llx_known(g->signals.memory_low_bytes))
			return 0;
		least = min_t(u64, least, g->signals.memory_low_bytes);
		parent = g->signals.parent_id;
	}
	return parent ? 0 : least;
}

/*
 * What is in use, with what was pushed to swap, but never more than three tenths of
 * the machine.
 */
static u64 memory_low_value(const struct llamux_snapshot *s,
			    const struct llamux_group_signals *f)
{
	u64 most = llx_measure_scale(s->signals.memory_total_bytes, 3, 10);
	u64 used = llx_measure_memory(f);

	if (!llx_known(most) || !llx_known(used))
		return LLAMUX_UNKNOWN;
	most = min_t(u64, most, protection_around(s, f));
	return page_aligned(min_t(u64, used, most));
}

/* One hundredth of what is in use. */
static u64 reclaim_value(const struct llamux_group_signals *f)
{
	if (!llx_known(f->memory_current_bytes))
		return LLAMUX_UNKNOWN;
	return page_aligned(min_t(u64, f->memory_current_bytes / 100,
				  limits[LLAMUX_ACTION_MEMORY_RECLAIM].max));
}

/* Present and new value of a group's knob; LLAMUX_UNKNOWN: not to be had. */
static void group_values(const struct llamux_snapshot *s,
			 const struct llamux_group_signals *f,
			 struct llamux_candidate *c)
{
	u64 old = LLAMUX_UNKNOWN;
	u64 new = LLAMUX_UNKNOWN;

	switch (c->kind) {
	case LLAMUX_ACTION_CPU_WEIGHT:
		old = f->cpu_weight;
		new = weight_value(old, c->direction);
		break;
	case LLAMUX_ACTION_CPU_MAX:
		old = f->cpu_max_quota_us;
		new = quota_value(s, f);
		break;
	case LLAMUX_ACTION_CPU_IDLE:
		old = f->cpu_idle;
		new = 1;
		break;
	case LLAMUX_ACTION_MEMORY_HIGH:
		old = f->memory_high_bytes;
		new = memory_high_value(s, f, c->direction);
		break;
	case LLAMUX_ACTION_MEMORY_LOW:
		old = f->memory_low_bytes;
		new = memory_low_value(s, f);
		break;
	case LLAMUX_ACTION_MEMORY_RECLAIM:
		old = 0;
		new = reclaim_value(f);
		break;
	case LLAMUX_ACTION_IO_WEIGHT:
		if (s->signals.flags & LLAMUX_SIGNAL_IO_WEIGHT_WORKS)
			old = f->io_weight;
		new = weight_value(old, c->direction);
		break;
	default:
		break;
	}
	c->value_old = old;
	c->value_new = new;
}

/* A tenth of the memory: less does not change what is swapped. */
static bool swap_has_room(const struct llamux_system_signals *m)
{
	return m->swap_free_bytes >= m->memory_total_bytes / 10;
}

static u64 swappiness_value(const struct llamux_system_signals *m,
			    enum llamux_direction direction)
{
	u64 old = m->vm_swappiness;
	u64 most = m->flags & LLAMUX_SIGNAL_SWAP_FAST ? 180 : 100;

	if (!llx_known(old) || old > 200 || !llx_known(m->swap_total_bytes) ||
	    !m->swap_total_bytes)
		return LLAMUX_UNKNOWN;
	if (direction == LLAMUX_LOWER)
		return max_t(u64, old > 40 ? old - 20 : old / 2, 10);
	if (!swap_has_room(m))
		return LLAMUX_UNKNOWN;
	return min_t(u64, old > 20 ? old + 20 : old * 2, most);
}

static void system_values(const struct llamux_system_signals *m,
			  struct llamux_candidate *c)
{
	u64 old = LLAMUX_UNKNOWN;
	u64 new = LLAMUX_UNKNOWN;

	switch (c->kind) {
	case LLAMUX_ACTION_SWAPPINESS:
		old = m->vm_swappiness;
		new = swappiness_value(m, c->direction);
		break;
	case LLAMUX_ACTION_DIRTY_RATIO:
		/* in bytes mode the ratio reads 0 and is not in force */
		if (m->vm_dirty_bytes == 0)
			old = m->vm_dirty_ratio;
		if (llx_known(old))
			new = c->direction == LLAMUX_LOWER
				      ? max_t(u64, old / 2, 5)
				      : min_t(u64, old + old / 2, 30);
		break;
	case LLAMUX_ACTION_WATERMARK_SCALE:
		old = m->vm_watermark_scale_factor;
		new = min_t(u64, llx_measure_scale(old, 4, 1), 300);
		break;
	default:
		break;
	}
	c->value_old = old;
	c->value_new = new;
}

/* Known, moves the way it says, and both ends are ours to set. */
static bool is_sound(const struct llamux_candidate *c)
{
	const struct limits *l = &limits[c->kind];
	bool from_max = c->kind == LLAMUX_ACTION_MEMORY_HIGH &&
			c->value_old == LLAMUX_NO_LIMIT;

	if (!llx_known(c->value_new) || (!llx_known(c->value_old) && !from_max))
		return false;
	if (c->value_new < l->min || c->value_new > l->max)
		return false;
	/* cpu.weight and io.weight read 0 where they are not in force */
	if (!c->value_old && is_weight(c->kind))
		return false;
	return c->direction == LLAMUX_LOWER ? c->value_new < c->value_old
					    : c->value_new > c->value_old;
}

static void write_phrase(struct llamux_candidate *c, char letter)
{
	const char *verb = c->direction == LLAMUX_LOWER ? "lower" : "raise";
	const char *what = phrases[c->kind];

	if (c->kind == LLAMUX_ACTION_CPU_IDLE)
		scnprintf(c->phrase, sizeof(c->phrase), "use the %s for group %c", what,
			  letter);
	else if (c->kind == LLAMUX_ACTION_MEMORY_RECLAIM)
		scnprintf(c->phrase, sizeof(c->phrase), "%s memory from group %c", what,
			  letter);
	else if (c->cgroup_id)
		scnprintf(c->phrase, sizeof(c->phrase), "%s the %s of group %c", verb,
			  what, letter);
	else
		scnprintf(c->phrase, sizeof(c->phrase), "%s the %s", verb, what);
}

/* ---- why ------------------------------------------------------------------ */

#define INTENT(kind_, direction_, target_)                                       \
	{                                                                        \
		.kind = LLAMUX_ACTION_##kind_, .direction = LLAMUX_##direction_, \
		.target = THE_##target_                                          \
	}

/* What helps with a cause, best first. No entry: nothing that can be turned. */
static const struct intent intents[LLAMUX_N_CAUSES][MAX_INTENTS] = {
	[LLAMUX_CAUSE_CPU_CONTENTION] = { INTENT(CPU_WEIGHT, LOWER, CULPRIT),
					  INTENT(CPU_WEIGHT, RAISE, VICTIM),
					  INTENT(CPU_IDLE, RAISE, CULPRIT) },
	[LLAMUX_CAUSE_CPU_QUOTA] = { INTENT(CPU_MAX, RAISE, VICTIM) },
	[LLAMUX_CAUSE_FORK_STORM] = { INTENT(CPU_WEIGHT, LOWER, CULPRIT),
				      INTENT(CPU_WEIGHT, RAISE, VICTIM),
				      INTENT(CPU_IDLE, RAISE, CULPRIT) },
	[LLAMUX_CAUSE_MEMORY_LEAK] = { INTENT(MEMORY_LOW, RAISE, VICTIM),
				       INTENT(MEMORY_HIGH, LOWER, CULPRIT),
				       INTENT(MEMORY_RECLAIM, RAISE, CULPRIT),
				       INTENT(WATERMARK_SCALE, RAISE, SYSTEM) },
	[LLAMUX_CAUSE_MEMORY_RECLAIM] = { INTENT(WATERMARK_SCALE, RAISE, SYSTEM),
					  INTENT(MEMORY_LOW, RAISE, VICTIM) },
	[LLAMUX_CAUSE_MEMORY_THRASH] = { INTENT(MEMORY_LOW, RAISE, VICTIM),
					 INTENT(SWAPPINESS, RAISE, SYSTEM),
					 INTENT(WATERMARK_SCALE, RAISE, SYSTEM) },
	[LLAMUX_CAUSE_MEMORY_LIMIT] = { INTENT(MEMORY_HIGH, RAISE, VICTIM) },
	[LLAMUX_CAUSE_SWAP_THRASH] = { INTENT(MEMORY_LOW, RAISE, VICTIM),
				       INTENT(SWAPPINESS, LOWER, SYSTEM) },
	[LLAMUX_CAUSE_DIRTY_STALL] = { INTENT(DIRTY_RATIO, LOWER, SYSTEM),
				       INTENT(DIRTY_RATIO, RAISE, SYSTEM) },
	[LLAMUX_CAUSE_IO_CONTENTION] = { INTENT(IO_WEIGHT, LOWER, CULPRIT),
					 INTENT(IO_WEIGHT, RAISE, VICTIM) },
};

/*
 * Should the second intent of the cause be tried before the first? The
 * situations in which the usual best is not.
 */
static bool second_first(const struct scene *sc)
{
	const struct llamux_system_signals *m = &sc->s->signals;

	switch (sc->fact->cause) {
	case LLAMUX_CAUSE_CPU_CONTENTION:
	case LLAMUX_CAUSE_FORK_STORM:
		/* someone set the victim's weight too low */
		return sc->victim && sc->victim->signals.cpu_weight < LLAMUX_DEFAULT_WEIGHT;
	case LLAMUX_CAUSE_IO_CONTENTION:
		return sc->victim && sc->victim->signals.io_weight < LLAMUX_DEFAULT_WEIGHT;
	case LLAMUX_CAUSE_MEMORY_THRASH:
		/* fast swap is cheaper to use than a disk is to read */
		return m->flags & LLAMUX_SIGNAL_SWAP_FAST;
	case LLAMUX_CAUSE_DIRTY_STALL:
		/* a small limit stalls bursts that a larger one absorbs */
		return m->vm_dirty_ratio <= 10;
	default:
		return false;
	}
}

static bool is_allowed(const struct scene *sc, const struct intent *intent)
{
	if (intent->kind == LLAMUX_ACTION_CPU_IDLE)
		return group_flags(sc->culprit) & LLAMUX_GROUP_BACKGROUND;
	/* fast swap is cheaper to use than a disk is to read */
	if (intent->kind == LLAMUX_ACTION_SWAPPINESS && intent->direction == LLAMUX_LOWER)
		return !(sc->s->signals.flags & LLAMUX_SIGNAL_SWAP_FAST);
	return true;
}

static bool build(const struct scene *sc, const struct intent *intent,
		  const struct llx_letters *letters, struct llamux_candidate *c)
{
	const struct llamux_group_snapshot *owner;
	u64 named;

	if (!intent->kind || !is_allowed(sc, intent))
		return false;
	memset(c, 0, sizeof(*c));
	c->kind = intent->kind;
	c->direction = intent->direction;
	named = intent->target == THE_VICTIM ? sc->fact->victim_id
					     : sc->fact->culprit_id;
	if (intent->target == THE_SYSTEM) {
		system_values(&sc->s->signals, c);
	} else {
		owner = knob_owner(sc, intent);
		if (!owner)
			return false;
		c->cgroup_id = owner->signals.cgroup_id;
		group_values(sc->s, &owner->signals, c);
	}
	if (!is_sound(c))
		return false;
	write_phrase(c, llx_letters_of(letters, named));
	return true;
}

static bool is_new(const struct llamux_candidate *candidates, u32 n,
		   const struct llamux_candidate *c)
{
	u32 i;

	for (i = 0; i < n; i++)
		if (candidates[i].kind == c->kind &&
		    candidates[i].direction == c->direction &&
		    candidates[i].cgroup_id == c->cgroup_id)
			return false;
	return true;
}

/* The fact's intent number @turn into @out; true if there is a candidate. */
static bool build_turn(const struct llamux_snapshot *s, const struct llamux_fact *fact,
		       u32 turn, const struct llx_letters *letters,
		       struct llamux_candidate *out)
{
	const struct scene sc = {
		.s = s,
		.fact = fact,
		.victim = llx_measure_group(s, fact->victim_id),
		.culprit = llx_measure_group(s, fact->culprit_id),
	};

	if (fact->cause >= LLAMUX_N_CAUSES)
		return false;
	if (turn < 2 && second_first(&sc))
		turn = 1 - turn;
	return build(&sc, &intents[fact->cause][turn], letters, out);
}

/*
 * The fact's first intent from @next on that makes a candidate which is not among
 * the @n. The next one looked at is @next.
 */
static bool build_next(const struct llamux_snapshot *s, const struct llamux_fact *fact,
		       u32 *next, const struct llx_letters *letters,
		       struct llamux_candidate *candidates, u32 n)
{
	while (*next < MAX_INTENTS)
		if (build_turn(s, fact, (*next)++, letters, &candidates[n]) &&
		    is_new(candidates, n, &candidates[n]))
			return true;
	return false;
}

/* In turns, the worst fact first: what can be done about it comes first. */
u32 llx_candidates_build(const struct llamux_snapshot *snapshot,
			 const struct llamux_fact *facts, u32 n_facts,
			 const struct llx_letters *letters,
			 struct llamux_candidate *candidates)
{
	u32 next[LLAMUX_MAX_FACTS] = { 0 };
	u32 n = 0;
	u32 turn;
	u32 i;

	n_facts = min_t(u32, n_facts, LLAMUX_MAX_FACTS);
	memset(candidates, 0, LLAMUX_MAX_CANDIDATES * sizeof(candidates[0]));
	for (turn = 0; turn < MAX_INTENTS; turn++)
		for (i = 0; i < n_facts; i++) {
			if (!llx_measure_has_signals(snapshot) ||
			    n >= LLAMUX_MAX_CANDIDATES - 1)
				break;
			n += build_next(snapshot, &facts[i], &next[i], letters,
					candidates, n);
		}
	memset(&candidates[n], 0, sizeof(candidates[0]));
	candidates[n].kind = LLAMUX_ACTION_NONE;
	scnprintf(candidates[n].phrase, sizeof(candidates[n].phrase), "%s",
		  phrases[LLAMUX_ACTION_NONE]);
	return n + 1;
}
