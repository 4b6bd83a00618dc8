// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is normal on this machine: decayed averages, in integers.
 */
#include "baseline.h"

/* Windows without a fact before "normal" means anything. */
#define QUIET_WINDOWS 3
#define FRACTION      16 /* averages are kept in sixteenths */
#define DECAY	      8	 /* a window counts for an eighth */
#define NS_PER_SECOND 1000000000ULL

void llx_baseline_init(struct llx_baseline *baseline)
{
	u32 i;

	memset(baseline, 0, sizeof(*baseline));
	for (i = 0; i < LLAMUX_N_SOURCES; i++)
		baseline->average[i] = LLAMUX_UNKNOWN;
}

static const struct llx_baseline_group *find_group(const struct llx_baseline *b,
						   u64 cgroup_id)
{
	u32 i;

	for (i = 0; b && cgroup_id && i < LLAMUX_MAX_GROUPS; i++)
		if (b->groups[i].cgroup_id == cgroup_id)
			return &b->groups[i];
	return NULL;
}

/* That group's entry, or a free one, or the one not seen for longest. */
static struct llx_baseline_group *claim_group(struct llx_baseline *b, u64 cgroup_id)
{
	struct llx_baseline_group *oldest = &b->groups[0];
	u32 i;

	for (i = 0; i < LLAMUX_MAX_GROUPS; i++) {
		struct llx_baseline_group *g = &b->groups[i];

		if (g->cgroup_id == cgroup_id)
			return g;
		if (g->window < oldest->window)
			oldest = g;
	}
	memset(oldest, 0, sizeof(*oldest));
	oldest->cgroup_id = cgroup_id;
	oldest->wait_p99_us = LLAMUX_UNKNOWN;
	oldest->cpu_permille = LLAMUX_UNKNOWN;
	return oldest;
}

static void learn(u64 *average, u64 value)
{
	if (!llx_known(value))
		return;
	value = min_t(u64, value, LLX_MEASURE_MAX) * FRACTION;
	if (!llx_known(*average))
		*average = value;
	else
		*average = *average - *average / DECAY + value / DECAY;
}

static u64 learned(const struct llx_baseline *b, u64 average)
{
	if (b->n_quiet < QUIET_WINDOWS || !llx_known(average))
		return LLAMUX_UNKNOWN;
	return average / FRACTION;
}

static u64 end_of(const struct llamux_snapshot *s)
{
	return llx_measure_sum(s->window_start_ns, s->window_ns);
}

void llx_baseline_update(struct llx_baseline *baseline,
			 const struct llamux_snapshot *snapshot, bool quiet)
{
	u32 i;

	quiet = quiet && llx_measure_has_window(snapshot);
	baseline->n_windows++;
	baseline->end_ns = end_of(snapshot);
	baseline->n_quiet += quiet;
	for (i = 1; quiet && i < LLAMUX_N_SOURCES; i++)
		learn(&baseline->average[i], llx_measure_value(snapshot, NULL, i));
	for (i = 0; i < llx_measure_groups(snapshot); i++) {
		const struct llamux_group_snapshot *g = &snapshot->groups[i];
		struct llx_baseline_group *b;

		if (!g->signals.cgroup_id)
			continue;
		b = claim_group(baseline, g->signals.cgroup_id);
		b->window = baseline->n_windows;
		b->memory_bytes = llx_measure_has_signals(snapshot)
					  ? llx_measure_memory(&g->signals)
					  : LLAMUX_UNKNOWN;
		if (!quiet)
			continue;
		learn(&b->wait_p99_us,
		      llx_measure_value(snapshot, g, LLAMUX_SOURCE_RUNQ_WAIT_P99_US));
		learn(&b->cpu_permille,
		      llx_measure_value(snapshot, g, LLAMUX_SOURCE_CPU_PERMILLE));
	}
}

u64 llx_baseline_normal(const struct llx_baseline *baseline, u64 cgroup_id,
			enum llamux_source source)
{
	const struct llx_baseline_group *g;

	if (!baseline)
		return LLAMUX_UNKNOWN;
	if (!cgroup_id)
		return learned(baseline, baseline->average[source]);
	g = find_group(baseline, cgroup_id);
	if (g && source == LLAMUX_SOURCE_RUNQ_WAIT_P99_US)
		return learned(baseline, g->wait_p99_us);
	if (g && source == LLAMUX_SOURCE_CPU_PERMILLE)
		return learned(baseline, g->cpu_permille);
	return LLAMUX_UNKNOWN;
}

u64 llx_baseline_growth(const struct llx_baseline *baseline,
			const struct llamux_snapshot *snapshot,
			const struct llamux_group_snapshot *group)
{
	const struct llx_baseline_group *before =
		find_group(baseline, group->signals.cgroup_id);
	u64 now = llx_measure_memory(&group->signals);
	u64 elapsed_ns;

	if (!llx_measure_has_signals(snapshot) || !before ||
	    before->window != baseline->n_windows ||
	    !llx_known(before->memory_bytes) || !llx_known(now))
		return LLAMUX_UNKNOWN;
	if (now <= before->memory_bytes)
		return 0;
	if (check_sub_overflow(end_of(snapshot), baseline->end_ns, &elapsed_ns))
		return LLAMUX_UNKNOWN;
	return llx_measure_scale((now - before->memory_bytes) >> 10,
				 NS_PER_SECOND, elapsed_ns);
}
