// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who pays for memory running short: reclaim, compaction, refaults, OOM.
 */
#include "llamux.bpf.h"

char LICENSE[] SEC("license") = "GPL";

/* The low bits of folio->memcg_data are flags (MEMCG_DATA_*, all versions). */
#define MEMCG_DATA_FLAGS 7ul

static __always_inline struct llamux_cgroup_record *
current_record(struct llamux_system_record *system)
{
	return record_of(task_cgroup_id(bpf_get_current_task_btf()), system);
}

static __always_inline int begin_reclaim(void)
{
	struct llamux_task *state = task_state(bpf_get_current_task_btf());

	if (state)
		state->reclaim_since_ns = bpf_ktime_get_ns();
	return 0;
}

static __always_inline int end_reclaim(void)
{
	struct llamux_task *state = task_state(bpf_get_current_task_btf());
	struct llamux_system_record *system = system_record();
	struct llamux_cgroup_record *record;

	if (!state || !state->reclaim_since_ns || !system)
		return 0;
	record = current_record(system);
	count(record, system, direct_reclaim_ns,
	      take_elapsed(&state->reclaim_since_ns, bpf_ktime_get_ns()));
	count(record, system, direct_reclaim_count, 1);
	return 0;
}

/* Memory ran short on the machine... */
SEC("tp_btf/mm_vmscan_direct_reclaim_begin")
int BPF_PROG(llamux_dr_begin)
{
	return begin_reclaim();
}

SEC("tp_btf/mm_vmscan_direct_reclaim_end")
int BPF_PROG(llamux_dr_end)
{
	return end_reclaim();
}

/* ... or the group came to its own limit. */
SEC("tp_btf/mm_vmscan_memcg_reclaim_begin")
int BPF_PROG(llamux_mr_begin)
{
	return begin_reclaim();
}

SEC("tp_btf/mm_vmscan_memcg_reclaim_end")
int BPF_PROG(llamux_mr_end)
{
	return end_reclaim();
}

/*
 * kswapd passes here each time it starts another round, without a sleep in
 * between while memory stays short: the time so far is credited then.
 */
SEC("tp_btf/mm_vmscan_kswapd_wake")
int BPF_PROG(llamux_ksw_wake)
{
	struct llamux_task *state = task_state(bpf_get_current_task_btf());
	struct llamux_system_record *system = system_record();
	__u64 now = bpf_ktime_get_ns();

	if (!state || !system)
		return 0;
	system->kswapd_ns += take_elapsed(&state->reclaim_since_ns, now);
	system->kswapd_wakes++;
	state->reclaim_since_ns = now;
	return 0;
}

SEC("tp_btf/mm_vmscan_kswapd_sleep")
int BPF_PROG(llamux_ksw_slp)
{
	struct llamux_task *state = task_state(bpf_get_current_task_btf());
	struct llamux_system_record *system = system_record();

	if (state && system)
		system->kswapd_ns += take_elapsed(&state->reclaim_since_ns, bpf_ktime_get_ns());
	return 0;
}

SEC("tp_btf/mm_compaction_begin")
int BPF_PROG(llamux_cmp_beg)
{
	struct llamux_task *state = task_state(bpf_get_current_task_btf());

	if (state)
		state->compaction_since_ns = bpf_ktime_get_ns();
	return 0;
}

SEC("tp_btf/mm_compaction_end")
int BPF_PROG(llamux_cmp_end)
{
	struct llamux_task *state = task_state(bpf_get_current_task_btf());
	struct llamux_system_record *system = system_record();
	struct llamux_cgroup_record *record;

	if (!state || !state->compaction_since_ns || !system)
		return 0;
	record = current_record(system);
	count(record, system, compaction_ns,
	      take_elapsed(&state->compaction_since_ns, bpf_ktime_get_ns()));
	count(record, system, compaction_count, 1);
	return 0;
}

/* As the kernel does: to the group that the page is charged to. */
static __always_inline __u64 folio_cgroup_id(struct folio *folio)
{
	struct mem_cgroup *memcg = NULL;

	if (bpf_core_field_exists(folio->memcg_data))
		memcg = (void *)(BPF_CORE_READ(folio, memcg_data) & ~MEMCG_DATA_FLAGS);
	if (!memcg)
		return task_cgroup_id(bpf_get_current_task_btf());
	return BPF_CORE_READ(memcg, css.cgroup, kn, id);
}

SEC("fentry/workingset_refault")
int BPF_PROG(llamux_refault, struct folio *folio)
{
	struct llamux_system_record *system = system_record();
	struct llamux_cgroup_record *record;
	__u32 n_pages = folio_nr_pages(folio);

	if (!system)
		return 0;
	record = record_of(folio_cgroup_id(folio), system);
	if (folio_is_file(folio))
		count(record, system, refaults_file, n_pages);
	else
		count(record, system, refaults_anon, n_pages);
	return 0;
}

SEC("tp_btf/mark_victim")
int BPF_PROG(llamux_oom, struct task_struct *victim)
{
	struct llamux_system_record *system = system_record();
	struct llamux_cgroup_record *record;

	if (!system)
		return 0;
	record = record_of(task_cgroup_id(victim), system);
	count(record, system, oom_victims, 1);
	return 0;
}
