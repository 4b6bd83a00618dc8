// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two readings -> snapshot: subtract, merge, rank. Pure.
 */
#include "snapshot.h"

#define N_RECORD_WORDS (sizeof(struct llamux_cgroup_record) / sizeof(u64))
#define N_SYSTEM_WORDS (sizeof(struct llamux_system_record) / sizeof(u64))

/* The records are read and subtracted as arrays of counters. */
static_assert(sizeof(struct llamux_cgroup_record) % sizeof(u64) == 0);
static_assert(sizeof(struct llamux_system_record) % sizeof(u64) == 0);

int llx_signals_check(const struct llamux_signals *signals)
{
	u32 i, j;

	if (signals->size != sizeof(*signals) || signals->n_groups > LLAMUX_MAX_GROUPS ||
	    signals->system.flags & ~LLAMUX_SIGNAL_FLAGS)
		return -EINVAL;
	for (i = 0; i < signals->n_groups; i++) {
		const struct llamux_group_signals *group = &signals->groups[i];

		if (!group->cgroup_id || group->reserved || group->flags & ~LLAMUX_GROUP_FLAGS)
			return -EINVAL;
		for (j = 0; j < i; j++)
			if (signals->groups[j].cgroup_id == group->cgroup_id)
				return -EINVAL;
	}
	return 0;
}

static void add_words(u64 *sum, const u64 *words, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		sum[i] += words[i];
}

void llx_record_add(struct llamux_cgroup_record *sum,
		    const struct llamux_cgroup_record *record)
{
	add_words((u64 *)sum, (const u64 *)record, N_RECORD_WORDS);
}

void llx_system_record_add(struct llamux_system_record *sum,
			   const struct llamux_system_record *record)
{
	add_words((u64 *)sum, (const u64 *)record, N_SYSTEM_WORDS);
}

/* @before may be NULL, and @out may be @now. Returns whether any is not 0. */
static bool subtract_words(u64 *out, const u64 *now, const u64 *before, size_t n)
{
	bool any = false;
	size_t i;

	for (i = 0; before && i < n; i++)
		if (now[i] < before[i])
			before = NULL;
	for (i = 0; i < n; i++) {
		out[i] = before ? now[i] - before[i] : now[i];
		any |= out[i] != 0;
	}
	return any;
}

u32 llx_hist_p99_us(const u64 *hist)
{
	u64 total = 0;
	u64 seen = 0;
	u64 rank;
	u32 slot;

	/* Saturates: a map may hold anything. */
	for (slot = 0; slot < LLAMUX_HIST_SLOTS; slot++)
		if (check_add_overflow(total, hist[slot], &total))
			total = ~(u64)0;
	if (!total)
		return 0;
	rank = total - total / 100;
	for (slot = 0; slot < LLAMUX_HIST_SLOTS - 1; slot++)
		if (check_add_overflow(seen, hist[slot], &seen) || seen >= rank)
			break;
	return 2u << slot;
}

/* The time of all CPUs in a window, in permille: 1000 is all of it. */
static u32 cpu_permille(u64 run_ns, u64 window_ns, u32 n_cpus)
{
	u64 one = window_ns / 1000 * n_cpus;

	if (!one || run_ns / one >= 1000)
		return one ? 1000 : 0;
	return run_ns / one;
}

/* ---- signals ------------------------------------------------------------ */

/* @before: NULL if there is no earlier reading at all. */
static u64 counter_difference(const u64 *before, u64 now)
{
	if (now >= LLAMUX_NO_LIMIT)
		return LLAMUX_UNKNOWN;
	if (!before)
		return now;
	if (*before >= LLAMUX_NO_LIMIT)
		return LLAMUX_UNKNOWN;
	return now < *before ? now : now - *before;
}

#define SUBTRACT(out, before, field) \
	((out)->field = counter_difference((before) ? &(before)->field : NULL, (out)->field))

static void subtract_pressure(struct llamux_pressure *out, const struct llamux_pressure *before)
{
	SUBTRACT(out, before, cpu.some_us);
	SUBTRACT(out, before, cpu.full_us);
	SUBTRACT(out, before, memory.some_us);
	SUBTRACT(out, before, memory.full_us);
	SUBTRACT(out, before, io.some_us);
	SUBTRACT(out, before, io.full_us);
}

static void subtract_system_signals(struct llamux_system_signals *out,
				    const struct llamux_system_signals *before)
{
	subtract_pressure(&out->psi, before ? &before->psi : NULL);
	SUBTRACT(out, before, swap_in_pages);
	SUBTRACT(out, before, swap_out_pages);
	SUBTRACT(out, before, allocstalls);
	SUBTRACT(out, before, dirty_throttle_us);
}

static void subtract_group_signals(struct llamux_group_signals *out,
				   const struct llamux_group_signals *before)
{
	subtract_pressure(&out->psi, before ? &before->psi : NULL);
	SUBTRACT(out, before, throttled_us);
	SUBTRACT(out, before, throttled_count);
	SUBTRACT(out, before, periods_count);
	SUBTRACT(out, before, memory_high_events);
}

/* Everything from psi on is a u64, so that all bits set is "unknown". */
static void set_group_unknown(struct llamux_group_signals *signals, u64 cgroup_id)
{
	memset(signals, 0xff, sizeof(*signals));
	signals->cgroup_id = cgroup_id;
	signals->parent_id = 0;
	signals->flags = 0;
	signals->reserved = 0;
}

static void set_system_unknown(struct llamux_system_signals *signals)
{
	memset(signals, 0xff, sizeof(*signals));
	signals->flags = 0;
}

static const struct llamux_group_signals *find_signals(const struct llx_reading *reading, u64 id)
{
	u32 i;

	if (!reading->has_signals)
		return NULL;
	for (i = 0; i < reading->signals.n_groups; i++)
		if (reading->signals.groups[i].cgroup_id == id)
			return &reading->signals.groups[i];
	return NULL;
}

/* ---- groups ------------------------------------------------------------- */

static const struct llx_group_reading *find_reading(const struct llx_reading *reading, u64 id)
{
	u32 low = 0;
	u32 high = reading->has_maps ? reading->n_groups : 0;

	while (low < high) {
		u32 middle = low + (high - low) / 2;

		if (reading->groups[middle].cgroup_id < id)
			low = middle + 1;
		else
			high = middle;
	}
	if (!reading->has_maps || low == reading->n_groups ||
	    reading->groups[low].cgroup_id != id)
		return NULL;
	return &reading->groups[low];
}

/* A group's place in the order of the snapshot. */
struct rank {
	u64 run_ns;
	u64 cgroup_id;
	bool has_signals;
};

struct ranking {
	u32 n;
	u32 n_dropped;
	struct rank ranks[LLAMUX_MAX_GROUPS];
};

static bool comes_before(const struct rank *a, const struct rank *b)
{
	if (a->run_ns != b->run_ns)
		return a->run_ns > b->run_ns;
	if (a->has_signals != b->has_signals)
		return a->has_signals;
	return a->cgroup_id < b->cgroup_id;
}

static void rank_insert(struct ranking *ranking, const struct rank *rank)
{
	u32 place = ranking->n;

	while (place > 0 && comes_before(rank, &ranking->ranks[place - 1]))
		place--;
	if (ranking->n == LLAMUX_MAX_GROUPS) {
		ranking->n_dropped++;
		if (place == LLAMUX_MAX_GROUPS)
			return;
		ranking->n--;
	}
	memmove(&ranking->ranks[place + 1], &ranking->ranks[place],
		(ranking->n - place) * sizeof(*rank));
	ranking->ranks[place] = *rank;
	ranking->n++;
}

/* Zero if the maps do not know the group. Returns whether it did anything. */
static bool group_difference(const struct llx_reading *before, const struct llx_reading *now,
			     u64 id, struct llamux_cgroup_record *out)
{
	const struct llx_group_reading *new = find_reading(now, id);
	const struct llx_group_reading *old = before ? find_reading(before, id) : NULL;

	if (!new) {
		memset(out, 0, sizeof(*out));
		return false;
	}
	return subtract_words((u64 *)out, (const u64 *)&new->record,
			      old ? (const u64 *)&old->record : NULL, N_RECORD_WORDS);
}

/* @scratch: room for one record. */
static void rank_groups(const struct llx_reading *before, const struct llx_reading *now,
			struct ranking *ranking, struct llamux_cgroup_record *scratch)
{
	u32 n_groups = now->has_maps ? now->n_groups : 0;
	u32 n_signals = now->has_signals ? now->signals.n_groups : 0;
	u32 i;

	ranking->n = 0;
	ranking->n_dropped = 0;
	for (i = 0; i < n_groups; i++) {
		struct rank rank = { .cgroup_id = now->groups[i].cgroup_id };
		bool active = group_difference(before, now, rank.cgroup_id, scratch);

		rank.run_ns = scratch->run_ns;
		rank.has_signals = find_signals(now, rank.cgroup_id);
		if (active || rank.has_signals)
			rank_insert(ranking, &rank);
	}
	for (i = 0; i < n_signals; i++) {
		struct rank rank = {
			.cgroup_id = now->signals.groups[i].cgroup_id,
			.has_signals = true,
		};

		if (!find_reading(now, rank.cgroup_id))
			rank_insert(ranking, &rank);
	}
}

static void make_group(const struct llx_reading *before, const struct llx_reading *now,
		       u64 id, u64 window_ns, u32 n_cpus, struct llamux_group_snapshot *out)
{
	const struct llamux_group_signals *signals = find_signals(now, id);
	const struct llamux_group_signals *old = before ? find_signals(before, id) : NULL;
	struct llamux_group_signals unknown;

	group_difference(before, now, id, &out->record);
	set_group_unknown(&unknown, id);
	if (signals) {
		out->signals = *signals;
		/* New to us, though not to the machine: no difference is known. */
		if (before && !old)
			old = &unknown;
		subtract_group_signals(&out->signals, old);
	} else {
		out->signals = unknown;
	}
	out->runq_wait_p99_us = llx_hist_p99_us(out->record.runq_wait_hist);
	out->cpu_permille = cpu_permille(out->record.run_ns, window_ns, n_cpus);
}

static void make_groups(const struct llx_reading *before, const struct llx_reading *now,
			u32 n_cpus, struct llamux_snapshot *out)
{
	struct ranking ranking;
	u32 i;

	rank_groups(before, now, &ranking, &out->groups[0].record);
	for (i = 0; i < ranking.n; i++)
		make_group(before, now, ranking.ranks[i].cgroup_id, out->window_ns, n_cpus,
			   &out->groups[i]);
	out->n_groups = ranking.n;
	out->n_groups_dropped = ranking.n_dropped;
	/* The ranking used the first as scratch space. */
	if (!ranking.n)
		memset(&out->groups[0], 0, sizeof(out->groups[0]));
}

/* ---- the whole ---------------------------------------------------------- */

static void make_system(const struct llx_reading *before, const struct llx_reading *now,
			u32 n_cpus, struct llamux_snapshot *out)
{
	u64 capacity_ns;

	if (now->has_signals)
		out->signals = now->signals.system;
	else
		set_system_unknown(&out->signals);
	if (before && !before->has_signals) {
		struct llamux_system_signals unknown;

		set_system_unknown(&unknown);
		subtract_system_signals(&out->signals, &unknown);
	} else {
		subtract_system_signals(&out->signals, before ? &before->signals.system : NULL);
	}
	out->signals.n_cpus = n_cpus;
	if (!now->has_maps)
		return;

	subtract_words((u64 *)&out->record, (const u64 *)&now->system,
		       before ? (const u64 *)&before->system : NULL, N_SYSTEM_WORDS);
	if (out->window_ns && !check_mul_overflow(out->window_ns, (u64)n_cpus, &capacity_ns))
		out->record.idle_ns = capacity_ns - min(capacity_ns, out->record.total.run_ns);
	if (out->record.dropped_records || out->record.dropped_wakeups ||
	    out->record.dropped_block_io)
		out->flags |= LLAMUX_SNAPSHOT_LOST;
	out->runq_wait_p99_us = llx_hist_p99_us(out->record.total.runq_wait_hist);
	out->block_io_p99_us = llx_hist_p99_us(out->record.block_io_hist);
}

void llx_snapshot_make(const struct llx_reading *before, const struct llx_reading *now,
		       u32 n_cpus, u64 sequence, struct llamux_snapshot *out)
{
	memset(out, 0, sizeof(*out));
	out->schema = LLAMUX_TELEMETRY_SCHEMA;
	out->sequence = sequence;
	out->window_start_ns = now->time_ns;
	if (before && before->time_ns < now->time_ns) {
		out->window_start_ns = before->time_ns;
		out->window_ns = now->time_ns - before->time_ns;
	}
	if (!before)
		out->flags |= LLAMUX_SNAPSHOT_FIRST;
	if (!now->has_maps)
		out->flags |= LLAMUX_SNAPSHOT_NO_MAPS;
	if (!now->has_signals)
		out->flags |= LLAMUX_SNAPSHOT_NO_SIGNALS;
	n_cpus = max_t(u32, n_cpus, 1);
	if (before && now->inference_ns > before->inference_ns)
		out->inference_permille =
			cpu_permille(now->inference_ns - before->inference_ns,
				     out->window_ns, n_cpus);
	make_system(before, now, n_cpus, out);
	make_groups(before, now, n_cpus, out);
}
