// SPDX-License-Identifier: GPL-2.0-only
/*
 * One conversation: its parameters, its place in memory, and the way of a
 * prompt from text to tokens to answer. The text itself is never logged.
 */
#include "session.h"
#include "advice.h"
#include "engine/model.h"
#include "engine/prefix.h"
#include "engine/prompt.h"
#include "engine/sampler.h"
#include "engine/utf8.h"
#include "evaluate.h"
#include "model_file.h"
#include "stats.h"
#include "worker.h"

#include <linux/capability.h>
#include <linux/err.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/poll.h>
#include <linux/slab.h>

#define PIECE_MAX 256 /* bytes of one token's text */

static LIST_HEAD(sessions);
static DEFINE_MUTEX(sessions_lock); /* Protects the list. */

static DEFINE_SPINLOCK(quota_lock); /* Protects all context_bytes. */
static u64 total_bytes;
static u64 total_limit;
static u64 user_limit;

void llx_sessions_init(u64 user_bytes)
{
	user_limit = user_bytes;
	total_limit = (u64)totalram_pages() << PAGE_SHIFT >> 2;
}

u64 llx_sessions_context_bytes(void)
{
	return READ_ONCE(total_bytes);
}

static int charge(struct llx_user *user, u64 bytes)
{
	bool exempt = capable(CAP_SYS_RESOURCE);
	int err = 0;

	spin_lock(&quota_lock);
	if (total_bytes + bytes > total_limit ||
	    (!exempt && user->context_bytes + bytes > user_limit)) {
		err = -ENOMEM;
	} else {
		user->context_bytes += bytes;
		WRITE_ONCE(total_bytes, total_bytes + bytes);
	}
	spin_unlock(&quota_lock);
	return err;
}

static void uncharge(struct llx_user *user, u64 bytes)
{
	spin_lock(&quota_lock);
	user->context_bytes -= bytes;
	WRITE_ONCE(total_bytes, total_bytes - bytes);
	spin_unlock(&quota_lock);
}

/* ---- context ------------------------------------------------------------ */

static void drop_context(struct llx_session *session)
{
	lockdep_assert_held(&session->context_lock);
	if (!session->loaded)
		return;
	if (session->context == &session->own_context)
		llx_context_destroy(&session->own_context);
	else
		llx_model_return_spare(session->loaded);
	session->context = NULL;
	kvfree(session->history);
	kvfree(session->job.tokens);
	session->history = NULL;
	session->job.tokens = NULL;
	uncharge(session->user, session->context_bytes);
	llx_model_put(session->loaded);
	session->loaded = NULL;
}

/*
 * Who looks after the machine gets the one that was set aside: it asks when
 * there may be no memory left.
 */
static int obtain_context(struct llx_session *session, struct llx_loaded *loaded)
{
	const struct llx_model *model = loaded->model;
	u32 n_ctx = model->hparams.n_ctx;
	size_t bytes;
	int err;

	session->context_bytes = 0;
	session->context = session->advisor ? llx_model_take_spare(loaded) : NULL;
	if (session->context)
		return 0;
	bytes = llx_context_bytes(model, n_ctx);
	if (!bytes)
		return -ENOMEM;
	err = charge(session->user, bytes);
	if (err)
		return err;
	err = llx_context_init(&session->own_context, model, llx_worker_exec(),
			       n_ctx);
	if (err) {
		uncharge(session->user, bytes);
		return err;
	}
	session->context_bytes = bytes;
	session->context = &session->own_context;
	return 0;
}

/* Takes over the reference @loaded if it succeeds. */
static int make_context(struct llx_session *session, struct llx_loaded *loaded)
{
	u32 n_ctx = loaded->model->hparams.n_ctx;
	int err;

	lockdep_assert_held(&session->context_lock);
	session->history = kvmalloc_array(n_ctx, sizeof(s32), GFP_KERNEL);
	session->job.tokens = kvmalloc_array(n_ctx, sizeof(s32), GFP_KERNEL);
	if (!session->history || !session->job.tokens) {
		err = -ENOMEM;
		goto err_free;
	}
	err = obtain_context(session, loaded);
	if (err)
		goto err_free;
	session->pending = -1;
	session->loaded = loaded;
	return 0;

err_free:
	kvfree(session->job.tokens);
	kvfree(session->history);
	session->job.tokens = NULL;
	session->history = NULL;
	return err;
}

/* The context for the next prompt: of the model in use. */
static int renew_context(struct llx_session *session)
{
	struct llx_loaded *loaded;
	int err;

	if (session->loaded && llx_model_is_current(session->loaded))
		return 0;
	drop_context(session);
	loaded = llx_model_get();
	if (!loaded)
		return -EAGAIN;
	err = make_context(session, loaded);
	if (err)
		llx_model_put(loaded);
	return err;
}

void llx_session_forget_context(struct llx_session *session)
{
	mutex_lock(&session->context_lock);
	drop_context(session);
	mutex_unlock(&session->context_lock);
}

bool llx_sessions_forget_old_model(void)
{
	struct llx_session *session;
	bool all = true;

	mutex_lock(&sessions_lock);
	list_for_each_entry(session, &sessions, link) {
		mutex_lock(&session->context_lock);
		if (session->loaded && !llx_model_is_current(session->loaded)) {
			if (llx_session_is_busy(session))
				all = false;
			else
				drop_context(session);
		}
		mutex_unlock(&session->context_lock);
	}
	mutex_unlock(&sessions_lock);
	return all;
}

/* ---- answering: in the request thread ----------------------------------- */

static int evaluate(struct llx_session *session, const s32 *tokens, u32 n)
{
	struct llx_context *context = session->context;
	u32 n_past = context->n_past;
	int err;

	err = llx_context_eval(context, tokens, n, true);
	if (!err)
		memcpy(session->history + n_past, tokens, n * sizeof(*tokens));
	return err;
}

/* The job's tokens, after those that are kept. */
static int evaluate_prompt(struct llx_session *session)
{
	const s32 *tokens = session->job.tokens;
	u32 n = session->job.n_tokens;
	u64 begin_ns = ktime_get_ns();
	u32 n_evaluated = n;
	int err;

	if (session->job.n_keep) {
		llx_context_truncate(session->context, session->job.n_keep);
		err = evaluate(session, tokens, n);
	} else {
		err = llx_prefix_eval(session->context, tokens, n,
				      session->job.n_constant, &n_evaluated);
		if (!err)
			memcpy(session->history, tokens, n * sizeof(*tokens));
	}
	if (!err)
		llx_stats_prompt(n_evaluated, ktime_get_ns() - begin_ns);
	return err;
}

static int put_token(struct llx_session *session, s32 token, bool first)
{
	const struct llx_tokenizer *tokenizer =
		session->loaded->model->tokenizer;
	char piece[PIECE_MAX];
	const char *text = piece;
	int bytes;

	bytes = llx_tokenizer_piece(tokenizer, token, piece, sizeof(piece));
	if (bytes < 0)
		return bytes == -ENOSPC ? 0 : bytes;
	if (first && bytes && piece[0] == ' ') {
		text++;
		bytes--;
	}
	return llx_output_append(&session->output, text, bytes);
}

static int generate(struct llx_session *session, struct llx_sampler *sampler,
		    u32 *n_generated)
{
	const struct llx_context *context = session->context;
	u32 limit = session->job.params.max_tokens ?: U32_MAX;
	int err;

	while (*n_generated < limit) {
		s32 token = llx_sampler_next(sampler, session->context);

		if (token < 0)
			return token;
		session->pending = token;
		if (llx_prompt_is_end(session->job.format,
				      session->loaded->model->tokenizer, token))
			return 0;
		err = put_token(session, token, !*n_generated);
		if (err)
			return err == -ENOSPC ? 0 : err;
		++*n_generated;
		if (*n_generated == limit || context->n_past == context->n_ctx)
			return 0;
		err = evaluate(session, &token, 1);
		if (err)
			return err;
		session->pending = -1;
	}
	return 0;
}

static void sampler_params(const struct llamux_params *params,
			   struct llx_sampler_params *out)
{
	out->temperature_milli = params->temperature_milli;
	out->top_k = params->top_k;
	out->top_p_milli = params->top_p_milli;
	out->min_p_milli = params->min_p_milli;
	out->repeat_penalty_milli = params->repeat_penalty_milli;
	out->repeat_last_n = params->repeat_last_n;
	out->seed = params->seed;
}

static int run_prompt(struct llx_request *request)
{
	struct llx_session *session =
		container_of(request, struct llx_session, prompt);
	const u32 n_tokens = session->job.n_tokens;
	struct llx_sampler_params params;
	struct llx_sampler *sampler;
	u32 n_generated = 0;
	u64 begin_ns;
	u32 i;
	int err;

	sampler = kzalloc(sizeof(*sampler), GFP_KERNEL);
	if (!sampler)
		return -ENOMEM;
	sampler_params(&session->job.params, &params);
	err = llx_sampler_init(sampler, session->loaded->model, &params);
	if (err)
		goto out_free;

	session->pending = -1;
	err = evaluate_prompt(session);
	if (err)
		goto out;
	for (i = 0; i < n_tokens; i++)
		llx_sampler_accept(sampler, session->job.tokens[i]);

	begin_ns = ktime_get_ns();
	err = generate(session, sampler, &n_generated);
	llx_stats_generated(n_generated, ktime_get_ns() - begin_ns);
	if (!err)
		err = llx_output_end(&session->output);
out:
	llx_sampler_destroy(sampler);
out_free:
	kfree(sampler);
	return err;
}

/* ---- prompting: in the caller -------------------------------------------- */

/*
 * The tokens that are in the context already need not be evaluated again; the
 * last one must be, for its logits.
 */
static void keep_common_prefix(struct llx_session *session)
{
	s32 *tokens = session->job.tokens;
	u32 most = min(session->context->n_past, session->job.n_tokens - 1);
	u32 n = 0;

	while (n < most && tokens[n] == session->history[n])
		n++;
	if (n < session->job.n_constant)
		n = 0; /* the model keeps more than that */
	session->job.n_keep = n;
	session->job.n_tokens -= n;
	memmove(tokens, tokens + n, session->job.n_tokens * sizeof(*tokens));
}

/* Tokens of a prompt by its format, with bos. */
static int encode(struct llx_session *session, const char *text, size_t bytes,
		  bool start, s32 *tokens, u32 max, u32 *n_tokens)
{
	const struct llx_model *model = session->loaded->model;
	enum llx_prompt_format format = model->prompt_format;
	struct llx_prompt *prompt;
	size_t size;
	char *buffer;
	int err;

	if (session->params.format == LLAMUX_FORMAT_RAW) {
		session->job.format = LLX_PROMPT_PLAIN;
		return llx_evaluate_encode(model->tokenizer, text, bytes, start,
					   tokens, max, n_tokens);
	}
	session->job.format = format;
	size = max_t(size_t, 2 * bytes + 256, LLX_PROMPT_TEXT);
	prompt = kmalloc(sizeof(*prompt), GFP_KERNEL);
	buffer = kvmalloc(size, GFP_KERNEL);
	if (!prompt || !buffer) {
		err = -ENOMEM;
		goto out;
	}
	llx_prompt_init(prompt, buffer, size);
	if (session->params.format == LLAMUX_FORMAT_CHAT)
		err = llx_prompt_chat(prompt, format, text, bytes);
	else
		err = llx_advice_ask(session->advisor, prompt, format, text,
				     bytes);
	if (!err)
		err = llx_prompt_encode(prompt, model->tokenizer, tokens, max,
					n_tokens, &session->job.n_constant);
out:
	kvfree(buffer);
	kfree(prompt);
	return err;
}

/* Fills session->job. */
static int prepare_job(struct llx_session *session, const char *text,
		       size_t bytes)
{
	const struct llx_context *context = session->context;
	s32 *tokens = session->job.tokens;
	bool go_on = session->params.flags & LLAMUX_PARAM_KEEP_CONTEXT &&
		     context->n_past;
	const struct llx_vocab *vocab;
	u32 n_pending = 0;
	u32 room = context->n_ctx;
	u32 n_tokens;
	int err;

	session->job.params = session->params;
	session->job.n_constant = 0;
	/* A question about the machine: who may take snapshots administers it. */
	session->prompt.urgent = session->params.format == LLAMUX_FORMAT_ASK;
	if (go_on) {
		room -= context->n_past;
		if (session->pending >= 0 && room)
			tokens[n_pending++] = session->pending;
	}
	/* One position stays free: an answer has at least one token. */
	if (room <= n_pending + 1)
		return -E2BIG;
	err = encode(session, text, bytes, !go_on, tokens + n_pending,
		     room - n_pending - 1, &n_tokens);
	if (err)
		return err;

	vocab = llx_tokenizer_vocab(session->loaded->model->tokenizer);
	if (go_on && n_tokens && tokens[n_pending] == vocab->bos) {
		n_tokens--;
		memmove(tokens + n_pending, tokens + n_pending + 1,
			n_tokens * sizeof(*tokens));
	}
	session->job.n_tokens = n_pending + n_tokens;
	if (!session->job.n_tokens)
		return -EINVAL;
	if (go_on)
		session->job.n_keep = context->n_past;
	else
		keep_common_prefix(session);
	return 0;
}

static int try_prompt(struct llx_session *session, const char *text,
		      size_t bytes)
{
	int err;

	if (mutex_lock_interruptible(&session->lock))
		return -ERESTARTSYS;
	llx_queue_cancel(&session->prompt, -ECANCELED);
	llx_queue_wait(&session->prompt);
	llx_output_clear(&session->output);
	session->end_seen = true;

	mutex_lock(&session->context_lock);
	err = renew_context(session);
	if (!err)
		err = prepare_job(session, text, bytes);
	if (!err)
		err = llx_queue_submit(&session->prompt,
				       session->params.timeout_ms);
	if (!err)
		session->end_seen = false;
	mutex_unlock(&session->context_lock);
	mutex_unlock(&session->lock);
	return err;
}

int llx_session_prompt(struct llx_session *session, const char *text,
		       size_t bytes, bool nonblock)
{
	int err;

	if (!bytes)
		return -EINVAL;
	if (bytes > LLAMUX_PROMPT_MAX)
		return -E2BIG;
	if (!llx_utf8_is_valid(text, bytes))
		return -EILSEQ;
	while ((err = try_prompt(session, text, bytes)) == -EBUSY) {
		if (nonblock)
			return -EAGAIN;
		err = llx_queue_wait_for_room(session->user);
		if (err)
			return err;
	}
	return err;
}

bool llx_session_is_busy(const struct llx_session *session)
{
	enum llx_request_state state = llx_queue_state(&session->prompt);

	return state == LLX_REQUEST_WAITING || state == LLX_REQUEST_RUNNING;
}

/* 1 bytes, 0 the end or a failure, -EAGAIN neither yet. */
static int readiness(struct llx_session *session)
{
	/* Asked first: bytes come before the end. */
	bool busy = llx_session_is_busy(session);

	if (llx_output_bytes(&session->output))
		return 1;
	return busy ? -EAGAIN : 0;
}

int llx_session_wait(struct llx_session *session, bool nonblock)
{
	int ready;

	while ((ready = readiness(session)) == -EAGAIN && !nonblock) {
		if (wait_event_interruptible(session->output.wait,
					     readiness(session) != -EAGAIN))
			return -ERESTARTSYS;
	}
	if (ready || READ_ONCE(session->end_seen))
		return ready;
	WRITE_ONCE(session->end_seen, true);
	return READ_ONCE(session->prompt.status);
}

__poll_t llx_session_events(struct llx_session *session)
{
	const __poll_t readable = EPOLLIN | EPOLLRDNORM;
	int ready = readiness(session);

	if (ready > 0)
		return readable;
	if (ready < 0 || READ_ONCE(session->end_seen))
		return 0;
	return readable | (READ_ONCE(session->prompt.status) ? EPOLLERR : 0);
}

void llx_session_cancel(struct llx_session *session)
{
	llx_queue_cancel(&session->prompt, -ECANCELED);
	llx_queue_cancel(&session->call, -ECANCELED);
}

/* ---- life ---------------------------------------------------------------- */

void llx_session_default_params(struct llamux_params *params)
{
	*params = (struct llamux_params){
		.size = sizeof(*params),
		.format = LLAMUX_FORMAT_CHAT,
		.max_tokens = 256,
		.top_k = 40,
		.top_p_milli = 950,
		.min_p_milli = 50,
		.repeat_penalty_milli = 1000,
		.repeat_last_n = 64,
	};
}

struct llx_session *llx_session_open(kuid_t uid)
{
	struct llx_session *session;

	session = kzalloc(sizeof(*session), GFP_KERNEL_ACCOUNT);
	if (!session)
		return ERR_PTR(-ENOMEM);
	session->user = llx_user_get(uid);
	if (!session->user) {
		kfree(session);
		return ERR_PTR(-ENOMEM);
	}
	mutex_init(&session->lock);
	mutex_init(&session->context_lock);
	init_waitqueue_head(&session->call_wait);
	llx_output_init(&session->output);
	llx_session_default_params(&session->params);
	llx_request_init(&session->prompt, session->user, run_prompt,
			 &session->output.wait);
	llx_request_init(&session->call, session->user, llx_evaluate_run,
			 &session->call_wait);
	session->end_seen = true;
	mutex_lock(&sessions_lock);
	list_add(&session->link, &sessions);
	mutex_unlock(&sessions_lock);
	llx_stats_session(1);
	return session;
}

void llx_session_close(struct llx_session *session)
{
	llx_queue_cancel(&session->prompt, -ECANCELED);
	llx_queue_wait(&session->prompt);
	llx_stats_session(-1);
	mutex_lock(&sessions_lock);
	list_del(&session->link);
	mutex_unlock(&sessions_lock);
	llx_session_forget_context(session);
	llx_advisor_free(session->advisor);
	llx_output_clear(&session->output);
	llx_user_put(session->user);
	kfree(session);
}
