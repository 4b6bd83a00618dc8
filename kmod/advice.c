// SPDX-License-Identifier: GPL-2.0-only
/*
 * SNAPSHOT, ADVISE and questions about the machine. All policy is in
 * engine/advise.c; this file owns the memory and calls it in order.
 */
#include "advice.h"
#include "engine/advise.h"
#include "evaluate.h"
#include "model_file.h"
#include "session.h"
#include "telemetry.h"

#include <linux/err.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/slab.h>

struct llx_advisor {
	struct llx_telemetry_window *window;
	struct llx_baseline baseline;
	struct llamux_snapshot *snapshot; /* sequence 0: none yet */
	struct llamux_advice advice;	  /* of the rules, for that snapshot */
};

void llx_advisor_free(struct llx_advisor *advisor)
{
	if (!advisor)
		return;
	kvfree(advisor->snapshot);
	llx_telemetry_window_free(advisor->window);
	kvfree(advisor);
}

static struct llx_advisor *advisor_new(void)
{
	struct llx_advisor *advisor;

	advisor = kvzalloc(sizeof(*advisor), GFP_KERNEL_ACCOUNT);
	if (!advisor)
		return NULL;
	advisor->snapshot = kvzalloc(sizeof(*advisor->snapshot),
				     GFP_KERNEL_ACCOUNT);
	if (!advisor->snapshot || llx_telemetry_window_init(&advisor->window)) {
		kvfree(advisor->snapshot);
		kvfree(advisor);
		return NULL;
	}
	llx_baseline_init(&advisor->baseline);
	return advisor;
}

const struct llamux_snapshot *
llx_advice_snapshot(struct llx_session *session,
		    const struct llamux_signals *signals)
{
	struct llx_advisor *advisor;
	int err;

	lockdep_assert_held(&session->lock);
	if (!session->advisor)
		session->advisor = advisor_new();
	advisor = session->advisor;
	if (!advisor)
		return ERR_PTR(-ENOMEM);
	err = llx_telemetry_snapshot(advisor->window, signals,
				     advisor->snapshot);
	return err ? ERR_PTR(err) : advisor->snapshot;
}

const struct llamux_snapshot *
llx_advice_last_snapshot(const struct llx_session *session)
{
	const struct llx_advisor *advisor = session->advisor;

	lockdep_assert_held(&session->lock);
	return advisor && advisor->snapshot->sequence ? advisor->snapshot : NULL;
}

/* Facts and candidates of the last snapshot: found once, as windows are. */
static int detect(struct llx_advisor *advisor)
{
	struct llamux_advice *advice;
	u64 begin_ns = ktime_get_ns();

	if (!advisor || !advisor->snapshot->sequence)
		return -ENODATA;
	advice = &advisor->advice;
	if (advice->snapshot_sequence == advisor->snapshot->sequence)
		return 0;
	llx_advise_detect(advisor->snapshot, &advisor->baseline, advice);
	advice->snapshot_sequence = advisor->snapshot->sequence;
	advice->detect_ns = ktime_get_ns() - begin_ns;
	return 0;
}

struct ranking {
	const struct llamux_snapshot *snapshot;
	struct llamux_advice *advice;
	char *text;
	u32 text_size;
};

static int run_ranking(struct llx_context *context, void *arg)
{
	struct ranking *ranking = arg;

	return llx_advise_rank(context, ranking->snapshot, ranking->advice,
			       ranking->text, ranking->text_size);
}

/* Without a model the rules' order stands. */
static int rank(struct llx_session *session, struct ranking *ranking)
{
	struct llx_loaded *loaded = llx_model_get();
	u64 begin_ns = ktime_get_ns();
	int err;

	if (!loaded)
		return 0;
	err = llx_evaluate_call(session, loaded, run_ranking, ranking, true);
	ranking->advice->rank_ns = ktime_get_ns() - begin_ns;
	llx_model_put(loaded);
	return err;
}

int llx_advice_give(struct llx_session *session, u32 flags,
		    struct llamux_advice *advice, char *text, u32 text_size)
{
	struct llx_advisor *advisor = session->advisor;
	struct ranking ranking = {
		.advice = advice,
		.text = text,
		.text_size = text_size,
	};
	int err;

	lockdep_assert_held(&session->lock);
	err = detect(advisor);
	if (err)
		return err;
	*advice = advisor->advice;
	text[0] = '\0';
	if (!advice->n_facts || flags & LLAMUX_ADVISE_RULES_ONLY)
		return 0;
	ranking.snapshot = advisor->snapshot;
	return rank(session, &ranking);
}

int llx_advice_ask(struct llx_advisor *advisor, struct llx_prompt *prompt,
		   enum llx_prompt_format format, const char *question,
		   u32 bytes)
{
	int err = detect(advisor);

	if (err)
		return err;
	return llx_advise_ask(prompt, format, advisor->snapshot,
			      &advisor->advice, question, bytes);
}
