/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The executor: how the engine gets its loops run. The engine never opens an
 * FPU section, sleeps or makes a thread; it hands ranges to whoever owns the
 * threads (kmod/worker.c in the kernel; a plain loop, threads or TSan in
 * tests).
 */
#ifndef LLX_EXEC_H
#define LLX_EXEC_H

#include "port.h"

#define LLX_MAX_WORKERS 64

/*
 * What a range may cost, in multiply-adds of the int8 matmul of one token: about
 * 50 us where memory lets a core do 20 of them a nanosecond.
 */
#define LLX_RANGE_COST (1u << 20)

/*
 * Runs items @begin..@end-1. Called inside an FPU section: may use vector
 * registers, must not sleep, allocate or fault. @worker (0..n_workers-1) may
 * index scratch memory; two calls with the same @worker never overlap.
 */
typedef void (*llx_range_fn)(void *arg, u32 begin, u32 end, u32 worker);

/**
 * struct llx_exec - runs ranges, in parallel if it can
 * @n_workers: 1..LLX_MAX_WORKERS, constant for the life of the object
 * @range_cost: what a range may cost here, 0: LLX_RANGE_COST. Less on a slower
 *	CPU; may change between two loops
 * @parallel_for: calls @fn for every item of 0..n-1 once, in ranges of at most
 *	@grain items, each range in one FPU section; returns when all are done.
 *	The caller picks @grain so that a range takes well below 100 us.
 *	Which worker gets which range is not defined, so @fn must give the
 *	same result for any split. May sleep between ranges. Returns 0, or
 *	-EINTR if the request was cancelled (some ranges may be left out).
 */
struct llx_exec {
	u32 n_workers;
	u32 range_cost;
	int (*parallel_for)(struct llx_exec *exec, u32 n, u32 grain,
			    llx_range_fn fn, void *arg);
};

/* Runs everything in the calling thread; for tests and tools (port_user). */
extern struct llx_exec llx_exec_inline;

#endif
