// SPDX-License-Identifier: GPL-2.0-only
/* A whole request on one page. See advise.h. */
#include "advise.h"

#include "../math/ops.h"
#include "candidates.h"
#include "prefix.h"
#include "prompt.h"
#include "score.h"

/* More than any prompt of ours takes, in any vocabulary. */
#define MAX_TOKENS LLX_PROMPT_TEXT

/* What ranking needs besides the context; too large for a kernel stack. */
struct workspace {
	struct llx_prompt prompt;
	char text[LLX_PROMPT_TEXT];
	struct llx_letters letters;
	s32 tokens[MAX_TOKENS];
	u32 n_tokens;
	u32 n_constant; /* of them, the same in each request */
	struct llx_phrase phrases[LLAMUX_MAX_CANDIDATES];
	s64 score[LLAMUX_MAX_CANDIDATES]; /* micro-nats per token */
	u32 permille[LLAMUX_MAX_CANDIDATES];
	u32 n_candidates;
	u32 temperature_milli;
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

static int encode_prompt(struct workspace *w, const struct llx_tokenizer *tokenizer)
{
	return llx_prompt_encode(&w->prompt, tokenizer, w->tokens, MAX_TOKENS,
				 &w->n_tokens, &w->n_constant);
}

static int render_neutral(struct workspace *w, const struct llx_model *model)
{
	llx_prompt_init(&w->prompt, w->text, sizeof(w->text));
	llx_prompt_neutral(&w->prompt, model->prompt_format);
	return encode_prompt(w, model->tokenizer);
}

/* The facts in this order (NULL: their own); letters and candidates are the same in each. */
static int render(struct workspace *w, const struct llx_model *model,
		  const struct llamux_snapshot *snapshot,
		  const struct llamux_advice *advice, const u32 *order)
{
	llx_prompt_init(&w->prompt, w->text, sizeof(w->text));
	llx_prompt_advise(&w->prompt, model->prompt_format, snapshot, advice->facts,
			  advice->n_facts, order, &w->letters);
	return encode_prompt(w, model->tokenizer);
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

/* Adds @weight times the log-probability that each phrase has after the prompt. */
static int add_scores(struct workspace *w, struct llx_context *ctx, s64 weight)
{
	u32 i;
	int ret;

	ret = llx_prefix_eval(ctx, w->tokens, w->n_tokens, w->n_constant, NULL);
	if (!ret)
		ret = llx_score_phrases(ctx, w->phrases, w->n_candidates);
	if (ret)
		return ret;
	for (i = 0; i < w->n_candidates; i++)
		w->score[i] += weight * w->phrases[i].logprob_micro_nats;
	return 0;
}

/*
 * Does the model prefer some phrases, or what was said last, whatever the facts
 * are? True for one that was not trained on the task. What one that was trained
 * says without facts is how often a change is right: taking that away would favour
 * the rare ones. And it has learned that the worst fact comes first.
 */
static bool is_biased(enum llx_prompt_format format)
{
	return format != LLX_PROMPT_PILOT;
}

/*
 * Of a model that may be biased: the mean over the facts in their own order and
 * in the reverse one, less the neutral score. The text that stays in the workspace is the first
 * order's.
 */
static int score(struct workspace *w, struct llx_context *ctx,
		 const struct llamux_snapshot *snapshot, struct llamux_advice *advice)
{
	const struct llx_model *model = ctx->model;
	bool biased = is_biased(model->prompt_format);
	s64 n_orders = biased && advice->n_facts > 1 ? 2 : 1;
	u32 reversed[LLAMUX_MAX_FACTS];
	u32 i;
	int ret = 0;

	for (i = 0; i < advice->n_facts; i++)
		reversed[i] = advice->n_facts - 1 - i;
	if (biased) {
		ret = render_neutral(w, model);
		if (!ret)
			ret = add_scores(w, ctx, -n_orders);
	}
	if (!ret && n_orders > 1)
		ret = render(w, model, snapshot, advice, reversed);
	if (!ret && n_orders > 1)
		ret = add_scores(w, ctx, 1);
	if (!ret)
		ret = render(w, model, snapshot, advice, NULL);
	if (!ret)
		ret = add_scores(w, ctx, 1);
	if (ret)
		return ret;
	for (i = 0; i < w->n_candidates; i++)
		w->score[i] /= n_orders * (s64)w->phrases[i].n_tokens;
	advice->n_prompt_tokens = w->n_tokens;
	return 0;
}

static void softmax_range(void *arg, u32 begin, u32 end, u32 worker)
{
	struct workspace *w = arg;

	llx_op_softmax_permille(w->score, w->n_candidates, w->temperature_milli,
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
	if (advice->margin_permille < LLAMUX_ADVISE_MARGIN_PERMILLE)
		best = w->n_candidates - 1;
	advice->chosen = best;
	advice->ranked_by = LLAMUX_RANKED_BY_MODEL;
}

static int rank(struct workspace *w, struct llx_context *ctx,
		const struct llamux_snapshot *snapshot, struct llamux_advice *advice)
{
	int ret;

	w->temperature_milli = ctx->model->rank_temperature_milli;
	llx_letters_assign(&w->letters, advice->facts, advice->n_facts);
	ret = encode_phrases(w, ctx->model->tokenizer, advice);
	if (!ret)
		ret = score(w, ctx, snapshot, advice);
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
			      NULL, &letters, chosen, question, bytes);
}
