// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the module did since it was loaded. Counters only grow.
 */
#include "stats.h"
#include "queue.h"
#include "worker.h"

#include <linux/atomic.h>
#include <linux/math64.h>
#include <uapi/llamux.h>

static atomic_t n_sessions;
static atomic64_t requests_done;
static atomic64_t requests_failed;
static atomic64_t requests_cancelled;
static atomic64_t prompt_tokens;
static atomic64_t prompt_ns;
static atomic64_t generated_tokens;
static atomic64_t generate_ns;
static atomic64_t prompt_speed;
static atomic64_t generate_speed;

/* Thousandths of a token per second. */
static u64 speed(u32 n_tokens, u64 ns)
{
	return div64_u64(n_tokens * 1000ULL * NSEC_PER_SEC, max(ns, 1ULL));
}

void llx_stats_prompt(u32 n_tokens, u64 ns)
{
	if (!n_tokens)
		return;
	atomic64_add(n_tokens, &prompt_tokens);
	atomic64_add(ns, &prompt_ns);
	atomic64_set(&prompt_speed, speed(n_tokens, ns));
}

void llx_stats_generated(u32 n_tokens, u64 ns)
{
	if (!n_tokens)
		return;
	atomic64_add(n_tokens, &generated_tokens);
	atomic64_add(ns, &generate_ns);
	atomic64_set(&generate_speed, speed(n_tokens, ns));
}

void llx_stats_done(int status)
{
	switch (status) {
	case 0:
		atomic64_inc(&requests_done);
		break;
	case -ECANCELED:
	case -EINTR:
	case -ENODEV:
		atomic64_inc(&requests_cancelled);
		break;
	default:
		atomic64_inc(&requests_failed);
	}
}

void llx_stats_session(int change)
{
	atomic_add(change, &n_sessions);
}

void llx_stats_read(struct llamux_stats *stats)
{
	stats->n_sessions = atomic_read(&n_sessions);
	stats->n_queued = llx_queue_length();
	stats->n_workers = llx_worker_exec()->n_workers;
	stats->requests_done = atomic64_read(&requests_done);
	stats->requests_failed = atomic64_read(&requests_failed);
	stats->requests_cancelled = atomic64_read(&requests_cancelled);
	stats->prompt_tokens = atomic64_read(&prompt_tokens);
	stats->prompt_ns = atomic64_read(&prompt_ns);
	stats->generated_tokens = atomic64_read(&generated_tokens);
	stats->generate_ns = atomic64_read(&generate_ns);
	llx_worker_read(&stats->fpu_sections, &stats->fpu_longest_ns,
			&stats->cpu_ns);
}

u64 llx_stats_prompt_speed(void)
{
	return atomic64_read(&prompt_speed);
}

u64 llx_stats_generate_speed(void)
{
	return atomic64_read(&generate_speed);
}
