// SPDX-License-Identifier: GPL-2.0-only
/*
 * Matrix products with AVX2: the formats that few files use. Q4_1, Q5_0 and
 * Q5_1 have blocks of 32 columns, Q2_K and Q3_K super-blocks with a scale for
 * each 16 columns. avx2_dot.h and avx2_tile.h tell how.
 */
#include "avx2.h"
#include "avx2_tile.h"

/*
 * sum * (d * x.d), and then bsum * (m * x.d) where there is an m; Q5_0's values
 * are 16 less than dot_q5()'s.
 */
static __always_inline void tile_32(const struct llx_matrix *w, const u8 *tile,
				    const struct llx_act_block *x,
				    size_t stride, const u32 n_tokens,
				    const u32 type, __m256 acc[][HALVES])
{
	const bool has_fifth = type != LLX_TYPE_Q4_1;
	const bool has_minimum = type != LLX_TYPE_Q5_0;
	const u32 head = has_minimum ? 64 : 32; /* d, and m behind it */
	const struct llx_act_block *a;
	struct pairs pairs[TOKENS];
	__m256i sum[TOKENS];
	__m256i bsum;
	__m256 d;
	__m256 m;
	u32 halves = HALVES;
	u32 b;
	u32 h;
	u32 t;

	keep_loop(&halves);
	for (b = 0; b < w->n_cols / 32; b++, x++) {
		for (t = 0; t < n_tokens; t++)
			split(x + t * stride, &pairs[t]);
		for (h = 0; h < halves; h++) {
			__asm__("" : "+m"(pairs)); /* as keep_loop() */
			d = load_f16(tile + 16 * h);
			m = load_f16(tile + head - 32 + 16 * h);
			if (has_fifth)
				dot_q5(tile + head + 32 * h, pairs, n_tokens,
				       sum);
			else
				dot_q4(tile + head + 32 * h, pairs, n_tokens,
				       sum);
			for (t = 0; t < n_tokens; t++) {
				a = x + t * stride;
				bsum = _mm256_set1_epi32(act_sum(a));
				if (!has_minimum)
					sum[t] = _mm256_sub_epi32(
						sum[t],
						_mm256_slli_epi32(bsum, 4));
				acc[t][h] = add_scaled(
					acc[t][h], sum[t],
					_mm256_mul_ps(d, act_scale(a)));
				if (has_minimum)
					acc[t][h] = add_scaled(
						acc[t][h], bsum,
						_mm256_mul_ps(m, act_scale(a)));
			}
		}
		tile += head + (has_fifth ? 5 : 4) * VECTOR;
	}
}

/* Bits @from of each 16-bit lane moved to bit @to, under @mask */
static __always_inline __m256i bits_to(__m256i bits, const u32 from,
				       const u32 to, const short mask)
{
	bits = from < to ? _mm256_slli_epi16(bits, to - from) :
			   _mm256_srli_epi16(bits, from - to);
	return bits & _mm256_set1_epi16(mask);
}

/*
 * Unsigned values of two bits (@type Q2_K) or three (Q3_K). 8 products of at
 * most 7 * 127 = 889 fit in 16 bits: 7112. Columns 0..15 and 16..31 have their
 * own scales and stay apart.
 */
static __always_inline void dot_q23(const u8 *q, const struct pairs *x,
				    const u32 n_tokens, const u32 type,
				    __m256i *low, __m256i *high)
{
	__m256i bits_low = load(q);
	__m256i bits_high = load(q + VECTOR);
	__m256i third = _mm256_setzero_si256();
	__m256i w0;
	__m256i w1;
	__m256i w2;
	__m256i w3;
	u32 v;
	u32 t;

	if (type == LLX_TYPE_Q3_K)
		third = load(q + 2 * VECTOR);
	for (t = 0; t < n_tokens; t++) {
		low[t] = _mm256_setzero_si256();
		high[t] = _mm256_setzero_si256();
	}
#pragma GCC unroll 4
	for (v = 0; v < 4; v++) {
		w0 = bits_to(bits_low, 2 * v, 0, 3);
		w1 = bits_to(bits_low, 8 + 2 * v, 0, 3);
		w2 = bits_to(bits_high, 2 * v, 0, 3);
		w3 = bits_to(bits_high, 8 + 2 * v, 0, 3);
		if (type == LLX_TYPE_Q3_K) {
			w0 |= bits_to(third, v, 2, 4);
			w1 |= bits_to(third, 8 + v, 2, 4);
			w2 |= bits_to(third, 4 + v, 2, 4);
			w3 |= bits_to(third, 12 + v, 2, 4);
		}
		for (t = 0; t < n_tokens; t++) {
			low[t] = mul_add(low[t], w0, x[t].even[v]);
			low[t] = mul_add(low[t], w1, x[t].odd[v]);
			high[t] = mul_add(high[t], w2, x[t].even[v + 4]);
			high[t] = mul_add(high[t], w3, x[t].odd[v + 4]);
		}
	}
	for (t = 0; t < n_tokens; t++) {
		low[t] = widen(low[t]);
		high[t] = widen(high[t]);
	}
}

/* bsum[0] and bsum[1] in the 16-bit halves of every lane */
static __always_inline s32 act_sums(const struct llx_act_block *x)
{
	s32 sums;

	__builtin_memcpy(&sums, x->bsum, sizeof(sums));
	return sums;
}

/*
 * 8 rows of a super-block of Q2_K: s = sc * sum, m = min * bsum. The minimums of
 * columns 0..15 and 16..31 are multiplied in 16-bit halves: 15 * 16 * 127 =
 * 30480 fits.
 */
static __always_inline void super_block_q2(const u8 *block,
					   const struct llx_act_block *x,
					   size_t stride, const u32 n_tokens,
					   __m256 *s, __m256 *m)
{
	const __m256i nibble = _mm256_set1_epi8(0x0f);
	const __m256i low_byte = _mm256_set1_epi32(0xff);
	const u8 *q = block + 5 * VECTOR;
	const struct llx_act_block *a;
	__m256i scales = _mm256_setzero_si256();
	__m256i mins = _mm256_setzero_si256();
	struct pairs pairs[TOKENS];
	__m256i low[TOKENS];
	__m256i high[TOKENS];
	__m256i scale_low;
	__m256i scale_high;
	__m256i two_mins;
	__m256i term;
	u32 j;
	u32 t;

#pragma GCC unroll 1
	for (j = 0; j < 8; j++, q += 2 * VECTOR, x++) {
		if (j % 2 == 0) {
			scales = load(block + (1 + j / 2) * VECTOR);
			mins = _mm256_srli_epi16(scales, 4) & nibble;
			scales &= nibble;
		}
		scale_low = next_byte(&scales);
		scale_high = next_byte(&scales);
		two_mins = next_byte(&mins);
		two_mins |= _mm256_slli_epi32(mins & low_byte, 16);
		mins = _mm256_srli_epi32(mins, 8);
		for (t = 0; t < n_tokens; t++)
			split(x + t * stride, &pairs[t]);
		dot_q23(q, pairs, n_tokens, LLX_TYPE_Q2_K, low, high);
		for (t = 0; t < n_tokens; t++) {
			a = x + t * stride;
			low[t] = _mm256_mullo_epi32(scale_low, low[t]);
			high[t] = _mm256_mullo_epi32(scale_high, high[t]);
			s[t] = add_scaled(s[t],
					  _mm256_add_epi32(low[t], high[t]),
					  act_scale(a));
			term = mul_add(_mm256_setzero_si256(), two_mins,
				       act_sums(a));
			m[t] = add_scaled(m[t], widen(term), act_scale(a));
		}
	}
}

static __always_inline void tile_q2(const struct llx_matrix *w, const u8 *tile,
				    const struct llx_act_block *x,
				    size_t stride, const u32 n_tokens,
				    const u32 type, __m256 acc[][HALVES])
{
	__m256 s[TOKENS];
	__m256 m[TOKENS];
	__m256 scaled;
	__m256 d;
	__m256 dmin;
	u32 halves = HALVES;
	u32 b;
	u32 h;
	u32 t;

	keep_loop(&halves);
	for (b = 0; b < w->n_cols / 256; b++, tile += 21 * VECTOR, x += 8) {
		for (h = 0; h < halves; h++) {
			for (t = 0; t < n_tokens; t++) {
				s[t] = _mm256_setzero_ps();
				m[t] = _mm256_setzero_ps();
			}
			super_block_q2(tile + 32 * h, x, stride, n_tokens, s,
				       m);
			d = load_f16(tile + 16 * h);
			dmin = load_f16(tile + 32 + 16 * h);
			for (t = 0; t < n_tokens; t++) {
				scaled = _mm256_sub_ps(
					_mm256_mul_ps(d, s[t]),
					_mm256_mul_ps(dmin, m[t]));
				acc[t][h] = _mm256_add_ps(acc[t][h], scaled);
			}
		}
	}
}

/* 8 rows of a super-block of Q3_K, whose values are 4 less than dot_q23()'s */
static __always_inline void super_block_q3(const u8 *block,
					   const struct llx_act_block *x,
					   size_t stride, const u32 n_tokens,
					   __m256 *s)
{
	const u8 *q = block + 32 + 4 * VECTOR;
	const struct llx_act_block *a;
	__m256i scales = _mm256_setzero_si256();
	struct pairs pairs[TOKENS];
	__m256i low[TOKENS];
	__m256i high[TOKENS];
	__m256i scale_low;
	__m256i scale_high;
	u32 j;
	u32 t;

#pragma GCC unroll 1
	for (j = 0; j < 8; j++, q += 3 * VECTOR, x++) {
		if (j % 2 == 0)
			scales = load(block + 32 + j / 2 * VECTOR);
		scale_low = next_signed_byte(&scales);
		scale_high = next_signed_byte(&scales);
		for (t = 0; t < n_tokens; t++)
			split(x + t * stride, &pairs[t]);
		dot_q23(q, pairs, n_tokens, LLX_TYPE_Q3_K, low, high);
		for (t = 0; t < n_tokens; t++) {
			a = x + t * stride;
			low[t] = _mm256_sub_epi32(
				low[t], _mm256_set1_epi32(4 * a->bsum[0]));
			high[t] = _mm256_sub_epi32(
				high[t], _mm256_set1_epi32(4 * a->bsum[1]));
			low[t] = _mm256_mullo_epi32(scale_low, low[t]);
			high[t] = _mm256_mullo_epi32(scale_high, high[t]);
			s[t] = add_scaled(s[t],
					  _mm256_add_epi32(low[t], high[t]),
					  act_scale(a));
		}
	}
}

static __always_inline void tile_q3(const struct llx_matrix *w, const u8 *tile,
				    const struct llx_act_block *x,
				    size_t stride, const u32 n_tokens,
				    const u32 type, __m256 acc[][HALVES])
{
	__m256 s[TOKENS];
	__m256 scaled;
	u32 halves = HALVES;
	u32 b;
	u32 h;
	u32 t;

	keep_loop(&halves);
	for (b = 0; b < w->n_cols / 256; b++) {
		for (h = 0; h < halves; h++) {
			for (t = 0; t < n_tokens; t++)
				s[t] = _mm256_setzero_ps();
			super_block_q3(tile + 32 * h, x, stride, n_tokens, s);
			for (t = 0; t < n_tokens; t++) {
				scaled = _mm256_mul_ps(load_f16(tile + 16 * h),
						       s[t]);
				acc[t][h] = _mm256_add_ps(acc[t][h], scaled);
			}
		}
		tile += 32 + 28 * VECTOR;
		x += 8;
	}
}

DEFINE_BATCHES(, llx_avx2_matmul_q4_1, tile_32, LLX_TYPE_Q4_1, q8)
DEFINE_BATCHES(, llx_avx2_matmul_q5_0, tile_32, LLX_TYPE_Q5_0, q8)
DEFINE_BATCHES(, llx_avx2_matmul_q5_1, tile_32, LLX_TYPE_Q5_1, q8)
DEFINE_BATCHES(, llx_avx2_matmul_q2_k, tile_q2, LLX_TYPE_Q2_K, q8)
DEFINE_BATCHES(, llx_avx2_matmul_q3_k, tile_q3, LLX_TYPE_Q3_K, q8)
