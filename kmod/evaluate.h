/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Direct use of the model: no conversation, no state left behind.
 */
#ifndef LLX_EVALUATE_H
#define LLX_EVALUATE_H

#include "engine/port.h"

struct llx_context;
struct llx_loaded;
struct llx_phrase;
struct llx_request;
struct llx_session;
struct llx_tokenizer;

/**
 * llx_evaluate_encode() - plain text to tokens
 * @tokenizer: of the model
 * @text: (@bytes), untrusted; control tokens never come out of it
 * @bytes: may be 0
 * @start: of a text: bos and space prefix if the vocabulary wants them
 * @tokens: out, (@max)
 * @max: room
 * @n_tokens: out
 *
 * Context: process, may sleep.
 * Return: 0; -E2BIG; -ENOMEM.
 */
int llx_evaluate_encode(const struct llx_tokenizer *tokenizer,
			const char *text, size_t bytes, bool start,
			s32 *tokens, u32 max, u32 *n_tokens);

/**
 * llx_evaluate_call() - run something on an empty context
 * @session: who asks; its lock is held
 * @run: called in the request thread with an empty context of @loaded's model,
 *	as long as that model allows; returns the status
 * @loaded: model; the caller holds a reference
 * @arg: for @run
 * @is_ranking: as in struct llx_request; a ranking is urgent
 *
 * Context: process, sleeps.
 * Return: what @run returned; -EINTR; -ECANCELED;
 * -ETIMEDOUT; -ENODEV.
 */
int llx_evaluate_call(struct llx_session *session, struct llx_loaded *loaded,
		      int (*run)(struct llx_context *context, void *arg),
		      void *arg, bool is_ranking);

/* The run() of a session's call; for llx_request_init(). */
int llx_evaluate_run(struct llx_request *request);

/**
 * struct llx_evaluation - logits of a prompt's last position
 * @tokens: (@max_tokens) out
 * @max_tokens: room
 * @n_tokens: out
 * @logits: (n_vocab) out, bit patterns
 */
struct llx_evaluation {
	s32 *tokens;
	u32 max_tokens;
	u32 n_tokens;
	u32 *logits;
};

/**
 * llx_evaluate_logits() - evaluate a prompt in an empty context
 * @session: who asks; its lock is held
 * @loaded: model; the caller holds a reference
 * @text: (@bytes), untrusted
 * @bytes: its length
 * @evaluation: in and out
 *
 * Context: process, sleeps.
 * Return: 0; -EINVAL no tokens; -E2BIG; and as
 * llx_evaluate_call().
 */
int llx_evaluate_logits(struct llx_session *session, struct llx_loaded *loaded,
			const char *text, size_t bytes,
			struct llx_evaluation *evaluation);

/**
 * llx_evaluate_phrases() - score continuations of a prompt
 * @session: who asks; its lock is held
 * @loaded: model; the caller holds a reference
 * @text: (@bytes), untrusted
 * @bytes: its length
 * @phrases: (@n_phrases) NUL-ended texts one after another, untrusted
 * @n_phrases: 1..LLAMUX_MAX_CANDIDATES
 * @out: (@n_phrases) tokens and scores
 *
 * Context: process, sleeps.
 * Return: 0; -EINVAL a phrase without tokens; -E2BIG
 * too many tokens; and as llx_evaluate_call().
 */
int llx_evaluate_phrases(struct llx_session *session, struct llx_loaded *loaded,
			 const char *text, size_t bytes, const char *phrases,
			 u32 n_phrases, struct llx_phrase *out);

#endif
