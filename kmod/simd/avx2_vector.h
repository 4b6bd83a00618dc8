/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What all matrix products with AVX2 share: a tile's 16 rows are two vectors of
 * 8 lanes. Private to avx2_*.c.
 */
#ifndef LLX_SIMD_AVX2_VECTOR_H
#define LLX_SIMD_AVX2_VECTOR_H

#include "kernels.h"
#include "f32.h"
#include "tile.h"

#define _MM_MALLOC_H_INCLUDED 1 /* there is no malloc */
#include <immintrin.h>

#define HALVES 2u /* rows 0..7 and 8..15 */

static __always_inline __m256i load(const void *p)
{
	return _mm256_loadu_si256(p);
}

static __always_inline __m256 load_f16(const void *p)
{
	return _mm256_cvtph_ps(_mm_loadu_si128(p));
}

/* to + (float)sum * factor */
static __always_inline __m256 add_scaled(__m256 to, __m256i sum, __m256 factor)
{
	__m256 x = _mm256_cvtepi32_ps(sum);

	return _mm256_add_ps(to, _mm256_mul_ps(x, factor));
}

static __always_inline __m256 act_scale(const struct llx_act_block *x)
{
	return _mm256_set1_ps(f32_get(x->d));
}

static __always_inline s32 act_sum(const struct llx_act_block *x)
{
	return x->bsum[0] + x->bsum[1];
}

static __always_inline void store_tile(const struct llx_matrix *w, u32 tile,
				       __m256 acc[][HALVES], u32 n_tokens,
				       llx_f32 *y, size_t y_stride)
{
	u32 row = tile * LLX_TILE_ROWS;
	u32 n = min(w->n_rows - row, LLX_TILE_ROWS);
	float *to = f32_array_mut(y + row);
	float rows[LLX_TILE_ROWS];
	u32 r;
	u32 t;

	for (t = 0; t < n_tokens; t++, to += y_stride) {
		if (n == LLX_TILE_ROWS) {
			_mm256_storeu_ps(to, acc[t][0]);
			_mm256_storeu_ps(to + 8, acc[t][1]);
			continue;
		}
		_mm256_storeu_ps(rows, acc[t][0]);
		_mm256_storeu_ps(rows + 8, acc[t][1]);
		for (r = 0; r < n; r++)
			to[r] = rows[r];
	}
}

#endif
