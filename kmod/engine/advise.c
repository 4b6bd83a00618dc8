// SPDX-License-Identifier: GPL-2.0-only
/* A whole request on one page. See advise.h. */
#include "advise.h"

#include "../math/ops.h"
#include "candidates.h"
#include "prompt.h"
#include "score.h"

/* More than any prompt of ours takes, in any vocabulary. */
#define MAX_TOKENS LLX_PROMPT_TEXT

/* What ranking needs besides the context; too large for a kernel stack. */
struct workspace {
	struct llx_prompt prompt;
	char text[LLX_PROMPT_TEXT];
	s32 neutral[MAX_TOKENS];
	s32 tokens[MAX_TOKENS];
	u32 n_neutral;
	u32 n_tokens;
	struct llx_phrase phrases[LLAMUX_MAX_CANDIDATES];
	s64 bias[LLAMUX_MAX_CANDIDATES];  /* micro-nats, neutral prompt; or 0 */
	s64 score[LLAMUX_MAX_CANDIDATES]; /* micro-nats per token over it */
	u32 permille[LLAMUX_MAX_CANDIDATES];
	u32 n_candidates;
};

void llx_advise_detect(const struct llamux_snapshot *snapshot,
		       struct llx_baseline *baseline, struct llamux_advice *advice)
{
	struct llx_letters letters;

	advice->n_facts = llx_detect(snapshot, baseline, advice->facts);
	if (baseline)
		llx_baseline_update(baseline, snapshot, !advice->n_facts);
	llx_letters_assign(&letters, advice->facts, advice->n_facts);
	advice->n_candidates = llx_candidates_build(snapshot, advice->facts,
						    advice->n_facts, &letters,
						    advice->candidates);
	advice->ranked_by = advice->n_facts ? LLAMUX_RANKED_BY_RULES
					    : LLAMUX_RANKED_BY_NOTHING;
	advice->chosen = 0;
	advice->margin_permille = 0;
	advice->n_prompt_tokens = 0;
	advice->snapshot_sequence = snapshot->sequence;
}

static int render(struct workspace *w, enum llx_prompt_format format,
		  const struct llx_tokenizer *tokenizer,
		  const struct llamux_snapshot *snapshot,
		  const struct llamux_advice *advice)
{
	struct llx_letters letters;
	int ret;

	llx_prompt_init(&w->prompt, w->text, sizeof(w->text));
	llx_prompt_neutral(&w->prompt, format);
	ret = llx_prompt_encode(&w->prompt, tokenizer, w->neutral, MAX_TOKENS,
				&w->n_neutral);
	if (ret)
		return ret;
	llx_letters_assign(&letters, advice->facts, advice->n_facts);
	llx_prompt_init(&w->prompt, w->text, sizeof(w->text));
	llx_prompt_advise(&w->prompt, format, snapshot, advice->facts, advice->n_facts,
			  &letters);
	return llx_prompt_encode(&w->prompt, tokenizer, w->tokens, MAX_TOKENS,
				 &w->n_tokens);
}

/* Phrases as they follow "best change:": with the space between. */
static int encode_phrases(struct workspace *w, const struct llx_tokenizer *tokenizer,
			  const struct llamux_advice *advice)
{
	char text[LLAMUX_PHRASE_MAX + 1];
	u32 i;

	w->n_candidates = advice->n_candidates;
	for (i = 0; i < w->n_candidates; i++) {
		u32 bytes = scnprintf(text, sizeof(text), " %s",
				      advice->candidates[i].phrase);
		int ret = llx_tokenizer_encode(tokenizer, text, bytes, false,
					       w->phrases[i].tokens,
					       LLX_MAX_PHRASE_TOKENS,
					       &w->phrases[i].n_tokens);

		if (ret)
			return ret;
	}
	return 0;
}

/* Log-probabilities after @tokens, of which the first @keep are evaluated. */
static int score_after(struct workspace *w, struct llx_context *ctx, const s32 *tokens,
		       u32 n_tokens, u32 keep)
{
	int ret;

	llx_context_truncate(ctx, keep);
	ret = llx_context_eval(ctx, tokens + keep, n_tokens - keep, true);
	return ret ? ret : llx_score_phrases(ctx, w->phrases, w->n_candidates);
}

/*
 * Does the model prefer some phrases whatever the facts are? True for one that
 * was not trained on the task. What one that was trained says without facts is
 * how often a change is right: taking that away would favour the rare ones.
 */
static bool is_biased(enum llx_prompt_format format)
{
	return format != LLX_PROMPT_PILOT;
}

/*
 * Scores under the neutral prompt if need be, then under the real one; what the
 * two prompts begin with alike is evaluated once.
 */
static int score(struct workspace *w, struct llx_context *ctx)
{
	u32 common = 0;
	u32 i;
	int ret;

	if (is_biased(ctx->model->prompt_format)) {
		ret = score_after(w, ctx, w->neutral, w->n_neutral, 0);
		if (ret)
			return ret;
		for (i = 0; i < w->n_candidates; i++)
			w->bias[i] = w->phrases[i].logprob_micro_nats;
		while (common < w->n_neutral && common + 1 < w->n_tokens &&
		       w->neutral[common] == w->tokens[common])
			common++;
	}
	ret = score_after(w, ctx, w->tokens, w->n_tokens, common);
	if (ret)
		return ret;
	for (i = 0; i < w->n_candidates; i++)
		w->score[i] = (w->phrases[i].logprob_micro_nats - w->bias[i]) /
			      (s64)w->phrases[i].n_tokens;
	return 0;
}

static void softmax_range(void *arg, u32 begin, u32 end, u32 worker)
{
	struct workspace *w = arg;

	llx_op_softmax_permille(w->score, w->n_candidates, LLX_ADVISE_TEMPERATURE_MILLI,
				w->permille);
}

/* The most probable, unless it is too close to the next: then nothing. */
static void choose(const struct workspace *w, struct llamux_advice *advice)
{
	const s64 most = 0x7fffffff;
	u32 best = 0;
	u32 next = 0;
	u32 i;

	for (i = 0; i < w->n_candidates; i++) {
		advice->candidates[i].score = (s32)clamp(w->score[i], -most, most);
		advice->candidates[i].probability_permille = w->permille[i];
		if (w->permille[i] > w->permille[best])
			best = i;
	}
	for (i = 0; i < w->n_candidates; i++)
		if (i != best)
			next = max_t(u32, next, w->permille[i]);
	advice->margin_permille = w->permille[best] - next;
	if (advice->margin_permille < LLX_ADVISE_MARGIN_PERMILLE)
		best = w->n_candidates - 1;
	advice->chosen = best;
	advice->n_prompt_tokens = w->n_tokens;
	advice->ranked_by = LLAMUX_RANKED_BY_MODEL;
}

static int rank(struct workspace *w, struct llx_context *ctx,
		const struct llamux_snapshot *snapshot, struct llamux_advice *advice)
{
	const struct llx_model *model = ctx->model;
	int ret = render(w, model->prompt_format, model->tokenizer, snapshot, advice);

	if (!ret)
		ret = encode_phrases(w, model->tokenizer, advice);
	if (!ret)
		ret = score(w, ctx);
	if (!ret)
		ret = ctx->exec->parallel_for(ctx->exec, 1, 1, softmax_range, w);
	if (!ret)
		choose(w, advice);
	return ret;
}

int llx_advise_rank(struct llx_context *ctx, const struct llamux_snapshot *snapshot,
		    struct llamux_advice *advice, char *text, u32 text_size)
{
	struct workspace *w;
	int ret;

	if (text && text_size)
		text[0] = '\0';
	if (!ctx || !advice->n_facts || advice->n_candidates < 2)
		return 0;
	w = llx_alloc(sizeof(*w));
	if (!w)
		return -ENOMEM;
	ret = rank(w, ctx, snapshot, advice);
	llx_context_truncate(ctx, 0);
	if (text && text_size)
		scnprintf(text, text_size, "%s", w->text);
	llx_free(w);
	return ret;
}

int llx_advise(struct llx_context *ctx, const struct llamux_snapshot *snapshot,
	       struct llx_baseline *baseline, struct llamux_advice *advice, char *text,
	       u32 text_size)
{
	llx_advise_detect(snapshot, baseline, advice);
	return llx_advise_rank(ctx, snapshot, advice, text, text_size);
}

int llx_advise_ask(struct llx_prompt *prompt, enum llx_prompt_format format,
		   const struct llamux_snapshot *snapshot,
		   const struct llamux_advice *advice, const char *question, u32 bytes)
{
	const struct llamux_candidate *chosen = NULL;
	struct llx_letters letters;

	if (advice->chosen < advice->n_candidates)
		chosen = &advice->candidates[advice->chosen];
	llx_letters_assign(&letters, advice->facts, advice->n_facts);
	return llx_prompt_ask(prompt, format, snapshot, advice->facts, advice->n_facts,
			      &letters, chosen, question, bytes);
}
