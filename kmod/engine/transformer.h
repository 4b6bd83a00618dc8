/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The forward pass: tokens in, logits out, one context (KV cache) per session.
 */
#ifndef LLX_TRANSFORMER_H
#define LLX_TRANSFORMER_H

#include "exec.h"
#include "model.h"
#include "port.h"

/* Most tokens that go through the layers together. */
#define LLX_MAX_BATCH 64u
/* Rows of logits that a context holds. */
#define LLX_LOGIT_ROWS 8u
/* Nodes on the longest path of a tree. */
#define LLX_MAX_DEPTH 64u
/* The parent of a node that follows the context's last position. */
#define LLX_ROOT 0xffffffffu

/**
 * struct llx_context - one sequence: its cache and the scratch to extend it
 * @model: borrowed; must outlive the context
 * @n_ctx: positions the cache has room for
 * @n_past: positions filled; lower it to forget the tail (see below)
 * @logits: (LLX_LOGIT_ROWS, n_vocab); the first row is that of the last position
 *	evaluated, valid after a call that asked for it
 *
 * Not thread-safe; one request at a time uses it.
 */
struct llx_context {
	const struct llx_model *model;
	struct llx_exec *exec;
	u32 n_ctx;
	u32 n_past;
	u8 *key_cache;	 /* (n_layer, n_head_kv, n_ctx, head_dim), in rows */
	u8 *value_cache; /* likewise */
	llx_f32 *logits;
	void *scratch;	  /* transformer.c's own */
};

/**
 * llx_context_init - allocate cache and scratch for @n_ctx positions
 *
 * May sleep. Return: 0; -EINVAL n_ctx is 0 or beyond the model's; -ENOMEM.
 */
int llx_context_init(struct llx_context *ctx, const struct llx_model *model,
		     struct llx_exec *exec, u32 n_ctx);
void llx_context_destroy(struct llx_context *ctx);

/* Keep the first @n_past positions (at most what is filled). Any context. */
void llx_context_truncate(struct llx_context *ctx, u32 n_past);

/**
 * llx_context_eval - run tokens through the model and append them
 * @tokens: (@n_tokens), each < n_vocab
 * @want_logits: leave the last token's logits in @ctx->logits
 *
 * The result does not depend on how the tokens are split over calls, nor on
 * the number of workers, nor on the instruction set. May sleep. Return: 0;
 * -E2BIG more than the context holds (nothing is changed); -EINVAL token out
 * of range; -EINTR cancelled: n_past is where it was before the call.
 */
int llx_context_eval(struct llx_context *ctx, const s32 *tokens, u32 n_tokens,
		     bool want_logits);

/**
 * struct llx_node - a token in a tree of continuations
 * @parent: index of the node before it, below its own; or LLX_ROOT
 */
struct llx_node {
	s32 token;
	u32 parent;
};

/**
 * llx_context_eval_tree - run many continuations through the model in one pass
 * @nodes: (@n_nodes), at most LLX_MAX_BATCH, paths at most LLX_MAX_DEPTH long
 *
 * A node sees what is filled and its own ancestors, so its result has the bits
 * that llx_context_eval() gives for that path. Nothing is appended; the room
 * behind what is filled is scratch. May sleep. Return: 0; -E2BIG too many, or no
 * room for so many; -EINVAL; -EINTR.
 */
int llx_context_eval_tree(struct llx_context *ctx, const struct llx_node *nodes,
			  u32 n_nodes);

/*
 * Logits of nodes @first..@first + @n - 1 of the tree just evaluated, @n at most
 * LLX_LOGIT_ROWS, in that many rows of @ctx->logits. May sleep. Return: 0; -EINTR.
 */
int llx_context_tree_logits(struct llx_context *ctx, u32 first, u32 n);

/* Bytes of a row of either cache: (head_dim), of one position and KV head. */
size_t llx_cache_row_bytes(const struct llx_model *model);

/* Bytes llx_context_init() would allocate; 0 if it cannot be. */
size_t llx_context_bytes(const struct llx_model *model, u32 n_ctx);

#endif
