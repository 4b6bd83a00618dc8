// SPDX-License-Identifier: GPL-2.0-only
/*
 * The detectors: one small function per cause, run in the reading order that
 * performance engineers use (pressure first, then whose, then why). No I/O, no
 * state but the baseline passed in, no float. Thresholds: measure.c.
 */
#include "detect_scene.h"

static bool find_quota(const struct scene *sc, struct llamux_fact *fact)
{
	const enum llamux_source source = LLAMUX_SOURCE_THROTTLED_PERMILLE;
	group_t *g = top_group(sc, source, may_be_victim, NULL);

	if (!g || !level_of(sc, g, source))
		return false;
	fact->level = level_of(sc, g, source);
	fact->victim_id = id_of(g);
	add_evidence(sc, fact, g, source);
	add_evidence(sc, fact, g, LLAMUX_SOURCE_PSI_CPU_SOME_PERMILLE);
	add_evidence(sc, fact, g, LLAMUX_SOURCE_CPU_PERMILLE);
	return true;
}

/*
 * CPU time of Llamux's own groups together, and of the inference for users'
 * prompts, whose threads belong to no group.
 */
static u64 self_permille(const struct llamux_snapshot *s)
{
	u64 sum = min_t(u32, s->inference_permille, 1000);
	u32 i;

	for (i = 0; i < llx_measure_groups(s); i++)
		if (is_self(&s->groups[i]))
			sum += min_t(u32, s->groups[i].cpu_permille, 1000);
	return llx_measure_has_maps(s) ? min_t(u64, sum, 1000) : LLAMUX_UNKNOWN;
}

/* Waits for a CPU often and long enough for a person to notice. */
static bool waits_long(const struct scene *sc, group_t *g)
{
	u64 waits = llx_measure_rate(sc->s, g->record.runq_wait_count);
	u64 share = llx_measure_value(sc->s, g, LLAMUX_SOURCE_RUNQ_WAIT_PERMILLE);

	return level_of(sc, g, llx_measure_cpu_wait(sc->s, g)) && llx_known(waits) &&
	       waits >= 5 && llx_known(share) && share >= 100;
}

/* CPU time between two sleeps: short for who answers, long for who computes. */
static u64 burst_ns(group_t *g)
{
	const struct llamux_cgroup_record *r = &g->record;
	u64 preempted = llx_measure_sum(r->preempted_by_self, r->preempted_by_other);
	u64 sleeps = r->switches > preempted ? r->switches - preempted : 0;

	return r->run_ns / max_t(u64, sleeps, 1);
}

/*
 * @victim sleeps and wakes, or was marked; @culprit computes on. Two groups of
 * one kind that share a full machine are nobody's victim.
 */
#define BURST_RATIO 3
static bool is_hurt_by(group_t *victim, group_t *culprit)
{
	if (victim->signals.flags & LLAMUX_GROUP_LATENCY)
		return true;
	if (culprit->signals.flags & LLAMUX_GROUP_BACKGROUND)
		return true;
	return burst_ns(culprit) / BURST_RATIO >= burst_ns(victim);
}

/* Who waits most, and, unless @any, is hurt by @culprit. */
static group_t *top_waiter(const struct scene *sc, group_t *culprit, bool any)
{
	group_t *top = NULL;
	u64 best = 0;
	u32 i;

	for (i = 0; i < llx_measure_groups(sc->s); i++) {
		group_t *g = &sc->s->groups[i];
		u64 wait = min_t(u64, g->record.runq_wait_ns, LLX_MEASURE_MAX);

		if (g == culprit || !may_be_victim(g) || !waits_long(sc, g))
			continue;
		if (!any && !is_hurt_by(g, culprit))
			continue;
		if (g->signals.flags & LLAMUX_GROUP_LATENCY)
			wait += LLX_MEASURE_MAX;
		if (beats(wait, id_of(g), best, top)) {
			top = g;
			best = wait;
		}
	}
	return top;
}

/* Somebody takes more than Llamux does, and hurts others. */
static bool is_outdone(const struct scene *sc, u64 self)
{
	u32 i;

	for (i = 0; i < llx_measure_groups(sc->s); i++) {
		group_t *g = &sc->s->groups[i];

		if (may_be_culprit(g) &&
		    llx_measure_value(sc->s, g, LLAMUX_SOURCE_CPU_PERMILLE) > self &&
		    top_waiter(sc, g, false))
			return true;
	}
	return false;
}

/*
 * Llamux is to be held to less than others: where tasks wait for CPUs, answers that
 * take a tenth of them are too much. As much as the agent's rankings may take.
 */
#define ANSWERS_PERMILLE 100u

static bool find_self(const struct scene *sc, struct llamux_fact *fact)
{
	const enum llamux_source source = LLAMUX_SOURCE_CPU_PERMILLE;
	u64 self = self_permille(sc->s);
	enum llx_level level = llx_measure_level(sc->s, source, self);

	if (level == LLX_LEVEL_NONE && sc->s->inference_permille >= ANSWERS_PERMILLE)
		level = LLX_LEVEL_SOME;
	if (level == LLX_LEVEL_UNKNOWN || !level || is_outdone(sc, self) ||
	    !pressed(sc, NULL, LLAMUX_SOURCE_PSI_CPU_SOME_PERMILLE))
		return false;
	fact->level = level;
	add_number(sc, fact, NULL, source, self);
	fact->evidence[0].normal = LLAMUX_UNKNOWN; /* not the machine's */
	add_evidence(sc, fact, NULL, LLAMUX_SOURCE_PSI_CPU_SOME_PERMILLE);
	return true;
}

static void cpu_evidence(const struct scene *sc, struct llamux_fact *fact,
			 group_t *victim, group_t *culprit)
{
	if (victim)
		add_evidence(sc, fact, victim, llx_measure_cpu_wait(sc->s, victim));
	if (culprit)
		add_evidence(sc, fact, culprit, LLAMUX_SOURCE_CPU_PERMILLE);
	add_evidence(sc, fact, NULL, LLAMUX_SOURCE_PSI_CPU_SOME_PERMILLE);
	if (victim)
		add_evidence(sc, fact, victim,
			     LLAMUX_SOURCE_PREEMPTED_BY_OTHER_PER_SECOND);
}

static bool find_fork_storm(const struct scene *sc, struct llamux_fact *fact)
{
	const enum llamux_source source = LLAMUX_SOURCE_FORKS_PER_SECOND;
	group_t *culprit = top_group(sc, source, may_be_culprit, NULL);
	group_t *victim;

	if (!culprit || !level_of(sc, culprit, source) ||
	    !pressed(sc, NULL, LLAMUX_SOURCE_PSI_CPU_SOME_PERMILLE))
		return false;
	victim = top_waiter(sc, culprit, true);
	fact->level = level_of(sc, culprit, source);
	fact->victim_id = id_of(victim);
	fact->culprit_id = id_of(culprit);
	add_evidence(sc, fact, culprit, source);
	cpu_evidence(sc, fact, victim, culprit);
	return true;
}

/*
 * Reclaim and those who wait for it take CPUs, too (kswapd a whole one): where
 * memory is that short, somebody's waiting for a CPU is not the first thing to look at.
 */
static bool is_memory_first(const struct scene *sc)
{
	return level_of(sc, NULL, LLAMUX_SOURCE_PSI_MEMORY_SOME_PERMILLE) >= LLX_LEVEL_HIGH;
}

static bool find_contention(const struct scene *sc, struct llamux_fact *fact)
{
	const enum llamux_source source = LLAMUX_SOURCE_CPU_PERMILLE;
	group_t *victim = NULL;
	group_t *culprit = NULL;
	u64 best = 0;
	u32 i;

	if (found(sc, LLAMUX_CAUSE_SELF) || found(sc, LLAMUX_CAUSE_FORK_STORM) ||
	    !pressed(sc, NULL, LLAMUX_SOURCE_PSI_CPU_SOME_PERMILLE))
		return false;
	for (i = 0; i < llx_measure_groups(sc->s); i++) {
		group_t *g = &sc->s->groups[i];
		u64 cpu = llx_measure_value(sc->s, g, source);
		group_t *hurt;

		if (!may_be_culprit(g) || !level_of(sc, g, source) ||
		    !beats(cpu, id_of(g), best, culprit))
			continue;
		hurt = top_waiter(sc, g, false);
		if (!hurt)
			continue;
		victim = hurt;
		culprit = g;
		best = cpu;
	}
	if (!culprit)
		return false;
	fact->level = level_of(sc, victim, llx_measure_cpu_wait(sc->s, victim));
	if (is_memory_first(sc))
		fact->level = LLX_LEVEL_SOME;
	fact->victim_id = id_of(victim);
	fact->culprit_id = id_of(culprit);
	cpu_evidence(sc, fact, victim, culprit);
	return true;
}

static bool find_saturated(const struct scene *sc, struct llamux_fact *fact)
{
	const enum llamux_source source = LLAMUX_SOURCE_PSI_CPU_SOME_PERMILLE;
	u64 busy = llx_measure_busy(sc->s);

	if (found(sc, LLAMUX_CAUSE_SELF) || found(sc, LLAMUX_CAUSE_FORK_STORM) ||
	    found(sc, LLAMUX_CAUSE_CPU_CONTENTION) || is_memory_first(sc))
		return false;
	if (level_of(sc, NULL, source) < LLX_LEVEL_HIGH || !llx_known(busy) ||
	    busy < 900 ||
	    level_of(sc, NULL, LLAMUX_SOURCE_RUNQ_WAIT_P99_US) < LLX_LEVEL_HIGH)
		return false;
	fact->level = level_of(sc, NULL, source);
	add_evidence(sc, fact, NULL, source);
	add_evidence(sc, fact, NULL, LLAMUX_SOURCE_CPU_PERMILLE);
	add_evidence(sc, fact, NULL, LLAMUX_SOURCE_RUNQ_WAIT_P99_US);
	return true;
}

static bool find_migration(const struct scene *sc, struct llamux_fact *fact)
{
	const enum llamux_source source = LLAMUX_SOURCE_MIGRATIONS_PER_SECOND;
	const struct llamux_cgroup_record *r = &sc->s->record.total;

	if (!level_of(sc, NULL, source) || r->migrations < r->switches / 4 ||
	    !pressed(sc, NULL, LLAMUX_SOURCE_PSI_CPU_SOME_PERMILLE))
		return false;
	fact->level = level_of(sc, NULL, source);
	add_evidence(sc, fact, NULL, source);
	add_evidence(sc, fact, NULL, LLAMUX_SOURCE_PSI_CPU_SOME_PERMILLE);
	return true;
}

/* Writers were put to sleep for at least a twentieth of the window. */
static bool writers_slept(const struct scene *sc)
{
	u64 us = sc->s->signals.dirty_throttle_us;
	u64 share = llx_measure_share(sc->s, us);

	return llx_measure_has_signals(sc->s) && llx_known(share) && share >= 50;
}

static bool find_dirty(const struct scene *sc, struct llamux_fact *fact)
{
	const enum llamux_source source = LLAMUX_SOURCE_DIRTY_PERMILLE;
	const enum llamux_source wait = LLAMUX_SOURCE_PSI_IO_SOME_PERMILLE;
	enum llx_level io = level_of(sc, NULL, wait);

	if (!level_of(sc, NULL, source) || (!io && !writers_slept(sc)))
		return false;
	fact->level = max_t(u32, io, LLX_LEVEL_SOME);
	fact->victim_id = id_of(top_innermost(sc, wait, may_be_victim, NULL));
	add_evidence(sc, fact, NULL, source);
	add_evidence(sc, fact, NULL, wait);
	return true;
}

/* The group that moves at least half of all bytes to and from disks. */
static group_t *io_culprit(const struct scene *sc)
{
	group_t *top = NULL;
	u64 total = 0;
	u64 best = 0;
	u32 i;

	for (i = 0; llx_measure_has_maps(sc->s) && i < llx_measure_groups(sc->s); i++) {
		group_t *g = &sc->s->groups[i];
		u64 bytes = min_t(u64, g->record.block_io_bytes, LLX_MEASURE_MAX);

		total += bytes;
		if (!may_be_culprit(g) || !bytes)
			continue;
		if (beats(bytes, id_of(g), best, top)) {
			top = g;
			best = bytes;
		}
	}
	return best >= total - best ? top : NULL;
}

static bool find_io(const struct scene *sc, struct llamux_fact *fact)
{
	const enum llamux_source source = LLAMUX_SOURCE_PSI_IO_SOME_PERMILLE;
	group_t *culprit = io_culprit(sc);
	group_t *victim = top_innermost(sc, source, may_be_victim, culprit);

	if (found(sc, LLAMUX_CAUSE_DIRTY_STALL) ||
	    found(sc, LLAMUX_CAUSE_MEMORY_LIMIT) || !culprit || !victim ||
	    !level_of(sc, NULL, source) || !level_of(sc, victim, source))
		return false;
	fact->level = level_of(sc, victim, source);
	fact->victim_id = id_of(victim);
	fact->culprit_id = id_of(culprit);
	add_evidence(sc, fact, victim, source);
	add_evidence(sc, fact, NULL, LLAMUX_SOURCE_BLOCK_IO_P99_US);
	return true;
}

static bool find_irq(const struct scene *sc, struct llamux_fact *fact)
{
	const enum llamux_source source = LLAMUX_SOURCE_SOFTIRQ_PERMILLE;

	if (!level_of(sc, NULL, source))
		return false;
	fact->level = level_of(sc, NULL, source);
	add_evidence(sc, fact, NULL, source);
	return true;
}

static bool find_clock(const struct scene *sc, struct llamux_fact *fact)
{
	const enum llamux_source source = LLAMUX_SOURCE_CLOCK_PERMILLE;
	u64 busy = llx_measure_busy(sc->s);

	if (!level_of(sc, NULL, source) || !llx_known(busy) || busy < 700)
		return false;
	fact->level = level_of(sc, NULL, source);
	add_evidence(sc, fact, NULL, source);
	add_evidence(sc, fact, NULL, LLAMUX_SOURCE_CPU_PERMILLE);
	return true;
}

/* In reading order. */
static const struct detector {
	enum llamux_cause_kind cause;
	bool (*find)(const struct scene *sc, struct llamux_fact *fact);
} detectors[] = {
	{ LLAMUX_CAUSE_CPU_QUOTA, find_quota },
	{ LLAMUX_CAUSE_SELF, find_self },
	{ LLAMUX_CAUSE_FORK_STORM, find_fork_storm },
	{ LLAMUX_CAUSE_CPU_CONTENTION, find_contention },
	{ LLAMUX_CAUSE_MEMORY_LIMIT, llx_find_memory_limit },
	{ LLAMUX_CAUSE_MEMORY_LEAK, llx_find_leak },
	{ LLAMUX_CAUSE_SWAP_THRASH, llx_find_swap },
	{ LLAMUX_CAUSE_MEMORY_THRASH, llx_find_thrash },
	{ LLAMUX_CAUSE_MEMORY_RECLAIM, llx_find_reclaim },
	{ LLAMUX_CAUSE_DIRTY_STALL, find_dirty },
	{ LLAMUX_CAUSE_IO_CONTENTION, find_io },
	{ LLAMUX_CAUSE_IRQ_LOAD, find_irq },
	{ LLAMUX_CAUSE_CLOCK_THROTTLED, find_clock },
	{ LLAMUX_CAUSE_MIGRATION_CHURN, find_migration },
	{ LLAMUX_CAUSE_CPU_SATURATED, find_saturated },
};

/* Keeps the worst; among equals the one found first. */
static u32 keep_worst(struct llamux_fact *facts, u32 n, const struct llamux_fact *fact)
{
	u32 at = n;

	while (at > 0 && facts[at - 1].level < fact->level)
		at--;
	if (at == LLAMUX_MAX_FACTS)
		return n;
	n = min_t(u32, n + 1, LLAMUX_MAX_FACTS);
	memmove(&facts[at + 1], &facts[at], (n - 1 - at) * sizeof(facts[0]));
	facts[at] = *fact;
	return n;
}

u32 llx_detect(const struct llamux_snapshot *snapshot,
	       const struct llx_baseline *baseline, struct llamux_fact *facts)
{
	struct scene sc = { .s = snapshot, .b = baseline };
	struct llamux_fact fact;
	u32 n = 0;
	u32 i;

	memset(facts, 0, LLAMUX_MAX_FACTS * sizeof(facts[0]));
	if (!llx_measure_has_window(snapshot))
		return 0;
	for (i = 0; i < ARRAY_SIZE(detectors); i++) {
		memset(&fact, 0, sizeof(fact));
		fact.cause = detectors[i].cause;
		if (!detectors[i].find(&sc, &fact))
			continue;
		sc.found |= 1u << fact.cause;
		n = keep_worst(facts, n, &fact);
	}
	return n;
}
