// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who runs, who waits for a CPU, and who took it from whom.
 *
 * Hot path: a context switch costs one clock read, one hash lookup for each
 * of the two tasks that is not the idle task, and one look into task storage
 * for each task that starts or goes on waiting; a wake-up costs one clock read
 * and one look into task storage. Storage is made when a task is born (or, for
 * tasks that were there before, by llamux_seed), not at wake-up: allocation
 * under a run-queue lock may wake kswapd and so take that lock again (6.1
 * allocates task storage with kmalloc).
 */
#include "llamux.bpf.h"

char LICENSE[] SEC("license") = "GPL";

static __always_inline void make_task_state(struct task_struct *task)
{
	struct llamux_task initial = { .major_faults_counted = task->maj_flt };
	struct llamux_system_record *system;

	if (bpf_task_storage_get(&llamux_tasks, task, &initial, BPF_LOCAL_STORAGE_GET_F_CREATE))
		return;
	system = system_record();
	if (system)
		__sync_fetch_and_add(&system->dropped_wakeups, 1);
}

SEC("iter/task")
int llamux_seed(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;

	if (task)
		make_task_state(task);
	return 0;
}

/* Not sched_process_fork: io_uring's and vhost's threads do not pass there. */
SEC("tp_btf/task_newtask")
int BPF_PROG(llamux_newtask, struct task_struct *task)
{
	struct llamux_system_record *system = system_record();
	struct llamux_cgroup_record *record;

	make_task_state(task);
	if (!system)
		return 0;
	record = record_of(task_cgroup_id(task), system);
	count(record, system, forks, 1);
	return 0;
}

static __always_inline void begin_wait(struct task_struct *task, __u64 now)
{
	struct llamux_task *state = task_state(task);
	struct llamux_system_record *system;

	if (state) {
		/* A second wake-up does not shorten a wait. */
		if (!state->wait_since_ns)
			state->wait_since_ns = now;
		return;
	}
	system = system_record();
	if (system)
		__sync_fetch_and_add(&system->dropped_wakeups, 1);
}

SEC("tp_btf/sched_wakeup")
int BPF_PROG(llamux_wakeup, struct task_struct *task)
{
	/* Woken before it could sleep: it has its CPU and waits for none. */
	if (!task->on_cpu)
		begin_wait(task, bpf_ktime_get_ns());
	return 0;
}

SEC("tp_btf/sched_wakeup_new")
int BPF_PROG(llamux_wakenew, struct task_struct *task)
{
	begin_wait(task, bpf_ktime_get_ns());
	return 0;
}

static __always_inline void end_wait(struct task_struct *task, __u64 now,
				     struct llamux_cgroup_record *record,
				     struct llamux_system_record *system)
{
	struct llamux_task *state = task_state(task);
	__u64 waited;
	__u32 slot;

	if (!state || !state->wait_since_ns)
		return;
	waited = take_elapsed(&state->wait_since_ns, now);
	slot = hist_slot(waited);
	count(record, system, runq_wait_ns, waited);
	count(record, system, runq_wait_count, 1);
	count(record, system, runq_wait_hist[slot], 1);
}

/*
 * The kernel counts them per task, so no probe in the fault path is needed.
 * Most tasks never have one: no storage is touched for those.
 */
static __always_inline void count_major_faults(struct task_struct *task,
					       struct llamux_cgroup_record *record,
					       struct llamux_system_record *system)
{
	__u64 faults = task->maj_flt;
	struct llamux_task *state;

	if (!faults)
		return;
	state = task_state(task);
	if (!state || faults <= state->major_faults_counted)
		return;
	count(record, system, major_faults, faults - state->major_faults_counted);
	state->major_faults_counted = faults;
}

/* Time since the CPU was last accounted; up to now it is accounted then. */
static __always_inline __u64 take_cpu_time(struct llamux_cpu *cpu, __u64 now)
{
	__u64 elapsed = take_elapsed(&cpu->since_ns, now);

	cpu->since_ns = now;
	return elapsed;
}

/* Its group's quota ran out: nobody pushed it off the CPU. */
static __always_inline bool is_throttled(struct task_struct *task)
{
	if (!bpf_core_field_exists(task->se.cfs_rq->throttle_count))
		return 0;
	return task->se.cfs_rq->throttle_count > 0;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(llamux_switch, bool preempt, struct task_struct *prev, struct task_struct *next,
	     unsigned int prev_state)
{
	struct llamux_system_record *system = system_record();
	struct llamux_cgroup_record *prev_record = NULL;
	struct llamux_cgroup_record *next_record = NULL;
	struct llamux_cpu *cpu = this_cpu();
	bool runnable = preempt || !prev_state;
	__u64 prev_id = 0;
	__u64 next_id = 0;
	__u64 now, ran;

	if (!system || !cpu)
		return 0;
	now = bpf_ktime_get_ns();
	ran = take_cpu_time(cpu, now);

	if (prev->pid) {
		prev_id = task_cgroup_id(prev);
		prev_record = record_of(prev_id, system);
		count(prev_record, system, run_ns, ran);
		count(prev_record, system, switches, 1);
		count_major_faults(prev, prev_record, system);
		if (runnable)
			begin_wait(prev, now);
	} else {
		system->idle_ns += ran;
	}

	if (next->pid) {
		next_id = task_cgroup_id(next);
		next_record = next_id == prev_id ? prev_record : record_of(next_id, system);
		end_wait(next, now, next_record, system);
	}

	if (!runnable || !prev_id || !next_id || is_throttled(prev))
		return 0;
	if (prev_id == next_id) {
		count(prev_record, system, preempted_by_self, 1);
	} else {
		count(prev_record, system, preempted_by_other, 1);
		count(next_record, system, preempted_others, 1);
	}
	return 0;
}

/*
 * A task alone on its CPU never switches; the tick credits what it has run so
 * far, so that a reading is at most one tick behind.
 */
static __always_inline int account_tick(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct llamux_system_record *system = system_record();
	struct llamux_cgroup_record *record;
	struct llamux_cpu *cpu = this_cpu();
	__u64 ran;

	if (!system || !cpu)
		return 0;
	ran = take_cpu_time(cpu, bpf_ktime_get_ns());
	if (!task->pid) {
		system->idle_ns += ran;
		return 0;
	}
	record = record_of(task_cgroup_id(task), system);
	count(record, system, run_ns, ran);
	count_major_faults(task, record, system);
	return 0;
}

/* commit 86dd6c04ef9f ("sched/balancing: Rename scheduler_tick() => sched_tick()"), 6.10 */
SEC("fentry/sched_tick")
int BPF_PROG(llamux_tick)
{
	return account_tick();
}

SEC("fentry/scheduler_tick")
int BPF_PROG(llamux_tick_old)
{
	return account_tick();
}

SEC("tp_btf/sched_migrate_task")
int BPF_PROG(llamux_migrate, struct task_struct *task)
{
	struct llamux_system_record *system = system_record();
	struct llamux_cgroup_record *record;

	if (!system)
		return 0;
	record = record_of(task_cgroup_id(task), system);
	count(record, system, migrations, 1);
	return 0;
}

/* Per CPU, unlike nr_throttled in cpu.stat, which counts periods. */
SEC("fexit/throttle_cfs_rq")
int BPF_PROG(llamux_throttle, struct cfs_rq *cfs_rq, bool throttled)
{
	struct llamux_system_record *system = system_record();
	struct llamux_cgroup_record *record;

	if (!throttled || !system)
		return 0;
	record = record_of(cgroup_id(cfs_rq->tg->css.cgroup), system);
	count(record, system, throttled_count, 1);
	return 0;
}

SEC("tp_btf/softirq_entry")
int BPF_PROG(llamux_sirq_in)
{
	struct llamux_cpu *cpu = this_cpu();

	if (cpu)
		cpu->softirq_since_ns = bpf_ktime_get_ns();
	return 0;
}

SEC("tp_btf/softirq_exit")
int BPF_PROG(llamux_sirq_out)
{
	struct llamux_system_record *system = system_record();
	struct llamux_cpu *cpu = this_cpu();

	if (system && cpu)
		system->softirq_ns += take_elapsed(&cpu->softirq_since_ns, bpf_ktime_get_ns());
	return 0;
}
