/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Chooses the next token from the logits: greedy, or seeded random draws with
 * temperature, top-k, top-p, min-p and repetition penalty. The same seed and
 * logits give the same tokens everywhere.
 */
#ifndef LLX_SAMPLER_H
#define LLX_SAMPLER_H

#include "port.h"
#include "transformer.h"

#define LLX_SAMPLER_HISTORY 256u

/* The fields have the meaning and range of struct llamux_params. */
struct llx_sampler_params {
	u32 temperature_milli;
	u32 top_k;
	u32 top_p_milli;
	u32 min_p_milli;
	u32 repeat_penalty_milli;
	u32 repeat_last_n; /* at most LLX_SAMPLER_HISTORY */
	u64 seed;
};

struct llx_sampler {
	struct llx_sampler_params params;
	u64 state; /* splitmix64 */
	u32 n_history;
	s32 history[LLX_SAMPLER_HISTORY]; /* ring of the last tokens */
	s32 recent[LLX_SAMPLER_HISTORY]; /* scratch: of these, each once */
	u32 *index; /* (n_vocab) scratch */
};

/* May sleep. 0; -EINVAL a parameter is out of range; -ENOMEM. */
int llx_sampler_init(struct llx_sampler *s, const struct llx_model *model,
		     const struct llx_sampler_params *params);
void llx_sampler_destroy(struct llx_sampler *s);

/* Remember a token for the repetition penalty. */
void llx_sampler_accept(struct llx_sampler *s, s32 token);

/*
 * Draw from @ctx->logits (overwritten) and accept the token. May sleep.
 * Return: the token; -EINTR.
 */
s32 llx_sampler_next(struct llx_sampler *s, struct llx_context *ctx);

#endif
