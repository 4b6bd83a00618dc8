/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where things lie in a packed tile (engine/pack.c), for kernels that take 4
 * columns of its 16 rows at once. Private to simd/.
 */
#ifndef LLX_SIMD_TILE_H
#define LLX_SIMD_TILE_H

#include "avx2.h"

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

/*
 * A function of the table: the includer's TOKENS tokens at a time, then one by
 * one. Its DEFINE_PASS() makes the same code for both, so a batch gives the bits
 * of single tokens.
 */
#define DEFINE_BATCHES(linkage, name, tile_fn, type, input)                   \
	DEFINE_PASS(name##_many, tile_fn, type, input, TOKENS)                \
	DEFINE_PASS(name##_one, tile_fn, type, input, 1)                      \
	linkage LLX_DECLARE_MATMUL(name)                                      \
	{                                                                     \
		u32 i;                                                        \
		u32 t;                                                        \
									      \
		for (i = tile_begin; i < tile_end; i++) {                     \
			for (t = 0; t + TOKENS <= n_tokens; t += TOKENS)      \
				name##_many(w, i, t, x, y, y_stride);         \
			for (; t < n_tokens; t++)                             \
				name##_one(w, i, t, x, y, y_stride);          \
		}                                                             \
	}

#endif
