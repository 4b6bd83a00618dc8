/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A place in a file of which only the first part may be in memory: the one way
 * in which the engine looks at bytes that a stranger wrote. Every step is
 * checked, so that no caller does arithmetic on what the file says.
 */
#ifndef LLX_CURSOR_H
#define LLX_CURSOR_H

#include "port.h"

/**
 * struct llx_cursor - bytes 0..@available-1 of a file of @file_bytes
 * @pos: next byte; never beyond @available
 * @needed: after -EAGAIN: bytes that must be available to go on
 */
struct llx_cursor {
	const u8 *bytes;
	u64 available;
	u64 file_bytes;
	u64 pos;
	u64 needed;
};

/*
 * Steps over @n bytes and points @at to them. Return: 0; -EAGAIN the file has
 * them but memory has not; -ENODATA the file ends before them.
 */
static inline int llx_cursor_take(struct llx_cursor *c, u64 n, const u8 **at)
{
	if (n > c->file_bytes - c->pos)
		return -ENODATA;
	if (n > c->available - c->pos) {
		c->needed = c->pos + n;
		return -EAGAIN;
	}
	*at = c->bytes + c->pos;
	c->pos += n;
	return 0;
}

/* Steps over @n things of @size bytes each. As llx_cursor_take(). */
static inline int llx_cursor_skip(struct llx_cursor *c, u64 n, u64 size)
{
	const u8 *at;
	u64 bytes;

	if (check_mul_overflow(n, size, &bytes))
		return -ENODATA;
	return llx_cursor_take(c, bytes, &at);
}

static inline int llx_cursor_u32(struct llx_cursor *c, u32 *value)
{
	const u8 *at;
	int ret = llx_cursor_take(c, sizeof(*value), &at);

	if (!ret)
		*value = get_unaligned_le32(at);
	return ret;
}

static inline int llx_cursor_u64(struct llx_cursor *c, u64 *value)
{
	const u8 *at;
	int ret = llx_cursor_take(c, sizeof(*value), &at);

	if (!ret)
		*value = get_unaligned_le64(at);
	return ret;
}

/* A GGUF string: its length in 8 bytes, then its bytes; no final NUL. */
static inline int llx_cursor_string(struct llx_cursor *c, const char **text,
				    u64 *bytes)
{
	u64 start = c->pos;
	const u8 *at;
	int ret;

	ret = llx_cursor_u64(c, bytes);
	if (!ret)
		ret = llx_cursor_take(c, *bytes, &at);
	if (ret) {
		c->pos = start;
		return ret;
	}
	*text = (const char *)at;
	return 0;
}

#endif
