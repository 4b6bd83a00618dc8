// SPDX-License-Identifier: GPL-2.0-only
/*
 * Arrays cut from one allocation; see arena.h.
 */
#include "arena.h"

void *llx_arena_take(struct llx_arena *arena, u64 n, size_t size)
{
	size_t start = arena->used;
	size_t bytes;
	size_t end;

	if (check_mul_overflow(n, size, &bytes) ||
	    check_add_overflow(bytes, (size_t)LLX_ARENA_ALIGN - 1, &bytes) ||
	    check_add_overflow(start, bytes & -(size_t)LLX_ARENA_ALIGN, &end)) {
		arena->overflow = true;
		return NULL;
	}
	/* Not the layout that was measured: a mistake of our own. */
	if (arena->base && LLX_BUG_ON(end > arena->bytes))
		return NULL;
	arena->used = end;
	return arena->base ? arena->base + start : NULL;
}

int llx_arena_commit(struct llx_arena *arena)
{
	if (arena->overflow)
		return -EOVERFLOW;
	arena->base = llx_alloc(arena->used);
	if (!arena->base)
		return -ENOMEM;
	arena->bytes = arena->used;
	arena->used = 0;
	return 0;
}

void llx_arena_destroy(struct llx_arena *arena)
{
	llx_free(arena->base);
	*arena = (struct llx_arena){};
}
