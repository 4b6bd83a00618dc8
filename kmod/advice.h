/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A session's view of the machine: its telemetry window, what is normal, the
 * last snapshot and the last advice.
 */
#ifndef LLX_ADVICE_H
#define LLX_ADVICE_H

#include "engine/prompt.h"

#include <linux/types.h>

struct llamux_advice;
struct llamux_signals;
struct llamux_snapshot;
struct llx_advisor;
struct llx_session;

/**
 * llx_advice_snapshot() - take a snapshot and keep it
 * @session: whose; its lock is held
 * @signals: checked in telemetry.c, or NULL
 *
 * Context: process, may sleep.
 * Return: the snapshot, the session's, valid while
 * its lock is held; or an ERR_PTR: see llx_telemetry_snapshot().
 */
const struct llamux_snapshot *
llx_advice_snapshot(struct llx_session *session,
		    const struct llamux_signals *signals);

/* The last one, or NULL. The session's lock is held. */
const struct llamux_snapshot *
llx_advice_last_snapshot(const struct llx_session *session);

/**
 * llx_advice_give() - what to do about the last snapshot
 * @session: whose; its lock is held
 * @flags: LLAMUX_ADVISE_*
 * @advice: outputs are overwritten
 * @text: out, (@text_size): the prompt the model saw, NUL ended; "" if none
 * @text_size: at least 1
 *
 * Context: process, sleeps.
 * Return: 0; -ENODATA no snapshot; else the model
 * could not rank: -EINTR, -ECANCELED, -ETIMEDOUT, -ENOMEM, -E2BIG...
 */
int llx_advice_give(struct llx_session *session, u32 flags,
		    struct llamux_advice *advice, char *text, u32 text_size);

/**
 * llx_advice_ask() - the prompt for a question about the last snapshot
 * @advisor: the session's, or NULL
 * @prompt: to be filled
 * @format: of the model
 * @question: (@bytes), untrusted
 * @bytes: its length
 *
 * Return: 0; -ENODATA no snapshot; see llx_prompt_ask() for the rest.
 */
int llx_advice_ask(struct llx_advisor *advisor, struct llx_prompt *prompt,
		   enum llx_prompt_format format, const char *question,
		   u32 bytes);

/* Frees a session's advisor; NULL is fine. Process context. */
void llx_advisor_free(struct llx_advisor *advisor);

#endif
