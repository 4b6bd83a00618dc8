/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Exact dot products with AVX2, of the half of a tile: 8 rows, one in each
 * 32-bit lane. Private to avx2_*.c.
 *
 * Under QEMU's TCG only integer and, or, shift, add, mullw, mulld and
 * broadcast become host vector instructions; everything else, and every float
 * lane, is a slow call (maddubs, madd and packs included). So bytes are split
 * by masks and shifts into 16-bit lanes of even and of odd columns, multiplied
 * by mullw, and added in 16 bits for as long as that cannot overflow: measured
 * 14 times faster under TCG than a maddubs loop.
 */
#ifndef LLX_SIMD_AVX2_DOT_H
#define LLX_SIMD_AVX2_DOT_H

#include "avx2_vector.h"

#define TOKENS 4u /* most for which weights are unpacked once */

/*
 * 32 activations as 16-bit pairs for broadcasting: even[v] = columns 4v and
 * 4v + 2, odd[v] = columns 4v + 1 and 4v + 3.
 */
struct pairs {
	s32 even[8];
	s32 odd[8];
};

static __always_inline void split(const struct llx_act_block *x,
				  struct pairs *p)
{
	__m256i q = load(x->q);

	_mm256_storeu_si256((__m256i *)p->even,
			    _mm256_srai_epi16(_mm256_slli_epi16(q, 8), 8));
	_mm256_storeu_si256((__m256i *)p->odd, _mm256_srai_epi16(q, 8));
}

/* acc + w * pair, in 16 bits */
static __always_inline __m256i mul_add(__m256i acc, __m256i w, s32 pair)
{
	__m256i product = _mm256_mullo_epi16(w, _mm256_set1_epi32(pair));

	return _mm256_add_epi16(acc, product);
}

/* The sum of a lane's two 16-bit halves */
static __always_inline __m256i widen(__m256i acc)
{
	__m256i low = _mm256_srai_epi32(_mm256_slli_epi32(acc, 16), 16);

	return _mm256_add_epi32(low, _mm256_srai_epi32(acc, 16));
}

/*
 * The dot products below: @q points at the sub-block's vectors (of the half
 * that is wanted), @sum gets 8 rows' sums for each token.
 */

/* 16 products of at most 15 * 127 = 1905 fit in 16 bits: 30480. */
static __always_inline void dot_q4(const u8 *q, const struct pairs *x,
				   const u32 n_tokens, __m256i *sum)
{
	const __m256i mask = _mm256_set1_epi16(0x000f);
	__m256i acc[TOKENS];
	__m256i w;
	__m256i w0;
	__m256i w1;
	__m256i w2;
	__m256i w3;
	u32 v;
	u32 t;

	for (t = 0; t < n_tokens; t++)
		acc[t] = _mm256_setzero_si256();
#pragma GCC unroll 4
	for (v = 0; v < 4; v++) {
		w = load(q + v * VECTOR);
		w0 = _mm256_and_si256(w, mask);
		w1 = _mm256_and_si256(_mm256_srli_epi16(w, 8), mask);
		w2 = _mm256_and_si256(_mm256_srli_epi16(w, 4), mask);
		w3 = _mm256_srli_epi16(w, 12);
		for (t = 0; t < n_tokens; t++) {
			acc[t] = mul_add(acc[t], w0, x[t].even[v]);
			acc[t] = mul_add(acc[t], w1, x[t].odd[v]);
			acc[t] = mul_add(acc[t], w2, x[t].even[v + 4]);
			acc[t] = mul_add(acc[t], w3, x[t].odd[v + 4]);
		}
	}
	for (t = 0; t < n_tokens; t++)
		sum[t] = widen(acc[t]);
}

/* 8 products of at most 31 * 127 = 3937 fit in 16 bits: 31496. */
static __always_inline void dot_q5(const u8 *q, const struct pairs *x,
				   const u32 n_tokens, __m256i *sum)
{
	const __m256i mask = _mm256_set1_epi16(0x000f);
	const __m256i bit = _mm256_set1_epi16(0x0010);
	__m256i fifth = load(q);
	__m256i low[TOKENS];
	__m256i high[TOKENS];
	__m256i w;
	__m256i w0;
	__m256i w1;
	__m256i w2;
	__m256i w3;
	u32 v;
	u32 t;

	for (t = 0; t < n_tokens; t++) {
		low[t] = _mm256_setzero_si256();
		high[t] = _mm256_setzero_si256();
	}
#pragma GCC unroll 4
	for (v = 0; v < 4; v++) {
		w = load(q + (v + 1) * VECTOR);
		w0 = _mm256_and_si256(w, mask);
		w1 = _mm256_and_si256(_mm256_srli_epi16(w, 8), mask);
		w2 = _mm256_and_si256(_mm256_srli_epi16(w, 4), mask);
		w3 = _mm256_srli_epi16(w, 12);
		w0 |= _mm256_slli_epi16(fifth, 4 - v) & bit;
		w1 |= _mm256_srli_epi16(fifth, 4 + v) & bit;
		w2 |= _mm256_srli_epi16(fifth, v) & bit;
		w3 |= _mm256_srli_epi16(fifth, 8 + v) & bit;
		for (t = 0; t < n_tokens; t++) {
			low[t] = mul_add(low[t], w0, x[t].even[v]);
			low[t] = mul_add(low[t], w1, x[t].odd[v]);
			high[t] = mul_add(high[t], w2, x[t].even[v + 4]);
			high[t] = mul_add(high[t], w3, x[t].odd[v + 4]);
		}
	}
	for (t = 0; t < n_tokens; t++)
		sum[t] = _mm256_add_epi32(widen(low[t]), widen(high[t]));
}

#endif
