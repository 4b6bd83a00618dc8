// SPDX-License-Identifier: GPL-2.0-only
/* Shared beginnings of prompts. See prefix.h. */
#include "prefix.h"

static void clear(struct llx_prefix *prefix)
{
	llx_free(prefix->tokens);
	llx_free(prefix->keys);
	llx_free(prefix->values);
	memset(prefix, 0, sizeof(*prefix));
}

void llx_prefixes_clear(struct llx_prefixes *prefixes)
{
	u32 i;

	for (i = 0; i < LLX_PREFIXES; i++)
		clear(&prefixes->slots[i]);
}

/* Runs of positions in either cache: one for each KV head of each layer. */
static size_t n_runs(const struct llx_context *ctx)
{
	const struct llx_hparams *h = &ctx->model->hparams;

	return (size_t)h->n_layer * h->n_head_kv;
}

/* Copies @n positions of each run; runs lie @to_n and @from_n positions apart. */
static void copy_runs(const struct llx_context *ctx, u8 *to, u32 to_n,
		      const u8 *from, u32 from_n, u32 n)
{
	size_t row = llx_cache_row_bytes(ctx->model);
	size_t i;

	for (i = 0; i < n_runs(ctx); i++)
		memcpy(to + i * to_n * row, from + i * from_n * row, n * row);
}

/* The longest that @tokens begin with and go on after, or NULL. */
static const struct llx_prefix *find(const struct llx_prefixes *prefixes,
				     const s32 *tokens, u32 n_tokens)
{
	const struct llx_prefix *best = NULL;
	u32 i;

	for (i = 0; i < LLX_PREFIXES; i++) {
		const struct llx_prefix *p = &prefixes->slots[i];

		if (p->n_tokens && p->n_tokens < n_tokens &&
		    (!best || p->n_tokens > best->n_tokens) &&
		    !memcmp(p->tokens, tokens, p->n_tokens * sizeof(*tokens)))
			best = p;
	}
	return best;
}

/* Keeps what the context holds, in place of the oldest; or nothing. */
static void save(struct llx_prefixes *prefixes, const struct llx_context *ctx,
		 const s32 *tokens)
{
	struct llx_prefix *p = &prefixes->slots[prefixes->next];
	u32 n = ctx->n_past;
	/* No overflow: less than the context's own cache. */
	size_t bytes = n_runs(ctx) * n * llx_cache_row_bytes(ctx->model);

	clear(p);
	p->tokens = llx_alloc(n * sizeof(*tokens));
	p->keys = llx_alloc(bytes);
	p->values = llx_alloc(bytes);
	if (!p->tokens || !p->keys || !p->values) {
		clear(p);
		return;
	}
	memcpy(p->tokens, tokens, n * sizeof(*tokens));
	copy_runs(ctx, p->keys, n, ctx->key_cache, ctx->n_ctx, n);
	copy_runs(ctx, p->values, n, ctx->value_cache, ctx->n_ctx, n);
	p->n_tokens = n;
	prefixes->next = (prefixes->next + 1) % LLX_PREFIXES;
}

/* Fills the empty context with what is kept, or evaluates and keeps it. */
static int begin(struct llx_context *ctx, struct llx_prefixes *prefixes,
		 const s32 *tokens, u32 n_tokens, u32 n_constant, u32 *n_found)
{
	const struct llx_prefix *p = find(prefixes, tokens, n_tokens);
	int err;

	if (p && p->n_tokens <= ctx->n_ctx) {
		copy_runs(ctx, ctx->key_cache, ctx->n_ctx, p->keys, p->n_tokens,
			  p->n_tokens);
		copy_runs(ctx, ctx->value_cache, ctx->n_ctx, p->values,
			  p->n_tokens, p->n_tokens);
		ctx->n_past = p->n_tokens;
		*n_found = p->n_tokens;
		return 0;
	}
	if (n_constant < LLX_PREFIX_MIN || n_constant >= n_tokens)
		return 0;
	err = llx_context_eval(ctx, tokens, n_constant, false);
	if (!err)
		save(prefixes, ctx, tokens);
	return err;
}

int llx_prefix_eval(struct llx_context *ctx, const s32 *tokens, u32 n_tokens,
		    u32 n_constant, u32 *n_evaluated)
{
	struct llx_prefixes *prefixes = ctx->model->prefixes;
	u32 n_found = 0;
	int err = 0;

	llx_context_truncate(ctx, 0);
	if (n_tokens > ctx->n_ctx)
		return -E2BIG;
	if (prefixes)
		err = begin(ctx, prefixes, tokens, n_tokens, n_constant,
			    &n_found);
	if (!err)
		err = llx_context_eval(ctx, tokens + ctx->n_past,
				       n_tokens - ctx->n_past, true);
	if (err)
		llx_context_truncate(ctx, 0);
	if (n_evaluated)
		*n_evaluated = n_tokens - n_found;
	return err;
}
