// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whole-phrase scoring. The phrases make a tree whose root is the prompt: what
 * several begin with is one path. Nodes are evaluated in one pass, each seeing
 * its ancestors; a node's logits score the next token of every phrase that goes
 * through it. A phrase's last token is scored, never evaluated.
 */
#include "score.h"

#include "../math/ops.h"

#define MAX_NODES LLX_MAX_BATCH
#define MAX_PHRASES 64u /* of one pass */
#define NOWHERE 0xffu	/* no node */

static_assert(LLX_MAX_PHRASE_TOKENS <= MAX_NODES, "a pass takes a phrase");
static_assert(LLX_MAX_PHRASE_TOKENS <= LLX_MAX_DEPTH, "a phrase is a path");
static_assert(MAX_NODES < NOWHERE, "a node fits a byte");

/* Phrases @first..@first + @n - 1, and the tree of their tokens. */
struct pass {
	struct llx_context *ctx;
	struct llx_phrase *phrases; /* all of them */
	u32 n_phrases;
	u32 first;
	u32 n;
	struct llx_node nodes[MAX_NODES];
	u32 n_nodes;
	u32 capacity;
	/* The node of each token, and what the token's logits say of the next. */
	u8 node_of[MAX_PHRASES][LLX_MAX_PHRASE_TOKENS];
	s64 logprob[MAX_PHRASES][LLX_MAX_PHRASE_TOKENS];
	u32 row_begin; /* nodes whose logits the context holds */
	u32 n_rows;
};

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
		if (p->n_tokens - 1 > ctx->n_ctx - ctx->n_past)
			return -E2BIG;
	}
	return 0;
}

static s64 logprob(const struct llx_context *ctx, u32 row, s32 token)
{
	u32 n = ctx->model->hparams.n_vocab;

	return llx_op_logprob(ctx->logits + (size_t)row * n, n, token);
}

/* The prompt's own logits score what each phrase begins with. */
static void score_first_range(void *arg, u32 begin, u32 end, u32 worker)
{
	struct pass *pass = arg;
	u32 i;

	for (i = begin; i < end; i++) {
		struct llx_phrase *p = &pass->phrases[i];

		p->logprob_micro_nats = logprob(pass->ctx, 0, p->tokens[0]);
	}
}

/* The node of @token after @parent, a new one if need be; NOWHERE: no room. */
static u32 child(struct pass *pass, u32 parent, s32 token)
{
	u32 i;

	for (i = 0; i < pass->n_nodes; i++)
		if (pass->nodes[i].parent == parent &&
		    pass->nodes[i].token == token)
			return i;
	if (i == pass->capacity)
		return NOWHERE;
	pass->nodes[i].parent = parent;
	pass->nodes[i].token = token;
	pass->n_nodes++;
	return i;
}

/* Adds the next phrase to the tree; false: it does not fit any more. */
static bool add_phrase(struct pass *pass)
{
	const struct llx_phrase *p = &pass->phrases[pass->first + pass->n];
	u32 n_nodes = pass->n_nodes;
	u32 node = LLX_ROOT;
	u32 i;

	for (i = 0; i + 1 < p->n_tokens; i++) {
		node = child(pass, node, p->tokens[i]);
		if (node == NOWHERE) {
			pass->n_nodes = n_nodes;
			return false;
		}
		pass->node_of[pass->n][i] = node;
	}
	pass->n++;
	return true;
}

/* An item is one phrase at one of the rows of logits. */
static void score_range(void *arg, u32 begin, u32 end, u32 worker)
{
	struct pass *pass = arg;
	u32 i;
	u32 j;

	for (; begin < end; begin++) {
		u32 row = begin / pass->n;
		const struct llx_phrase *p;

		i = begin % pass->n;
		p = &pass->phrases[pass->first + i];
		for (j = 0; j + 1 < p->n_tokens; j++)
			if (pass->node_of[i][j] == pass->row_begin + row)
				pass->logprob[i][j] = logprob(pass->ctx, row,
							      p->tokens[j + 1]);
	}
}

static int score_pass(struct pass *pass)
{
	struct llx_exec *exec = pass->ctx->exec;
	u32 i;
	u32 j;
	int err;

	if (!pass->n_nodes)
		return 0;
	err = llx_context_eval_tree(pass->ctx, pass->nodes, pass->n_nodes);
	for (i = 0; i < pass->n_nodes && !err; i += pass->n_rows) {
		pass->row_begin = i;
		pass->n_rows = min(pass->n_nodes - i, LLX_LOGIT_ROWS);
		err = llx_context_tree_logits(pass->ctx, i, pass->n_rows);
		if (!err)
			err = exec->parallel_for(exec, pass->n_rows * pass->n,
						 1, score_range, pass);
	}
	for (i = 0; i < pass->n && !err; i++) {
		struct llx_phrase *p = &pass->phrases[pass->first + i];

		for (j = 0; j + 1 < p->n_tokens; j++)
			p->logprob_micro_nats += pass->logprob[i][j];
	}
	return err;
}

static int score(struct pass *pass)
{
	struct llx_exec *exec = pass->ctx->exec;
	int err;

	err = exec->parallel_for(exec, pass->n_phrases, 1, score_first_range,
				 pass);
	for (; pass->first < pass->n_phrases && !err; pass->first += pass->n) {
		pass->n = 0;
		pass->n_nodes = 0;
		while (pass->n < MAX_PHRASES &&
		       pass->first + pass->n < pass->n_phrases &&
		       add_phrase(pass))
			;
		err = score_pass(pass);
	}
	return err;
}

int llx_score_phrases(struct llx_context *ctx, struct llx_phrase *phrases,
		      u32 n_phrases)
{
	struct pass *pass;
	int err = check_phrases(ctx, phrases, n_phrases);

	if (err || !n_phrases)
		return err;
	pass = llx_alloc(sizeof(*pass));
	if (!pass)
		return -ENOMEM;
	pass->ctx = ctx;
	pass->phrases = phrases;
	pass->n_phrases = n_phrases;
	pass->capacity = min(MAX_NODES, ctx->n_ctx - ctx->n_past);
	err = score(pass);
	llx_free(pass);
	return err;
}
