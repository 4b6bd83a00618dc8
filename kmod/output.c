// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bytes between the request thread and a reader, in chunks of a page.
 */
#include "output.h"
#include "engine/utf8.h"

#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>

struct chunk {
	struct list_head link;
	u32 begin; /* unread from here; the reader's */
	u32 end;   /* under the output's lock */
	char text[PAGE_SIZE - sizeof(struct list_head) - 2 * sizeof(u32)];
};

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

void llx_output_init(struct llx_output *output)
{
	memset(output, 0, sizeof(*output));
	mutex_init(&output->reader);
	spin_lock_init(&output->lock);
	INIT_LIST_HEAD(&output->chunks);
	init_waitqueue_head(&output->wait);
}

void llx_output_clear(struct llx_output *output)
{
	struct chunk *chunk;
	struct chunk *next;

	mutex_lock(&output->reader);
	list_for_each_entry_safe(chunk, next, &output->chunks, link)
		kfree(chunk);
	INIT_LIST_HEAD(&output->chunks);
	output->bytes = 0;
	output->n_partial = 0;
	mutex_unlock(&output->reader);
}

/* Adds whole characters. */
static int append(struct llx_output *output, const char *text, size_t bytes)
{
	struct chunk *fresh = NULL;
	struct chunk *last;

	/* Only this thread adds, so there cannot be less room later. */
	spin_lock(&output->lock);
	last = list_empty(&output->chunks) ? NULL :
	       list_last_entry(&output->chunks, struct chunk, link);
	if (output->bytes + bytes > LLX_OUTPUT_MAX) {
		spin_unlock(&output->lock);
		return -ENOSPC;
	}
	if (last && sizeof(last->text) - last->end >= bytes)
		goto add;
	spin_unlock(&output->lock);

	fresh = kmalloc(sizeof(*fresh), GFP_KERNEL);
	if (!fresh)
		return -ENOMEM;
	fresh->begin = 0;
	fresh->end = 0;
	spin_lock(&output->lock);
	list_add_tail(&fresh->link, &output->chunks);
	last = fresh;
add:
	memcpy(last->text + last->end, text, bytes);
	last->end += bytes;
	output->bytes += bytes;
	spin_unlock(&output->lock);
	return 0;
}

int llx_output_append(struct llx_output *output, const char *text,
		      size_t bytes)
{
	int err = 0;

	while (bytes-- && !err) {
		int length;

		output->partial[output->n_partial++] = *text++;
		length = llx_utf8_sequence(output->partial, output->n_partial);
		if (!length)
			continue;
		if (length > 0) {
			err = append(output, output->partial, length);
			output->n_partial = 0;
			continue;
		}
		/* The last byte may start a character of its own. */
		err = append(output, replacement, strlen(replacement));
		if (output->n_partial > 1) {
			text--;
			bytes++;
		}
		output->n_partial = 0;
	}
	wake_up_interruptible(&output->wait);
	return err;
}

int llx_output_end(struct llx_output *output)
{
	if (!output->n_partial)
		return 0;
	output->n_partial = 0;
	return append(output, replacement, strlen(replacement));
}

size_t llx_output_bytes(struct llx_output *output)
{
	size_t bytes;

	spin_lock(&output->lock);
	bytes = output->bytes;
	spin_unlock(&output->lock);
	return bytes;
}

const char *llx_output_front(struct llx_output *output, size_t *bytes)
{
	const char *text = NULL;
	struct chunk *chunk;

	lockdep_assert_held(&output->reader);
	spin_lock(&output->lock);
	chunk = list_first_entry_or_null(&output->chunks, struct chunk, link);
	if (chunk && chunk->end > chunk->begin) {
		text = chunk->text + chunk->begin;
		*bytes = chunk->end - chunk->begin;
	}
	spin_unlock(&output->lock);
	return text;
}

void llx_output_consume(struct llx_output *output, size_t bytes)
{
	struct chunk *chunk;

	lockdep_assert_held(&output->reader);
	spin_lock(&output->lock);
	chunk = list_first_entry(&output->chunks, struct chunk, link);
	chunk->begin += bytes;
	output->bytes -= bytes;
	if (chunk->begin == chunk->end) {
		list_del(&chunk->link);
		kfree(chunk);
	}
	spin_unlock(&output->lock);
}
