// SPDX-License-Identifier: GPL-2.0-only
/*
 * The integer half of sampling: parameters, the random numbers and which
 * tokens were seen lately. The draw itself is llx_op_sample().
 */
#include "sampler.h"

#include "../math/ops.h"

/* The ranges that uapi/llamux.h states; -EINVAL outside. */
static int check_params(const struct llx_sampler_params *p)
{
	if (p->temperature_milli > 5000 || p->min_p_milli > 1000)
		return -EINVAL;
	if (p->top_p_milli < 1 || p->top_p_milli > 1000)
		return -EINVAL;
	if (p->repeat_penalty_milli < 1 || p->repeat_penalty_milli > 2000)
		return -EINVAL;
	if (p->repeat_last_n > LLX_SAMPLER_HISTORY)
		return -EINVAL;
	return 0;
}

int llx_sampler_init(struct llx_sampler *s, const struct llx_model *model,
		     const struct llx_sampler_params *params)
{
	int err = check_params(params);

	memset(s, 0, sizeof(*s));
	if (err)
		return err;
	s->params = *params;
	s->state = params->seed;
	s->index = llx_alloc(model->hparams.n_vocab * sizeof(*s->index));
	return s->index ? 0 : -ENOMEM;
}

void llx_sampler_destroy(struct llx_sampler *s)
{
	llx_free(s->index);
	memset(s, 0, sizeof(*s));
}

void llx_sampler_accept(struct llx_sampler *s, s32 token)
{
	s->history[s->n_history++ % LLX_SAMPLER_HISTORY] = token;
	/* Only the position in the ring counts once it is full. */
	if (s->n_history == 2 * LLX_SAMPLER_HISTORY)
		s->n_history = LLX_SAMPLER_HISTORY;
}

/* splitmix64 (Steele, Lea and Flood 2014) */
static u64 next_random(u64 *state)
{
	u64 z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

/* The last repeat_last_n tokens, each once, into s->recent. */
static u32 gather_recent(struct llx_sampler *s)
{
	u32 back = min(s->n_history, s->params.repeat_last_n);
	u32 n = 0;
	u32 i;
	u32 j;

	for (i = 1; i <= back; i++) {
		s32 token = s->history[(s->n_history - i) % LLX_SAMPLER_HISTORY];

		for (j = 0; j < n && s->recent[j] != token; j++)
			;
		if (j == n)
			s->recent[n++] = token;
	}
	return n;
}

struct draw {
	struct llx_sampler *s;
	const struct llx_context *ctx;
	struct llx_sampling sampling;
	u64 random;
	u32 token; /* out */
};

static void draw_range(void *arg, u32 begin, u32 end, u32 worker)
{
	struct draw *d = arg;
	const struct llx_model *model = d->ctx->model;

	d->token = llx_op_sample(model->kernels, &d->sampling, d->ctx->logits,
				 model->hparams.n_vocab, d->random, d->s->index);
}

s32 llx_sampler_next(struct llx_sampler *s, struct llx_context *ctx)
{
	const struct llx_sampler_params *p = &s->params;
	u64 state = s->state;
	struct draw d = {
		.s = s,
		.ctx = ctx,
		.sampling = {
			.temperature_milli = p->temperature_milli,
			.top_k = p->top_k,
			.top_p_milli = p->top_p_milli,
			.min_p_milli = p->min_p_milli,
			.repeat_penalty_milli = p->repeat_penalty_milli,
			.recent = s->recent,
			.n_recent = gather_recent(s),
		},
		.random = next_random(&state),
	};
	int err = ctx->exec->parallel_for(ctx->exec, 1, 1, draw_range, &d);

	if (err)
		return err;
	s->state = state;
	llx_sampler_accept(s, d.token);
	return d.token;
}
