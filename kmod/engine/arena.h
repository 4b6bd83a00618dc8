/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One allocation from which many arrays are cut, freed all at once. What is
 * cut is laid out by a function that runs twice: first to measure, with no
 * memory behind the arena, then to hand out. So a model's weights are one
 * block, which huge pages can map, and running out of memory happens once and
 * early.
 */
#ifndef LLX_ARENA_H
#define LLX_ARENA_H

#include "port.h"

#define LLX_ARENA_ALIGN 64u

/**
 * struct llx_arena - zero it to start measuring
 * @base: NULL while measuring
 * @bytes: size of the allocation
 * @used: bytes handed out or measured
 * @overflow: the sizes asked for do not fit in a size_t
 */
struct llx_arena {
	u8 *base;
	size_t bytes;
	size_t used;
	bool overflow;
};

/*
 * Cuts an array of @n elements of @size bytes, zeroed and 64-byte aligned.
 * NULL while measuring.
 */
void *llx_arena_take(struct llx_arena *arena, u64 n, size_t size);

/*
 * Ends measuring: allocates what was measured and starts handing out. May
 * sleep. Return: 0; -EOVERFLOW; -ENOMEM.
 */
int llx_arena_commit(struct llx_arena *arena);

void llx_arena_destroy(struct llx_arena *arena);

#endif
