/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sessions: what one open file of /dev/llamux has.
 */
#ifndef LLX_SESSION_H
#define LLX_SESSION_H

#include "engine/transformer.h"
#include "output.h"
#include "queue.h"

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/uidgid.h>
#include <uapi/llamux.h>

struct llx_advisor;
struct llx_loaded;

/**
 * struct llx_session - one conversation with the model
 * @link: in the list of all sessions
 * @lock: serialises calls on one session: prompts, parameters, advice.
 *	Reading and cancelling need not wait for it.
 * @user: who opened it; a reference
 * @params: under @lock; always valid
 * @advisor: telemetry window and last advice, or NULL; under @lock
 * @prompt: the prompt being answered, or the last one
 * @call: the synchronous request (score, eval, advise); under @lock
 * @call_arg: what it is about; evaluate.c's
 * @call_wait: who waits for @call
 * @output: the answer
 * @end_seen: the end or failure of the last answer was read
 * @context_lock: protects what follows, except while @prompt waits or runs:
 *	then it is the request's alone. Never held while waiting for the
 *	request thread, which takes it, too.
 * @loaded: model of @context, a reference; NULL: no context
 * @context: the KV cache: @own_context, or the model's spare one
 * @own_context: see there
 * @context_bytes: charged to @user; 0 for the spare one
 * @history: (context->n_ctx) the tokens of the context's positions
 * @pending: last token of the answer, not evaluated yet; -1: none
 * @job: the prompt being answered
 *
 * Lock order: lock, the list's lock, context_lock, the queue's.
 */
struct llx_session {
	struct list_head link;
	struct mutex lock; /* see above */
	struct llx_user *user;
	struct llamux_params params;
	struct llx_advisor *advisor;
	struct llx_request prompt;
	struct llx_request call;
	void *call_arg;
	wait_queue_head_t call_wait;
	struct llx_output output;
	bool end_seen;

	struct mutex context_lock; /* see above */
	struct llx_loaded *loaded;
	struct llx_context *context;
	struct llx_context own_context;
	u64 context_bytes;
	s32 *history;
	s32 pending;
	struct {
		struct llamux_params params;
		enum llx_prompt_format format;
		s32 *tokens;
		u32 n_tokens;
		u32 n_keep; /* positions of the context to go on from */
		u32 n_constant; /* tokens at the start that others share */
	} job;
};

/**
 * llx_sessions_init() - set the limits
 * @user_bytes: of contexts of one user without CAP_SYS_RESOURCE
 *
 * All users together may have a quarter of the memory.
 */
void llx_sessions_init(u64 user_bytes);

/**
 * llx_session_open() - make a session
 * @uid: who opens it
 *
 * Context: process, may sleep.
 * Return: the session, for llx_session_close(),
 * or an ERR_PTR: -ENOMEM.
 */
struct llx_session *llx_session_open(kuid_t uid);

/* Cancels what is under way and frees everything. Process context, sleeps. */
void llx_session_close(struct llx_session *session);

/**
 * llx_session_prompt() - start answering a prompt
 * @session: whose; an answer being made is cancelled, unread bytes are dropped
 * @text: (@bytes), untrusted
 * @bytes: 1..LLAMUX_PROMPT_MAX
 * @nonblock: do not wait for room in the queue
 *
 * Context: process, sleeps.
 * Return: 0; -EINVAL; -EILSEQ; -E2BIG; -EAGAIN no
 * model, or no room and @nonblock; -ENODATA a question without a snapshot;
 * -ENOMEM; -ERESTARTSYS; -ENODEV.
 */
int llx_session_prompt(struct llx_session *session, const char *text,
		       size_t bytes, bool nonblock);

/**
 * llx_session_wait() - wait until there are bytes or the end to read
 * @session: whose
 * @nonblock: do not wait
 *
 * Context: process, sleeps.
 * Return: 1 bytes; 0 the end; -EAGAIN; -ERESTARTSYS;
 * the request's failure, once.
 */
int llx_session_wait(struct llx_session *session, bool nonblock);

/* EPOLLIN if llx_session_wait() would not wait; EPOLLERR before a failure. */
__poll_t llx_session_events(struct llx_session *session);

/* Is an answer being made? Any context. */
bool llx_session_is_busy(const struct llx_session *session);

/* Cancels the prompt and the call under way, without waiting. Any context. */
void llx_session_cancel(struct llx_session *session);

/* Gives the KV cache back; the caller knows that no request is under way. */
void llx_session_forget_context(struct llx_session *session);

/* Parameters of a new session. */
void llx_session_default_params(struct llamux_params *params);

/*
 * Drops contexts of models that were replaced, where no request is under way.
 * Process context.
 * Return: there are none left.
 */
bool llx_sessions_forget_old_model(void);

/* Bytes of all sessions' contexts. Any context. */
u64 llx_sessions_context_bytes(void);

#endif
