/* SPDX-License-Identifier: GPL-2.0-only */
/* What transformer.c evaluates; context.c finds the memory for it. */
#ifndef LLX_BATCH_H
#define LLX_BATCH_H

#include "transformer.h"

/* Query heads that go through attention together; bounds the scores. */
#define MAX_HEADS_PER_ITEM 8u

/*
 * What is being evaluated and the memory for it: one allocation, this struct
 * first. Buffers are (T, ...) with room for T = min(LLX_MAX_BATCH, n_ctx).
 */
struct batch {
	struct llx_context *ctx;
	const struct llx_model *model;
	const struct llx_kernels *k;
	const s32 *tokens; /* (n_tokens) */
	u32 n_tokens;	   /* T of this batch */
	u32 pos;	   /* where the first one's keys and values go */
	const struct llx_node *nodes; /* (T) of a tree; NULL: a sequence */
	int err;	   /* of the first step that failed; later ones are skipped */

	u32 layer_index;
	const struct llx_layer *layer;
	const llx_f32 *norm_weight; /* (n_embd) of the next norm */
	u32 heads_per_item;
	u32 items_per_kv_head;

	u32 *positions;		 /* (T) in the sequence, or on the path */
	llx_f32 *x;		 /* (T, n_embd) the residual stream */
	llx_f32 *y;		 /* (T, n_embd) what a block adds to it */
	llx_f32 *norm;		 /* (T, n_embd) */
	llx_f32 *q;		 /* (T, n_head * head_dim) */
	llx_f32 *key;		 /* (T, n_head_kv * head_dim) */
	llx_f32 *value;		 /* (T, n_head_kv * head_dim) */
	llx_f32 *attn;		 /* (T, n_head * head_dim) */
	llx_f32 *gate;		 /* (T, n_ff) */
	llx_f32 *up;		 /* (T, n_ff) */
	struct llx_act_block *q8; /* (T, widest matmul input / 32) */
	llx_f32 *scores;	 /* (workers, heads, LLX_ATTENTION_BLOCK) */
	/* (workers, 2, LLX_ATTENTION_BLOCK, head_dim); NULL: the cache is f16 */
	u16 *rows;
};

static inline const struct llx_hparams *hparams(const struct batch *b)
{
	return &b->model->hparams;
}

/* Values of one token's queries and of its keys. */
static inline u32 q_width(const struct llx_hparams *h)
{
	return h->n_head * h->head_dim;
}

static inline u32 kv_width(const struct llx_hparams *h)
{
	return h->n_head_kv * h->head_dim;
}

#endif
