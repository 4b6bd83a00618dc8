// SPDX-License-Identifier: GPL-2.0-only
/*
 * The simplest executor: every range in the calling thread, in order. Not part
 * of the module, whose executor is kmod/worker.c.
 */
#include "exec.h"

static int parallel_for(struct llx_exec *exec, u32 n, u32 grain,
			llx_range_fn fn, void *arg)
{
	u32 begin;

	if (LLX_BUG_ON(!grain))
		return -EINVAL;
	for (begin = 0; begin < n; begin += min(grain, n - begin))
		fn(arg, begin, begin + min(grain, n - begin), 0);
	return 0;
}

struct llx_exec llx_exec_inline = {
	.n_workers = 1,
	.parallel_for = parallel_for,
};
