/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whole-phrase scoring: how likely is each phrase as what comes next?
 */
#ifndef LLX_SCORE_H
#define LLX_SCORE_H

#include "port.h"
#include "transformer.h"

#define LLX_MAX_PHRASE_TOKENS 64u

/* A phrase to score, and its result. */
struct llx_phrase {
	s32 tokens[LLX_MAX_PHRASE_TOKENS];
	u32 n_tokens;		/* at least 1 */
	s64 logprob_micro_nats;	/* out: sum over the tokens, <= 0 */
};

/**
 * llx_score_phrases - score phrases that continue the context
 * @ctx: holds the prompt (n_past >= 1), whose last logits are in @ctx->logits;
 *	n_past is the same afterwards, the logits are another position's
 *
 * Neither the prompt nor what phrases have in common is evaluated twice; the
 * rest goes through the layers together. May sleep. Return: 0; -EINVAL; -E2BIG;
 * -ENOMEM; -EINTR.
 */
int llx_score_phrases(struct llx_context *ctx, struct llx_phrase *phrases,
		      u32 n_phrases);

#endif
