// SPDX-License-Identifier: GPL-2.0-only
/*
 * Inference threads: ordinary kernel threads, bound to no CPU, at nice 19
 * unless told otherwise, so that inference takes what is left over. Only while
 * an administrator's request waits or runs, at nice 0: who asks what is wrong
 * with a machine that has no CPU left over needs an answer, too.
 *
 * The request thread (worker 0) runs requests; when the engine calls
 * parallel_for() the helpers join in. A range is taken inside the FPU section
 * that runs it, with preemption off: a helper that is scheduled away never
 * holds one, so nobody waits for a thread that does not run.
 */
#include "worker.h"
#include "fpu.h"
#include "model_file.h"
#include "queue.h"

#include <linux/atomic.h>
#include <linux/cache.h>
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/wait.h>

#define CREATE_TRACE_POINTS
#include "trace.h"

/*
 * How long a helper looks for the next loop before it sleeps. Loops of one
 * token follow each other within microseconds, a sleep and a wake-up cost
 * about 10 us.
 */
#define SPIN_NS 20000

/*
 * Ranges are cut in half while more than one in 16 of the last LOOK_AT holds the
 * FPU for longer than LONG_NS, as on a slow CPU or an emulated one, and doubled
 * again when hardly any takes half of that.
 */
#define LOOK_AT 256u
#define LONG_NS 100000
#define RANGE_COST_LEAST (LLX_RANGE_COST >> 6)

struct worker {
	struct task_struct *task;
	u32 index;
	u64 sections; /* written by its thread only */
} ____cacheline_aligned_in_smp;

/*
 * The loop being run. @left counts down as ranges are taken, @unfinished as
 * they end. Who has taken a range may read the other members: they only
 * change when @unfinished is 0.
 */
static struct {
	llx_range_fn fn;
	void *arg;
	u32 n;
	u32 grain;
	u32 n_ranges;
	atomic_t left ____cacheline_aligned_in_smp;
	atomic_t unfinished ____cacheline_aligned_in_smp;
} loop;

static struct llx_exec worker_exec; /* below */
static struct worker workers[LLX_MAX_WORKERS];
static int usual_nice;
static int hurry_nice;
static struct llx_request *request; /* of the request thread, its own */
static atomic64_t longest_ns;
static u32 n_looked_at; /* ranges since; the request thread's */
static atomic_t n_long;
static atomic_t n_half_as_long;
static atomic64_t caller_sections;
static DECLARE_WAIT_QUEUE_HEAD(loop_started);
static DECLARE_WAIT_QUEUE_HEAD(loop_finished);

static void record_section(u64 length_ns)
{
	s64 longest = atomic64_read(&longest_ns);

	do {
		if ((s64)length_ns <= longest)
			return;
	} while (!atomic64_try_cmpxchg(&longest_ns, &longest, length_ns));
	trace_llamux_fpu_longest(length_ns);
}

/* Takes one range and runs it. False: there was none left. */
static bool run_one(struct worker *worker)
{
	u64 begin_ns;
	u64 length_ns;
	u32 begin;
	int left;

	if (!atomic_read(&loop.left))
		return false;
	begin_ns = llx_fpu_begin();
	left = atomic_dec_if_positive(&loop.left);
	if (left < 0) {
		llx_fpu_end(begin_ns);
		return false;
	}
	begin = (loop.n_ranges - 1 - left) * loop.grain;
	loop.fn(loop.arg, begin, min(begin + loop.grain, loop.n),
		worker->index);
	length_ns = llx_fpu_end(begin_ns);

	WRITE_ONCE(worker->sections, worker->sections + 1);
	record_section(length_ns);
	if (length_ns > LONG_NS / 2)
		atomic_inc(length_ns > LONG_NS ? &n_long : &n_half_as_long);
	if (atomic_dec_and_test(&loop.unfinished) &&
	    wq_has_sleeper(&loop_finished))
		wake_up(&loop_finished);
	cond_resched();
	return true;
}

/* Waits a moment for a loop, without giving up the CPU unless others want it. */
static bool spin_for_loop(void)
{
	u64 until_ns = ktime_get_ns() + SPIN_NS;

	while (!atomic_read(&loop.left)) {
		if (need_resched() || ktime_get_ns() >= until_ns)
			return false;
		cpu_relax();
	}
	return true;
}

static int helper_main(void *arg)
{
	struct worker *worker = arg;

	while (!kthread_should_stop()) {
		if (run_one(worker) || spin_for_loop())
			continue;
		wait_event_idle_exclusive(loop_started,
					  atomic_read(&loop.left) ||
					  kthread_should_stop());
	}
	return 0;
}

/* What was not taken yet will not be run. */
static void drop_rest(void)
{
	int dropped = atomic_xchg(&loop.left, 0);

	atomic_sub(dropped, &loop.unfinished);
}

/* At most one section's length: a taken range is being run. */
static void wait_for_helpers(void)
{
	u64 until_ns = ktime_get_ns() + SPIN_NS;

	while (atomic_read_acquire(&loop.unfinished)) {
		if (!need_resched() && ktime_get_ns() < until_ns) {
			cpu_relax();
			continue;
		}
		wait_event_idle(loop_finished,
				!atomic_read_acquire(&loop.unfinished));
	}
}

static bool should_stop(void)
{
	/* kill -9 of the request thread cancels what it is doing. */
	if (unlikely(signal_pending(current)))
		llx_queue_cancel(request, -ECANCELED);
	return READ_ONCE(request->stop);
}

static void fit_ranges(struct llx_exec *exec, u32 n_ranges)
{
	u32 too_long = atomic_xchg(&n_long, 0);
	u32 half_as_long = atomic_xchg(&n_half_as_long, 0) + too_long;

	if (too_long > n_ranges / 16)
		exec->range_cost = max(exec->range_cost / 2, RANGE_COST_LEAST);
	else if (half_as_long < n_ranges / 64)
		exec->range_cost = min(exec->range_cost * 2, LLX_RANGE_COST);
}

static u64 threads_ns(void)
{
	u64 ns = 0;
	u32 i;

	for (i = 0; i < worker_exec.n_workers; i++)
		ns += READ_ONCE(workers[i].task->se.sum_exec_runtime);
	return ns;
}

/* CPU time of the threads, as of when a request ended, or LOOK_AT ranges. */
static struct {
	u64 all_ns; /* the request thread's own */
	u64 users_ns; /* of these, all but rankings' */
} counted;

/* What the threads did since then was for @request. */
static void count_time(void)
{
	u64 all_ns = threads_ns();

	if (!request->is_ranking)
		WRITE_ONCE(counted.users_ns,
			   counted.users_ns + all_ns - counted.all_ns);
	counted.all_ns = all_ns;
}

u64 llx_worker_users_ns(void)
{
	return READ_ONCE(counted.users_ns);
}

static void look_back(struct llx_exec *exec, u32 n_ranges)
{
	n_looked_at += n_ranges;
	if (n_looked_at < LOOK_AT)
		return;
	fit_ranges(exec, n_looked_at);
	count_time();
	n_looked_at = 0;
}

static int parallel_for(struct llx_exec *exec, u32 n, u32 grain,
			llx_range_fn fn, void *arg)
{
	u32 n_ranges;
	int err = 0;

	if (LLX_BUG_ON(current != workers[0].task || !grain))
		return -EINVAL;
	if (should_stop())
		return -EINTR;
	n_ranges = DIV_ROUND_UP(n, grain);
	loop.fn = fn;
	loop.arg = arg;
	loop.n = n;
	loop.grain = grain;
	loop.n_ranges = n_ranges;
	atomic_set(&loop.unfinished, n_ranges);
	atomic_set_release(&loop.left, n_ranges);
	if (n_ranges > 1 && wq_has_sleeper(&loop_started))
		wake_up_nr(&loop_started, n_ranges - 1);

	while (run_one(&workers[0])) {
		if (!should_stop())
			continue;
		drop_rest();
		err = -EINTR;
		break;
	}
	wait_for_helpers();
	look_back(exec, n_ranges);
	return err;
}

static struct llx_exec worker_exec = {
	.range_cost = LLX_RANGE_COST,
	.parallel_for = parallel_for,
};

static int caller_parallel_for(struct llx_exec *exec, u32 n, u32 grain,
			       llx_range_fn fn, void *arg)
{
	u32 begin;

	if (LLX_BUG_ON(!grain))
		return -EINVAL;
	for (begin = 0; begin < n; begin += min(grain, n - begin)) {
		u64 begin_ns;

		if (fatal_signal_pending(current))
			return -EINTR;
		begin_ns = llx_fpu_begin();
		fn(arg, begin, begin + min(grain, n - begin), 0);
		record_section(llx_fpu_end(begin_ns));
		atomic64_inc(&caller_sections);
		cond_resched();
	}
	return 0;
}

struct llx_exec llx_worker_exec_caller = {
	.n_workers = 1,
	.parallel_for = caller_parallel_for,
};

struct llx_exec *llx_worker_exec(void)
{
	return &worker_exec;
}

static int request_main(void *arg)
{
	int status;

	allow_signal(SIGKILL);
	while (!kthread_should_stop()) {
		llx_model_file_sweep();
		request = llx_queue_next();
		if (signal_pending(current))
			flush_signals(current);
		if (!request)
			continue;
		trace_llamux_request_start(request);
		status = request->run(request);
		count_time();
		/* -EINTR is the engine's word for "stopped"; the reason is ours. */
		if (status == -EINTR && READ_ONCE(request->stop))
			status = READ_ONCE(request->stop);
		trace_llamux_request_done(request, status);
		llx_queue_finish(request, status);
	}
	return 0;
}

static struct task_struct *make_thread(struct worker *worker, int nice)
{
	struct task_struct *task;

	task = kthread_create(worker->index ? helper_main : request_main,
			      worker, "llamux/%u", worker->index);
	if (IS_ERR(task))
		return task;
	set_user_nice(task, nice);
	/* Stopped explicitly; keeps the object for kthread_stop(). */
	get_task_struct(task);
	worker->task = task;
	return task;
}

void llx_worker_hurry(bool hurry)
{
	u32 i;

	for (i = 0; i < worker_exec.n_workers; i++)
		set_user_nice(workers[i].task, hurry ? hurry_nice : usual_nice);
}

int llx_worker_init(u32 n_workers, int nice, int urgent_nice)
{
	struct task_struct *task;
	u32 i;

	usual_nice = nice;
	hurry_nice = min(nice, urgent_nice);
	for (i = 0; i < n_workers; i++) {
		workers[i].index = i;
		task = make_thread(&workers[i], nice);
		if (IS_ERR(task)) {
			worker_exec.n_workers = i;
			llx_worker_exit();
			return PTR_ERR(task);
		}
	}
	worker_exec.n_workers = n_workers;
	for (i = 0; i < n_workers; i++)
		wake_up_process(workers[i].task);
	return 0;
}

void llx_worker_exit(void)
{
	u32 i;

	for (i = 0; i < worker_exec.n_workers; i++) {
		kthread_stop(workers[i].task);
		put_task_struct(workers[i].task);
		workers[i].task = NULL;
	}
}

void llx_worker_read(u64 *sections, u64 *longest, u64 *cpu_ns)
{
	u32 i;

	*sections = atomic64_read(&caller_sections);
	*longest = atomic64_read(&longest_ns);
	*cpu_ns = threads_ns();
	for (i = 0; i < worker_exec.n_workers; i++)
		*sections += READ_ONCE(workers[i].sections);
}
