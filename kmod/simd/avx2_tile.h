/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the matrix products with AVX2 for QEMU's TCG are made of, and those that
 * both tables have. Private to avx2_matmul*.c.
 *
 * Weights are unpacked once for up to TOKENS tokens. Rounding follows
 * generic.c step by step.
 */
#ifndef LLX_SIMD_AVX2_TILE_H
#define LLX_SIMD_AVX2_TILE_H

#include "avx2_dot.h"

/*
 * Unrolling the loop over halves, or moving broadcasts out of it, only spills:
 * the compiler must not know that it runs twice.
 */
static __always_inline void keep_loop(u32 *count)
{
	__asm__("" : "+r"(*count));
}

/* The byte of each lane that counts now; the next one for the next call */
static __always_inline __m256i next_byte(__m256i *bytes)
{
	__m256i byte = *bytes & _mm256_set1_epi32(0xff);

	*bytes = _mm256_srli_epi32(*bytes, 8);
	return byte;
}

static __always_inline __m256i next_signed_byte(__m256i *bytes)
{
	__m256i byte = _mm256_srai_epi32(_mm256_slli_epi32(*bytes, 24), 24);

	*bytes = _mm256_srli_epi32(*bytes, 8);
	return byte;
}

/*
 * tile_fn(w, tile, x, stride, n_tokens, type, acc) adds one tile's sums for
 * n_tokens (constant: 1 or TOKENS) tokens, whose activations are stride apart,
 * to acc[t][half].
 */
#define DEFINE_PASS(name, tile_fn, type, input, n_tokens)                     \
	static noinline void name(                                            \
		const struct llx_matrix *w, u32 tile, u32 token,              \
		const struct llx_activations *x, llx_f32 *y, size_t y_stride) \
	{                                                                     \
		__m256 acc[n_tokens][HALVES];                                 \
		u32 t;                                                        \
									      \
		for (t = 0; t < (n_tokens); t++) {                            \
			acc[t][0] = _mm256_setzero_ps();                      \
			acc[t][1] = _mm256_setzero_ps();                      \
		}                                                             \
		tile_fn(w, w->tiles + tile * w->tile_bytes,                   \
			(const void *)(x->input + token * x->input##_stride), \
			x->input##_stride, n_tokens, type, acc);              \
		store_tile(w, tile, acc, n_tokens, y + token * y_stride,      \
			   y_stride);                                         \
	}

#endif
