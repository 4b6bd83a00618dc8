/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where things lie in a packed tile (engine/pack.c), for kernels that take 4
 * columns of its 16 rows at once. Private to simd/.
 */
#ifndef LLX_SIMD_TILE_H
#define LLX_SIMD_TILE_H

#include "kernels.h"

#define VECTOR 64u /* bytes of 4 columns, rows 0..7 first */
#define HEAD (5 * VECTOR) /* scales before a super-block's values */

/* Bytes of 32 columns of Q4_K, Q5_K or Q6_K */
static __always_inline u32 step_of(const u32 type)
{
	return (type == LLX_TYPE_Q6_K ? 6 : type == LLX_TYPE_Q5_K ? 5 : 4) *
	       VECTOR;
}

/* Brings 32 columns into the first-level cache. */
static __always_inline void prefetch(const u8 *q, const u32 type)
{
	u32 line;

	for (line = 0; line < step_of(type); line += 64)
		__builtin_prefetch(q + line, 0, 3);
}

#endif
