/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Beginnings that many prompts share (a task's description, solved examples),
 * evaluated once per model: their keys and values are kept and copied into each
 * context that starts with the same tokens. Copied, not shared, because
 * attention reads one run of positions; a copy costs a thousandth of an
 * evaluation.
 */
#ifndef LLX_PREFIX_H
#define LLX_PREFIX_H

#include "port.h"
#include "transformer.h"

#define LLX_PREFIXES 4u	   /* advise, ask and chat have one each */
#define LLX_PREFIX_MIN 16u /* tokens; shorter ones are not worth it */

/**
 * struct llx_prefix - one beginning
 * @tokens: (@n_tokens)
 * @keys: (n_layer * n_head_kv, @n_tokens, head_dim), rows as in a context
 * @values: likewise
 */
struct llx_prefix {
	s32 *tokens;
	u8 *keys;
	u8 *values;
	u32 n_tokens; /* 0: none; the pointers are NULL then */
};

/*
 * Those of a model, the oldest replaced first. Owned by the model. Not
 * thread-safe: whoever evaluates its contexts does so one after another.
 */
struct llx_prefixes {
	struct llx_prefix slots[LLX_PREFIXES];
	u32 next;
};

/**
 * llx_prefix_eval - evaluate a prompt from the start
 * @ctx: what it holds is forgotten
 * @tokens: (@n_tokens), each < n_vocab
 * @n_constant: so many at the start will come again in other prompts
 * @n_evaluated: out, the tokens that were not found evaluated; may be NULL
 *
 * Leaves the context as llx_context_eval() with logits does, bit for bit.
 * Without memory for a prefix the prompt is evaluated all the same. May sleep.
 * Return: as llx_context_eval(); after an error the context is empty.
 */
int llx_prefix_eval(struct llx_context *ctx, const s32 *tokens, u32 n_tokens,
		    u32 n_constant, u32 *n_evaluated);

/* Frees all of them. May sleep. */
void llx_prefixes_clear(struct llx_prefixes *prefixes);

#endif
