// SPDX-License-Identifier: GPL-2.0-only
/*
 * SCORE, EVAL and the ranking of ADVISE: they need an empty context for a
 * moment. Requests run one after another, so one context of each model serves
 * them all.
 */
#include "evaluate.h"
#include "engine/model.h"
#include "engine/score.h"
#include "engine/tokenizer.h"
#include "engine/transformer.h"
#include "model_file.h"
#include "session.h"
#include "stats.h"
#include "worker.h"

#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/slab.h>

struct call {
	struct llx_loaded *loaded;
	int (*run)(struct llx_context *context, void *arg);
	void *arg;
};

int llx_evaluate_run(struct llx_request *request)
{
	struct llx_session *session =
		container_of(request, struct llx_session, call);
	struct call *call = session->call_arg;
	struct llx_context *context = &call->loaded->scratch;
	u64 begin_ns = ktime_get_ns();
	int err;

	llx_context_truncate(context, 0);
	err = call->run(context, call->arg);
	llx_stats_prompt(context->n_past, ktime_get_ns() - begin_ns);
	return err;
}

int llx_evaluate_call(struct llx_session *session, struct llx_loaded *loaded,
		      int (*run)(struct llx_context *context, void *arg),
		      void *arg, bool is_ranking)
{
	struct call call = {
		.loaded = loaded,
		.run = run,
		.arg = arg,
	};
	int err;

	lockdep_assert_held(&session->lock);
	session->call_arg = &call;
	session->call.urgent = is_ranking;
	session->call.is_ranking = is_ranking;
	err = llx_queue_call(&session->call, session->params.timeout_ms);
	session->call_arg = NULL;
	return err;
}

int llx_evaluate_encode(const struct llx_tokenizer *tokenizer,
			const char *text, size_t bytes, bool start,
			s32 *tokens, u32 max, u32 *n_tokens)
{
	const struct llx_vocab *vocab = llx_tokenizer_vocab(tokenizer);
	u32 n_bos = start && vocab->add_bos && vocab->bos >= 0;
	int err;

	if (max < n_bos)
		return -E2BIG;
	if (n_bos)
		tokens[0] = vocab->bos;
	*n_tokens = 0;
	err = llx_tokenizer_encode(tokenizer, text, bytes, start,
				   tokens + n_bos, max - n_bos, n_tokens);
	*n_tokens += n_bos;
	return err;
}

/* ---- logits ---------------------------------------------------------------- */

static int run_logits(struct llx_context *context, void *arg)
{
	struct llx_evaluation *evaluation = arg;
	int err;

	err = llx_context_eval(context, evaluation->tokens,
			       evaluation->n_tokens, true);
	if (!err)
		memcpy(evaluation->logits, context->logits,
		       context->model->hparams.n_vocab * sizeof(u32));
	return err;
}

int llx_evaluate_logits(struct llx_session *session, struct llx_loaded *loaded,
			const char *text, size_t bytes,
			struct llx_evaluation *evaluation)
{
	int err;

	err = llx_evaluate_encode(loaded->model->tokenizer, text, bytes, true,
				  evaluation->tokens, evaluation->max_tokens,
				  &evaluation->n_tokens);
	if (err)
		return err;
	if (!evaluation->n_tokens)
		return -EINVAL;
	return llx_evaluate_call(session, loaded, run_logits, evaluation,
				 false);
}

/* ---- phrases ---------------------------------------------------------------- */

struct scoring {
	s32 *tokens;
	u32 n_tokens;
	struct llx_phrase *phrases;
	u32 n_phrases;
};

static int run_scoring(struct llx_context *context, void *arg)
{
	struct scoring *scoring = arg;
	int err;

	err = llx_context_eval(context, scoring->tokens, scoring->n_tokens,
			       true);
	if (err)
		return err;
	return llx_score_phrases(context, scoring->phrases, scoring->n_phrases);
}

static int encode_phrases(const struct llx_tokenizer *tokenizer,
			  const char *text, struct llx_phrase *phrases,
			  u32 n_phrases)
{
	u32 i;
	int err;

	for (i = 0; i < n_phrases; i++) {
		err = llx_evaluate_encode(tokenizer, text, strlen(text), false,
					  phrases[i].tokens,
					  LLX_MAX_PHRASE_TOKENS,
					  &phrases[i].n_tokens);
		if (err)
			return err;
		if (!phrases[i].n_tokens)
			return -EINVAL;
		text += strlen(text) + 1;
	}
	return 0;
}

int llx_evaluate_phrases(struct llx_session *session, struct llx_loaded *loaded,
			 const char *text, size_t bytes, const char *phrases,
			 u32 n_phrases, struct llx_phrase *out)
{
	const struct llx_model *model = loaded->model;
	const u32 n_ctx = model->hparams.n_ctx;
	struct scoring scoring = {
		.phrases = out,
		.n_phrases = n_phrases,
	};
	int err;

	err = encode_phrases(model->tokenizer, phrases, out, n_phrases);
	if (err)
		return err;
	scoring.tokens = kvmalloc_array(n_ctx, sizeof(s32), GFP_KERNEL_ACCOUNT);
	if (!scoring.tokens)
		return -ENOMEM;
	err = llx_evaluate_encode(model->tokenizer, text, bytes, true,
				  scoring.tokens, n_ctx, &scoring.n_tokens);
	if (!err && !scoring.n_tokens)
		err = -EINVAL;
	if (!err)
		err = llx_evaluate_call(session, loaded, run_scoring, &scoring,
					false);
	kvfree(scoring.tokens);
	return err;
}
