// SPDX-License-Identifier: GPL-2.0-only
/*
 * The numbers the detectors read out of a snapshot, in comparable units, and
 * the one table that says from where on a number is bad. No judgement beyond
 * that: who suffers and why is detect.c's.
 */
#include "measure.h"

/* Shorter windows give rates that mean nothing. */
#define MIN_WINDOW_NS 100000000ULL
#define NS_PER_SECOND 1000000000ULL
#define NS_PER_US     1000ULL

/*
 * The threshold table: from which value on a signal is "some", "high" or
 * "severe". @falling: small is bad. @per_cpu: times the number of CPUs.
 * docs/DETECTORS.md says where each number comes from.
 */
static const struct threshold {
	u64 at[3];
	bool falling;
	bool per_cpu;
} thresholds[LLAMUX_N_SOURCES] = {
	[LLAMUX_SOURCE_PSI_CPU_SOME_PERMILLE] = { { 100, 300, 600 } },
	[LLAMUX_SOURCE_PSI_MEMORY_SOME_PERMILLE] = { { 50, 150, 400 } },
	[LLAMUX_SOURCE_PSI_MEMORY_FULL_PERMILLE] = { { 20, 100, 300 } },
	[LLAMUX_SOURCE_PSI_IO_SOME_PERMILLE] = { { 100, 300, 600 } },
	[LLAMUX_SOURCE_PSI_IO_FULL_PERMILLE] = { { 50, 200, 500 } },
	[LLAMUX_SOURCE_CPU_PERMILLE] = { { 250, 500, 850 } },
	/* just above histogram bounds: waits of 4, 8 and 32 ms */
	[LLAMUX_SOURCE_RUNQ_WAIT_P99_US] = { { 5000, 16000, 60000 } },
	[LLAMUX_SOURCE_PREEMPTED_BY_OTHER_PER_SECOND] = { { 20, 200, 1000 } },
	[LLAMUX_SOURCE_MIGRATIONS_PER_SECOND] = { { 2000, 8000, 30000 },
						  .per_cpu = true },
	[LLAMUX_SOURCE_THROTTLED_PERMILLE] = { { 100, 300, 600 } },
	[LLAMUX_SOURCE_DIRECT_RECLAIM_US_PER_SECOND] = { { 20000, 100000, 400000 } },
	[LLAMUX_SOURCE_REFAULTS_PER_SECOND] = { { 500, 3000, 15000 } },
	[LLAMUX_SOURCE_SWAP_PAGES_PER_SECOND] = { { 500, 4000, 20000 } },
	[LLAMUX_SOURCE_DIRTY_PERMILLE] = { { 700, 850, 950 } },
	[LLAMUX_SOURCE_MEMORY_AVAILABLE_PERMILLE] = { { 150, 80, 40 },
						      .falling = true },
	[LLAMUX_SOURCE_MEMORY_GROWTH_KIB_PER_SECOND] = { { 8192, 32768, 131072 } },
	/* each drops a batch of 64 pages */
	[LLAMUX_SOURCE_MEMORY_HIGH_EVENTS_PER_SECOND] = { { 5, 100, 1000 } },
	[LLAMUX_SOURCE_BLOCK_IO_P99_US] = { { 10000, 50000, 200000 } },
	[LLAMUX_SOURCE_FORKS_PER_SECOND] = { { 200, 800, 3000 } },
	[LLAMUX_SOURCE_SOFTIRQ_PERMILLE] = { { 150, 300, 600 } },
	[LLAMUX_SOURCE_CLOCK_PERMILLE] = { { 700, 500, 300 }, .falling = true },
	/* below a fair half, above the third that is left by twice the weight */
	[LLAMUX_SOURCE_RUNQ_WAIT_PERMILLE] = { { 400, 600, 800 } },
};

/*
 * MGLRU counts a refault only for pages of the youngest generations dropped,
 * but reads ahead of them in whole tables: twice the classic LRU's count on
 * the same load is still harmless.
 */
#define MGLRU_REFAULT_FACTOR 2

/* value * mul / div without overflow; unknown stays unknown. */
u64 llx_measure_scale(u64 value, u64 mul, u64 div)
{
	u64 product;

	if (!llx_known(value) || !div)
		return LLAMUX_UNKNOWN;
	if (check_mul_overflow(value, mul, &product))
		return LLX_MEASURE_MAX;
	return min_t(u64, product / div, LLX_MEASURE_MAX);
}

u64 llx_measure_sum(u64 a, u64 b)
{
	u64 sum;

	if (!llx_known(a) || !llx_known(b))
		return LLAMUX_UNKNOWN;
	if (check_add_overflow(a, b, &sum))
		return LLX_MEASURE_MAX;
	return min_t(u64, sum, LLX_MEASURE_MAX);
}

u64 llx_measure_memory(const struct llamux_group_signals *f)
{
	u64 swap = f->memory_swap_bytes;

	return llx_measure_sum(f->memory_current_bytes, llx_known(swap) ? swap : 0);
}

bool llx_measure_has_maps(const struct llamux_snapshot *s)
{
	return !(s->flags & LLAMUX_SNAPSHOT_NO_MAPS);
}

bool llx_measure_has_signals(const struct llamux_snapshot *s)
{
	return !(s->flags & LLAMUX_SNAPSHOT_NO_SIGNALS);
}

u32 llx_measure_groups(const struct llamux_snapshot *s)
{
	return min_t(u32, s->n_groups, LLAMUX_MAX_GROUPS);
}

static u64 n_cpus(const struct llamux_snapshot *s)
{
	if (!llx_measure_has_signals(s))
		return 0;
	return min_t(u32, s->signals.n_cpus, 65536);
}

u64 llx_measure_rate(const struct llamux_snapshot *s, u64 count)
{
	return llx_measure_scale(count, NS_PER_SECOND, s->window_ns);
}

u64 llx_measure_share(const struct llamux_snapshot *s, u64 us)
{
	u64 permille = llx_measure_scale(us, 1000 * NS_PER_US, s->window_ns);

	return llx_known(permille) ? min_t(u64, permille, 1000) : permille;
}

/* Share of the time of all CPUs. */
static u64 permille_of_cpus(const struct llamux_snapshot *s, u64 ns)
{
	u64 all = llx_measure_scale(s->window_ns, n_cpus(s), 1);
	u64 permille = llx_measure_scale(ns, 1000, llx_known(all) ? all : 0);

	return llx_known(permille) ? min_t(u64, permille, 1000) : permille;
}

/* Dirty and writeback pages in permille of what may be dirty. */
static u64 dirty_permille(const struct llamux_system_signals *m)
{
	u64 dirty = llx_measure_sum(m->memory_dirty_bytes, m->memory_writeback_bytes);
	u64 limit = m->vm_dirty_bytes;

	if (!llx_known(limit) || !limit)
		limit = llx_measure_scale(m->memory_available_bytes, m->vm_dirty_ratio,
					  100);
	if (!llx_known(m->vm_dirty_ratio) || !llx_known(limit))
		return LLAMUX_UNKNOWN;
	return llx_measure_scale(dirty, 1000, limit);
}

static u64 pressure_value(const struct llamux_snapshot *s,
			  const struct llamux_pressure *p, enum llamux_source source)
{
	switch (source) {
	case LLAMUX_SOURCE_PSI_CPU_SOME_PERMILLE:
		return llx_measure_share(s, p->cpu.some_us);
	case LLAMUX_SOURCE_PSI_MEMORY_SOME_PERMILLE:
		return llx_measure_share(s, p->memory.some_us);
	case LLAMUX_SOURCE_PSI_MEMORY_FULL_PERMILLE:
		return llx_measure_share(s, p->memory.full_us);
	case LLAMUX_SOURCE_PSI_IO_SOME_PERMILLE:
		return llx_measure_share(s, p->io.some_us);
	case LLAMUX_SOURCE_PSI_IO_FULL_PERMILLE:
		return llx_measure_share(s, p->io.full_us);
	default:
		return LLAMUX_UNKNOWN;
	}
}

/* What the maps tell of one group or of all. */
static u64 record_value(const struct llamux_snapshot *s,
			const struct llamux_cgroup_record *r, enum llamux_source source)
{
	if (!llx_measure_has_maps(s))
		return LLAMUX_UNKNOWN;
	switch (source) {
	case LLAMUX_SOURCE_PREEMPTED_BY_OTHER_PER_SECOND:
		return llx_measure_rate(s, r->preempted_by_other);
	case LLAMUX_SOURCE_MIGRATIONS_PER_SECOND:
		return llx_measure_rate(s, r->migrations);
	case LLAMUX_SOURCE_DIRECT_RECLAIM_US_PER_SECOND:
		return llx_measure_rate(s, r->direct_reclaim_ns / NS_PER_US);
	case LLAMUX_SOURCE_REFAULTS_PER_SECOND:
		return llx_measure_rate(s, r->refaults_file);
	case LLAMUX_SOURCE_FORKS_PER_SECOND:
		return llx_measure_rate(s, r->forks);
	case LLAMUX_SOURCE_RUNQ_WAIT_PERMILLE:
		return llx_measure_scale(r->runq_wait_ns, 1000,
					 llx_measure_sum(r->run_ns, r->runq_wait_ns));
	default:
		return LLAMUX_UNKNOWN;
	}
}

static u64 group_value(const struct llamux_snapshot *s,
		       const struct llamux_group_snapshot *g, enum llamux_source source)
{
	const struct llamux_group_signals *f = &g->signals;

	switch (source) {
	case LLAMUX_SOURCE_CPU_PERMILLE:
		return llx_measure_has_maps(s) ? min_t(u32, g->cpu_permille, 1000)
					       : LLAMUX_UNKNOWN;
	case LLAMUX_SOURCE_RUNQ_WAIT_P99_US:
		return llx_measure_has_maps(s) ? g->runq_wait_p99_us : LLAMUX_UNKNOWN;
	case LLAMUX_SOURCE_THROTTLED_PERMILLE:
		if (!llx_measure_has_signals(s) || !llx_known(f->periods_count))
			return LLAMUX_UNKNOWN;
		if (!f->periods_count)
			return 0;
		return llx_measure_scale(f->throttled_count, 1000, f->periods_count);
	case LLAMUX_SOURCE_MEMORY_HIGH_EVENTS_PER_SECOND:
		return llx_measure_has_signals(s)
			       ? llx_measure_rate(s, f->memory_high_events)
			       : LLAMUX_UNKNOWN;
	default:
		break;
	}
	if (llx_measure_has_signals(s) && source <= LLAMUX_SOURCE_PSI_IO_FULL_PERMILLE)
		return pressure_value(s, &f->psi, source);
	return record_value(s, &g->record, source);
}

static u64 signal_value(const struct llamux_snapshot *s, enum llamux_source source)
{
	const struct llamux_system_signals *m = &s->signals;

	if (!llx_measure_has_signals(s))
		return LLAMUX_UNKNOWN;
	switch (source) {
	case LLAMUX_SOURCE_SWAP_PAGES_PER_SECOND:
		return llx_measure_rate(s, llx_measure_sum(m->swap_in_pages,
							   m->swap_out_pages));
	case LLAMUX_SOURCE_DIRTY_PERMILLE:
		return dirty_permille(m);
	case LLAMUX_SOURCE_MEMORY_AVAILABLE_PERMILLE:
		return llx_measure_scale(m->memory_available_bytes, 1000,
					 llx_known(m->memory_total_bytes)
						 ? m->memory_total_bytes
						 : 0);
	case LLAMUX_SOURCE_CLOCK_PERMILLE:
		return llx_known(m->cpu_mhz_permille) && m->cpu_mhz_permille
			       ? m->cpu_mhz_permille
			       : LLAMUX_UNKNOWN;
	default:
		return pressure_value(s, &m->psi, source);
	}
}

u64 llx_measure_busy(const struct llamux_snapshot *s)
{
	u64 idle = llx_measure_has_maps(s) ? permille_of_cpus(s, s->record.idle_ns)
					   : LLAMUX_UNKNOWN;

	return llx_known(idle) ? 1000 - idle : LLAMUX_UNKNOWN;
}

static u64 system_value(const struct llamux_snapshot *s, enum llamux_source source)
{
	switch (source) {
	case LLAMUX_SOURCE_CPU_PERMILLE:
		return llx_measure_busy(s);
	case LLAMUX_SOURCE_RUNQ_WAIT_P99_US:
		return llx_measure_has_maps(s) ? s->runq_wait_p99_us : LLAMUX_UNKNOWN;
	case LLAMUX_SOURCE_BLOCK_IO_P99_US:
		return llx_measure_has_maps(s) ? s->block_io_p99_us : LLAMUX_UNKNOWN;
	case LLAMUX_SOURCE_SOFTIRQ_PERMILLE:
		return llx_measure_has_maps(s)
			       ? permille_of_cpus(s, s->record.softirq_ns)
			       : LLAMUX_UNKNOWN;
	case LLAMUX_SOURCE_PREEMPTED_BY_OTHER_PER_SECOND:
	case LLAMUX_SOURCE_MIGRATIONS_PER_SECOND:
	case LLAMUX_SOURCE_DIRECT_RECLAIM_US_PER_SECOND:
	case LLAMUX_SOURCE_REFAULTS_PER_SECOND:
	case LLAMUX_SOURCE_FORKS_PER_SECOND:
	case LLAMUX_SOURCE_RUNQ_WAIT_PERMILLE:
		return record_value(s, &s->record.total, source);
	default:
		return signal_value(s, source);
	}
}

u64 llx_measure_value(const struct llamux_snapshot *snapshot,
		      const struct llamux_group_snapshot *group,
		      enum llamux_source source)
{
	if (group)
		return group_value(snapshot, group, source);
	return system_value(snapshot, source);
}

u64 llx_measure_threshold(const struct llamux_snapshot *s, enum llamux_source source,
			  enum llx_level level)
{
	const struct threshold *t = &thresholds[source];
	u64 at = t->at[level - 1];

	if (t->per_cpu)
		at *= max_t(u64, n_cpus(s), 1);
	if (source == LLAMUX_SOURCE_REFAULTS_PER_SECOND && llx_measure_has_signals(s) &&
	    (s->signals.flags & LLAMUX_SIGNAL_MGLRU))
		at *= MGLRU_REFAULT_FACTOR;
	return at;
}

enum llx_level llx_measure_level(const struct llamux_snapshot *snapshot,
				 enum llamux_source source, u64 value)
{
	enum llx_level level = LLX_LEVEL_SEVERE;

	if (!llx_known(value) || source <= LLAMUX_SOURCE_NONE ||
	    source >= LLAMUX_N_SOURCES)
		return LLX_LEVEL_UNKNOWN;
	for (; level > LLX_LEVEL_NONE; level--) {
		u64 at = llx_measure_threshold(snapshot, source, level);

		if (thresholds[source].falling ? value <= at : value >= at)
			break;
	}
	return level;
}

static enum llx_level source_level(const struct llamux_snapshot *s,
				   const struct llamux_group_snapshot *group,
				   enum llamux_source source)
{
	return llx_measure_level(s, source, llx_measure_value(s, group, source));
}

enum llamux_source llx_measure_cpu_wait(const struct llamux_snapshot *snapshot,
					const struct llamux_group_snapshot *group)
{
	enum llx_level single = source_level(snapshot, group,
					     LLAMUX_SOURCE_RUNQ_WAIT_P99_US);
	enum llx_level share = source_level(snapshot, group,
					    LLAMUX_SOURCE_RUNQ_WAIT_PERMILLE);

	/* An unknown level is above all others. */
	return share > single && share != LLX_LEVEL_UNKNOWN
		       ? LLAMUX_SOURCE_RUNQ_WAIT_PERMILLE
		       : LLAMUX_SOURCE_RUNQ_WAIT_P99_US;
}

const struct llamux_group_snapshot *
llx_measure_group(const struct llamux_snapshot *snapshot, u64 cgroup_id)
{
	u32 i;

	if (!cgroup_id)
		return NULL;
	for (i = 0; i < llx_measure_groups(snapshot); i++)
		if (snapshot->groups[i].signals.cgroup_id == cgroup_id)
			return &snapshot->groups[i];
	return NULL;
}

bool llx_measure_has_window(const struct llamux_snapshot *s)
{
	return !(s->flags & LLAMUX_SNAPSHOT_FIRST) && s->window_ns >= MIN_WINDOW_NS &&
	       llx_known(s->window_ns);
}
