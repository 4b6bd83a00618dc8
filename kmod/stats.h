/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LLX_STATS_H
#define LLX_STATS_H

#include <linux/types.h>

struct llamux_stats;

/**
 * llx_stats_prompt() - count a prompt's evaluation
 * @n_tokens: evaluated
 * @ns: it took
 */
void llx_stats_prompt(u32 n_tokens, u64 ns);

/**
 * llx_stats_generated() - count generated tokens
 * @n_tokens: generated
 * @ns: it took
 */
void llx_stats_generated(u32 n_tokens, u64 ns);

/**
 * llx_stats_done() - count the end of a request
 * @status: 0, or why it failed; a stop that was asked for counts as cancelled
 *
 * Also of one that never ran. Context: any.
 */
void llx_stats_done(int status);

/* One session more (+1) or less (-1). */
void llx_stats_session(int change);

/**
 * llx_stats_read() - everything that is counted
 * @stats: out, all but @size
 *
 * Context: process.
 */
void llx_stats_read(struct llamux_stats *stats);

/*
 * Speed of the last request that evaluated a prompt, and that generated:
 * thousandths of a token per second; 0: none yet. Any context.
 */
u64 llx_stats_prompt_speed(void);
u64 llx_stats_generate_speed(void);

#endif
