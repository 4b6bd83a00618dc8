// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whole-phrase scoring by walking the phrases as paths of a tree whose root is
 * the prompt. A node is a prefix; its logits score the next token of every
 * phrase that goes through it, so a prefix that neighbours share is evaluated
 * once.
 */
#include "score.h"

#include "../math/ops.h"

struct scoring {
	struct llx_context *ctx;
	struct llx_phrase *phrases;
	u32 n_phrases;
	/* The node: the first @depth tokens of phrases[@at]. */
	u32 at;
	u32 depth;
};

/* How many tokens two phrases start with in common. */
static u32 common_prefix(const struct llx_phrase *a, const struct llx_phrase *b)
{
	u32 n = min(a->n_tokens, b->n_tokens);
	u32 i = 0;

	while (i < n && a->tokens[i] == b->tokens[i])
		i++;
	return i;
}

/*
 * Was this node walked before, by a phrase before @at? Then its tokens are in
 * all sums already.
 */
static bool node_is_scored(const struct scoring *s)
{
	const struct llx_phrase *phrase = &s->phrases[s->at];
	u32 i;

	for (i = 0; i < s->at; i++)
		if (s->phrases[i].n_tokens > s->depth &&
		    common_prefix(&s->phrases[i], phrase) >= s->depth)
			return true;
	return false;
}

/* Adds the node's log-probability to phrases @begin..@end-1 that pass it. */
static void score_range(void *arg, u32 begin, u32 end, u32 worker)
{
	struct scoring *s = arg;
	const struct llx_phrase *at = &s->phrases[s->at];
	u32 i;

	for (i = begin; i < end; i++) {
		struct llx_phrase *p = &s->phrases[i];

		if (p->n_tokens > s->depth && common_prefix(p, at) >= s->depth)
			p->logprob_micro_nats += llx_op_logprob(
				s->ctx->logits, s->ctx->model->hparams.n_vocab,
				p->tokens[s->depth]);
	}
}

/* Walks one phrase from @depth tokens, of which the cache holds as many. */
static int score_phrase(struct scoring *s)
{
	struct llx_exec *exec = s->ctx->exec;
	const struct llx_phrase *p = &s->phrases[s->at];
	int err;

	for (;;) {
		if (!node_is_scored(s)) {
			err = exec->parallel_for(exec, s->n_phrases, 1,
						 score_range, s);
			if (err)
				return err;
		}
		if (s->depth + 1 == p->n_tokens)
			return 0;
		err = llx_context_eval(s->ctx, &p->tokens[s->depth], 1, true);
		if (err)
			return err;
		s->depth++;
	}
}

static int check_phrases(const struct llx_context *ctx,
			 const struct llx_phrase *phrases, u32 n_phrases)
{
	u32 i;
	u32 j;

	if (!ctx->n_past)
		return -EINVAL;
	for (i = 0; i < n_phrases; i++) {
		const struct llx_phrase *p = &phrases[i];

		if (!p->n_tokens || p->n_tokens > LLX_MAX_PHRASE_TOKENS)
			return -EINVAL;
		for (j = 0; j < p->n_tokens; j++)
			if (p->tokens[j] < 0 ||
			    (u32)p->tokens[j] >= ctx->model->hparams.n_vocab)
				return -EINVAL;
		/* The last token is scored, never evaluated. */
		if (p->n_tokens - 1 > ctx->n_ctx - ctx->n_past)
			return -E2BIG;
	}
	return 0;
}

int llx_score_phrases(struct llx_context *ctx, struct llx_phrase *phrases,
		      u32 n_phrases)
{
	struct scoring s = {
		.ctx = ctx,
		.phrases = phrases,
		.n_phrases = n_phrases,
	};
	u32 n_past = ctx->n_past;
	int err = check_phrases(ctx, phrases, n_phrases);
	u32 i;

	if (err)
		return err;
	for (i = 0; i < n_phrases; i++)
		phrases[i].logprob_micro_nats = 0;
	for (; s.at < n_phrases && !err; s.at++) {
		/* Go on where this phrase leaves the one before. */
		if (s.at)
			s.depth = common_prefix(&phrases[s.at - 1],
						&phrases[s.at]);
		s.depth = min(s.depth, phrases[s.at].n_tokens - 1);
		llx_context_truncate(ctx, n_past + s.depth);
		s.depth = ctx->n_past - n_past;
		err = score_phrase(&s);
	}
	llx_context_truncate(ctx, n_past);
	return err;
}
