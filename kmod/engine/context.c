// SPDX-License-Identifier: GPL-2.0-only
/* The memory of a context: its cache, its logits and the scratch of a batch. */
#include "batch.h"
#include "quant.h"

#include "../math/ops.h"
#include "../simd/kernels.h"

const char *const llx_cache_type_names[LLX_N_CACHE_TYPES] = {
	[LLX_CACHE_F16] = "f16",
	[LLX_CACHE_Q8_0] = "q8_0",
};

int llx_model_set_cache(struct llx_model *model, enum llx_cache_type type)
{
	if (type == LLX_CACHE_Q8_0 && model->hparams.head_dim % LLX_QK)
		return -EINVAL;
	model->cache_type = type;
	return 0;
}

size_t llx_cache_row_bytes(const struct llx_model *model)
{
	size_t n = model->hparams.head_dim;

	return model->cache_type == LLX_CACHE_Q8_0 ?
		       n / LLX_QK * sizeof(struct llx_block_q8_0) :
		       n * sizeof(u16);
}

void llx_context_truncate(struct llx_context *ctx, u32 n_past)
{
	ctx->n_past = min(ctx->n_past, n_past);
}

/* Hands out parts of one allocation; with @base NULL it only counts. */
struct carver {
	u8 *base;
	size_t used;
	bool overflow;
};

/* (a, b) elements of @size bytes, on a cache line of their own. */
static void *carve(struct carver *c, size_t a, size_t b, size_t size)
{
	size_t at = c->used;
	size_t bytes;

	if (check_mul_overflow(a, b, &bytes) ||
	    check_mul_overflow(bytes, size, &bytes) ||
	    check_add_overflow(bytes, (size_t)63, &bytes) ||
	    check_add_overflow(at, bytes & ~(size_t)63, &c->used))
		c->overflow = true;
	return c->base ? c->base + at : NULL;
}

/*
 * Lays @b's buffers out at @base; returns the bytes of all, the struct
 * included, 0 if they cannot be counted. With @base NULL @b gets no pointers
 * that may be used.
 */
static size_t carve_batch(struct batch *b, const struct llx_model *model,
			  u32 n_ctx, u8 *base)
{
	const struct llx_hparams *h = &model->hparams;
	struct carver c = { .base = base };
	u32 n = min(n_ctx, LLX_MAX_BATCH);
	u32 widest = max(h->n_embd, h->n_ff);

	widest = max(widest, q_width(h));
	carve(&c, 1, 1, sizeof(*b));
	b->positions = carve(&c, n, 1, sizeof(*b->positions));
	b->x = carve(&c, n, h->n_embd, sizeof(*b->x));
	b->y = carve(&c, n, h->n_embd, sizeof(*b->y));
	b->norm = carve(&c, n, h->n_embd, sizeof(*b->norm));
	b->q = carve(&c, n, q_width(h), sizeof(*b->q));
	b->key = carve(&c, n, kv_width(h), sizeof(*b->key));
	b->value = carve(&c, n, kv_width(h), sizeof(*b->value));
	b->attn = carve(&c, n, q_width(h), sizeof(*b->attn));
	b->gate = carve(&c, n, h->n_ff, sizeof(*b->gate));
	b->up = carve(&c, n, h->n_ff, sizeof(*b->up));
	b->q8 = carve(&c, n, widest / LLX_ACT_BLOCK, sizeof(*b->q8));
	b->scores = carve(&c, LLX_MAX_WORKERS * MAX_HEADS_PER_ITEM,
			  LLX_ATTENTION_BLOCK, sizeof(*b->scores));
	b->rows = NULL;
	if (model->cache_type != LLX_CACHE_F16)
		b->rows = carve(&c, LLX_MAX_WORKERS * 2 * LLX_ATTENTION_BLOCK,
				h->head_dim, sizeof(*b->rows));
	return c.overflow ? 0 : c.used;
}

/* Bytes of either cache; 0: too many to count. */
static size_t cache_bytes(const struct llx_model *model, u32 n_ctx)
{
	const struct llx_hparams *h = &model->hparams;
	size_t bytes;

	if (check_mul_overflow((size_t)h->n_layer, (size_t)h->n_head_kv,
			       &bytes) ||
	    check_mul_overflow(bytes, (size_t)n_ctx, &bytes) ||
	    check_mul_overflow(bytes, llx_cache_row_bytes(model), &bytes))
		return 0;
	return bytes;
}

/* No overflow: n_vocab is a u32. */
static size_t logits_bytes(const struct llx_hparams *h)
{
	return (size_t)h->n_vocab * LLX_LOGIT_ROWS * sizeof(llx_f32);
}

size_t llx_context_bytes(const struct llx_model *model, u32 n_ctx)
{
	const struct llx_hparams *h = &model->hparams;
	size_t cache = cache_bytes(model, n_ctx);
	struct batch counted;
	size_t scratch = carve_batch(&counted, model, n_ctx, NULL);
	size_t bytes;

	if (!n_ctx || n_ctx > h->n_ctx || !cache || !scratch ||
	    check_add_overflow(cache, cache, &bytes) ||
	    check_add_overflow(bytes, scratch, &bytes) ||
	    check_add_overflow(bytes, logits_bytes(h), &bytes))
		return 0;
	return bytes;
}

int llx_context_init(struct llx_context *ctx, const struct llx_model *model,
		     struct llx_exec *exec, u32 n_ctx)
{
	const struct llx_hparams *h = &model->hparams;
	struct batch *b;
	struct batch counted;

	memset(ctx, 0, sizeof(*ctx));
	if (!n_ctx || n_ctx > h->n_ctx)
		return -EINVAL;
	if (!llx_context_bytes(model, n_ctx))
		return -ENOMEM;
	ctx->model = model;
	ctx->exec = exec;
	ctx->n_ctx = n_ctx;
	ctx->key_cache = llx_alloc(cache_bytes(model, n_ctx));
	ctx->value_cache = llx_alloc(cache_bytes(model, n_ctx));
	ctx->logits = llx_alloc(logits_bytes(h));
	b = llx_alloc(carve_batch(&counted, model, n_ctx, NULL));
	ctx->scratch = b;
	if (!ctx->key_cache || !ctx->value_cache || !ctx->logits || !b) {
		llx_context_destroy(ctx);
		return -ENOMEM;
	}
	carve_batch(b, model, n_ctx, (u8 *)b);
	b->ctx = ctx;
	b->model = model;
	b->k = model->kernels;
	return 0;
}

void llx_context_destroy(struct llx_context *ctx)
{
	llx_free(ctx->key_cache);
	llx_free(ctx->value_cache);
	llx_free(ctx->logits);
	llx_free(ctx->scratch);
	memset(ctx, 0, sizeof(*ctx));
}
