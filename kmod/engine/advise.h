/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A whole request on one page: snapshot -> facts -> candidates -> prompt ->
 * scores -> choice. The kernel and user space (tests, training, gym) run this
 * very code.
 *
 * The caller owns clock, queue and locks: llx_advise_detect() is quick and
 * pure, llx_advise_rank() runs the model and belongs in a worker.
 */
#ifndef LLX_ADVISE_H
#define LLX_ADVISE_H

#include "detect.h"
#include "port.h"
#include "transformer.h"

struct llx_prompt;

/**
 * llx_advise_detect - snapshot to facts and candidates
 * @snapshot: any content
 * @baseline: the session's, updated; may be NULL
 * @advice: its outputs from ranked_by on are overwritten, except the times;
 *	chosen is what the rules suggest
 *
 * Facts: ranked_by is LLAMUX_RANKED_BY_RULES and candidates[0] chosen. None:
 * LLAMUX_RANKED_BY_NOTHING and "no change" is the only candidate. Any context.
 */
void llx_advise_detect(const struct llamux_snapshot *snapshot,
		       struct llx_baseline *baseline,
		       struct llamux_advice *advice);

/**
 * llx_advise_rank - let the model rank the candidates
 * @ctx: a context that nothing else needs: it is emptied; may be NULL
 * @snapshot: the one @advice was made from
 * @advice: as llx_advise_detect() left it; on an error it stays so
 * @text: out, (@text_size): the prompt the model saw, NUL ended, cut if it has
 *	to be; may be NULL
 *
 * A candidate's score: log-probability of its phrase after the prompt, minus
 * that after the neutral prompt (only for a model that was not trained on the
 * task), divided by the phrase's tokens.
 *
 * Without a context, a fact or a choice to make nothing is done. May sleep.
 * Return: 0; -E2BIG the prompt does not fit the context; -EINTR; -ENOMEM;
 * what llx_prompt_encode() returns.
 */
int llx_advise_rank(struct llx_context *ctx,
		    const struct llamux_snapshot *snapshot,
		    struct llamux_advice *advice, char *text, u32 text_size);

/* Both; a ranking that failed leaves the rules' choice and is returned. */
int llx_advise(struct llx_context *ctx, const struct llamux_snapshot *snapshot,
	       struct llx_baseline *baseline, struct llamux_advice *advice,
	       char *text, u32 text_size);

/**
 * llx_advise_ask - the prompt for a question about that snapshot
 * @advice: of that snapshot; facts and the chosen candidate are told
 *
 * See llx_prompt_ask() for the rest.
 */
int llx_advise_ask(struct llx_prompt *prompt, enum llx_prompt_format format,
		   const struct llamux_snapshot *snapshot,
		   const struct llamux_advice *advice, const char *question,
		   u32 bytes);

#endif
