/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The bytes of an answer, on their way from the request thread to a reader.
 * The thread never waits for the reader: what is not read yet is kept, up to
 * LLX_OUTPUT_MAX.
 */
#ifndef LLX_OUTPUT_H
#define LLX_OUTPUT_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>

#define LLX_OUTPUT_MAX (1u << 20) /* unread bytes; an answer ends there */

/**
 * struct llx_output - one session's unread bytes
 * @reader: serialises readers, and readers with llx_output_clear()
 * @lock: protects @chunks and @bytes
 * @chunks: first in, first out
 * @bytes: unread
 * @partial: start of a character that is not complete; the writer's own
 * @n_partial: its length
 * @wait: woken when bytes come, and by the queue when the request ends
 */
struct llx_output {
	struct mutex reader; /* see above, as for the next */
	spinlock_t lock;     /* not held while user memory is touched */
	struct list_head chunks;
	size_t bytes;
	char partial[4];
	u32 n_partial;
	wait_queue_head_t wait;
};

void llx_output_init(struct llx_output *output);

/* Forgets everything. No writer may be active. Sleeps. */
void llx_output_clear(struct llx_output *output);

/**
 * llx_output_append() - add the bytes of one token
 * @output: whose
 * @text: (@bytes), any content
 * @bytes: may be 0
 *
 * Readers only ever see whole characters: the start of one waits for its end,
 * and what is no UTF-8 becomes U+FFFD. Context: process, may sleep.
 * Return: 0;
 * -ENOMEM; -ENOSPC: LLX_OUTPUT_MAX bytes are unread.
 */
int llx_output_append(struct llx_output *output, const char *text,
		      size_t bytes);

/* The answer is complete: a character that is not is replaced. May sleep. */
int llx_output_end(struct llx_output *output);

/* Unread bytes. Any context. */
size_t llx_output_bytes(struct llx_output *output);

/**
 * llx_output_front() - the next bytes, in place
 * @output: whose; the caller holds @reader
 * @bytes: out: how many, at least 1
 *
 * Return: stays valid until @reader is released; NULL: there are none.
 */
const char *llx_output_front(struct llx_output *output, size_t *bytes);

/* Drops the first @bytes of llx_output_front(). The caller holds @reader. */
void llx_output_consume(struct llx_output *output, size_t bytes);

#endif
