/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The inference threads and the executors that run the engine's loops.
 */
#ifndef LLX_WORKER_H
#define LLX_WORKER_H

#include "engine/exec.h"

#include <linux/types.h>

/**
 * llx_worker_init() - start the inference threads
 * @n_workers: 1..LLX_MAX_WORKERS; one of them takes requests from the queue
 * @nice: their priority, -20..19
 * @urgent_nice: likewise, in a hurry; never less urgent than @nice
 *
 * Context: process, may sleep.
 * Return: 0 or -ENOMEM.
 */
int llx_worker_init(u32 n_workers, int nice, int urgent_nice);

/*
 * Gives the threads their urgent priority, or the usual one back. The one who
 * waits may be behind another's request, so it takes effect at once. Any
 * context but hard interrupts; the queue calls it under its lock.
 */
void llx_worker_hurry(bool hurry);

/* Stops and joins the threads; the queue must be closed. Process context. */
void llx_worker_exit(void);

/*
 * Runs ranges on all inference threads. Only the request thread may use it:
 * only inside a request's run().
 */
struct llx_exec *llx_worker_exec(void);

/*
 * Runs ranges in the calling task, which a fatal signal interrupts. For work
 * that must not wait for the request thread: loading a model.
 */
extern struct llx_exec llx_worker_exec_caller;

/*
 * CPU time of all inference threads but for rankings: what prompts took. As of
 * some milliseconds ago. Any context.
 */
u64 llx_worker_users_ns(void);

/**
 * llx_worker_read() - what the threads have done
 * @sections: out: FPU sections
 * @longest_ns: out: the longest one, of any task
 * @cpu_ns: out: CPU time of all inference threads
 *
 * Context: any.
 */
void llx_worker_read(u64 *sections, u64 *longest_ns, u64 *cpu_ns);

#endif
