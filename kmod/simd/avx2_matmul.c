// SPDX-License-Identifier: GPL-2.0-only
/*
 * Matrix products with AVX2: floats, and the formats that most files use. All
 * of them are in the table "avx2tcg"; in "avx2" those that avx2_maddubs.c
 * leaves. avx2_tile.h tells how.
 */
#include "avx2.h"
#include "avx2_tile.h"

/* Bits 4 and 5 of vector v of a run of 16 columns: bits 2v and 2v + 1 */
static __always_inline __m256i bits_45(__m256i bits, const u32 from)
{
	const __m256i mask = _mm256_set1_epi16(0x0030);

	if (from < 4)
		return _mm256_slli_epi16(bits, 4 - from) & mask;
	return _mm256_srli_epi16(bits, from - 4) & mask;
}

/*
 * 8 products of at most 32 * 127 = 4064 in magnitude fit in 16 bits: 32512.
 * Columns 0..15 and 16..31 have their own scales and stay apart.
 */
static __always_inline void dot_q6(const u8 *q, const struct pairs *x,
				   const u32 n_tokens, __m256i *low,
				   __m256i *high)
{
	const __m256i mask = _mm256_set1_epi16(0x000f);
	const __m256i offset = _mm256_set1_epi16(32);
	__m256i bits_low = load(q);
	__m256i bits_high = load(q + VECTOR);
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
		w = load(q + (v + 2) * VECTOR);
		w0 = (w & mask) | bits_45(bits_low, 2 * v);
		w1 = (_mm256_srli_epi16(w, 8) & mask) |
		     bits_45(bits_low, 8 + 2 * v);
		w2 = (_mm256_srli_epi16(w, 4) & mask) |
		     bits_45(bits_high, 2 * v);
		w3 = _mm256_srli_epi16(w, 12) | bits_45(bits_high, 8 + 2 * v);
		w0 = _mm256_sub_epi16(w0, offset);
		w1 = _mm256_sub_epi16(w1, offset);
		w2 = _mm256_sub_epi16(w2, offset);
		w3 = _mm256_sub_epi16(w3, offset);
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

/* 2 products of at most 128 * 127 = 16256 fit in 16 bits: 32512. */
static __always_inline void dot_q8(const u8 *q, const struct pairs *x,
				   const u32 n_tokens, __m256i *sum)
{
	__m256i even;
	__m256i odd;
	__m256i two;
	u32 v;
	u32 t;

	for (t = 0; t < n_tokens; t++)
		sum[t] = _mm256_setzero_si256();
#pragma GCC unroll 2
	for (v = 0; v < 8; v++) {
		odd = load(q + v * VECTOR);
		even = _mm256_srai_epi16(_mm256_slli_epi16(odd, 8), 8);
		odd = _mm256_srai_epi16(odd, 8);
		for (t = 0; t < n_tokens; t++) {
			two = mul_add(_mm256_setzero_si256(), even,
				      x[t].even[v]);
			two = mul_add(two, odd, x[t].odd[v]);
			sum[t] = _mm256_add_epi32(sum[t], widen(two));
		}
	}
}

static __always_inline void tile_simple(const struct llx_matrix *w,
					const u8 *tile,
					const struct llx_act_block *x,
					size_t stride, const u32 n_tokens,
					const u32 type, __m256 acc[][HALVES])
{
	const bool is_q4 = type == LLX_TYPE_Q4_0;
	const struct llx_act_block *a;
	struct pairs pairs[TOKENS];
	__m256i sum[TOKENS];
	__m256 d;
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
			if (is_q4)
				dot_q4(tile + 32 + 32 * h, pairs, n_tokens,
				       sum);
			else
				dot_q8(tile + 32 + 32 * h, pairs, n_tokens,
				       sum);
			for (t = 0; t < n_tokens; t++) {
				a = x + t * stride;
				if (is_q4)
					sum[t] = _mm256_sub_epi32(
						sum[t],
						_mm256_set1_epi32(
							8 * act_sum(a)));
				acc[t][h] = add_scaled(
					acc[t][h], sum[t],
					_mm256_mul_ps(d, act_scale(a)));
			}
		}
		tile += 32 + (is_q4 ? 4 : 8) * VECTOR;
	}
}

/* 8 rows of a super-block of Q4_K or Q5_K: s = sc * sum, m = min * bsum */
static __always_inline void super_block_min(const u8 *block,
					    const struct llx_act_block *x,
					    size_t stride, const u32 n_tokens,
					    const u32 type, __m256 *s,
					    __m256 *m)
{
	const u32 step = (type == LLX_TYPE_Q5_K ? 5 : 4) * VECTOR;
	const u8 *q = block + 5 * VECTOR;
	const struct llx_act_block *a;
	__m256i scales = _mm256_setzero_si256();
	__m256i mins = _mm256_setzero_si256();
	struct pairs pairs[TOKENS];
	__m256i sum[TOKENS];
	__m256i scale;
	__m256i min_of_row;
	__m256i term;
	u32 j;
	u32 t;

#pragma GCC unroll 1
	for (j = 0; j < 8; j++, q += step, x++) {
		if (j % 4 == 0) {
			scales = load(block + (1 + j / 4) * VECTOR);
			mins = load(block + (3 + j / 4) * VECTOR);
		}
		scale = next_byte(&scales);
		min_of_row = next_byte(&mins);
		for (t = 0; t < n_tokens; t++)
			split(x + t * stride, &pairs[t]);
		if (type == LLX_TYPE_Q5_K)
			dot_q5(q, pairs, n_tokens, sum);
		else
			dot_q4(q, pairs, n_tokens, sum);
		for (t = 0; t < n_tokens; t++) {
			a = x + t * stride;
			term = _mm256_mullo_epi32(scale, sum[t]);
			s[t] = add_scaled(s[t], term, act_scale(a));
			term = _mm256_set1_epi32(act_sum(a));
			term = _mm256_mullo_epi32(min_of_row, term);
			m[t] = add_scaled(m[t], term, act_scale(a));
		}
	}
}

static __always_inline void tile_min(const struct llx_matrix *w,
				     const u8 *tile,
				     const struct llx_act_block *x,
				     size_t stride, const u32 n_tokens,
				     const u32 type, __m256 acc[][HALVES])
{
	const u32 bytes = (5 + 8 * (type == LLX_TYPE_Q5_K ? 5 : 4)) * VECTOR;
	__m256 s[TOKENS];
	__m256 m[TOKENS];
	__m256 scaled;
	u32 halves = HALVES;
	u32 b;
	u32 h;
	u32 t;

	keep_loop(&halves);
	for (b = 0; b < w->n_cols / 256; b++, tile += bytes, x += 8) {
		for (h = 0; h < halves; h++) {
			for (t = 0; t < n_tokens; t++) {
				s[t] = _mm256_setzero_ps();
				m[t] = _mm256_setzero_ps();
			}
			super_block_min(tile + 32 * h, x, stride, n_tokens,
					type, s, m);
			for (t = 0; t < n_tokens; t++) {
				scaled = _mm256_sub_ps(
					_mm256_mul_ps(load_f16(tile + 16 * h),
						      s[t]),
					_mm256_mul_ps(load_f16(tile + 32 +
							       16 * h),
						      m[t]));
				acc[t][h] = _mm256_add_ps(acc[t][h], scaled);
			}
		}
	}
}

/* 8 rows of a super-block of Q6_K */
static __always_inline void super_block_q6(const u8 *block,
					   const struct llx_act_block *x,
					   size_t stride, const u32 n_tokens,
					   __m256 *s)
{
	const u8 *q = block + 5 * VECTOR;
	__m256i scales = _mm256_setzero_si256();
	struct pairs pairs[TOKENS];
	__m256i low[TOKENS];
	__m256i high[TOKENS];
	__m256i scale_low;
	__m256i scale_high;
	u32 j;
	u32 t;

#pragma GCC unroll 1
	for (j = 0; j < 8; j++, q += 6 * VECTOR, x++) {
		if (j % 2 == 0)
			scales = load(block + (1 + j / 2) * VECTOR);
		scale_low = next_signed_byte(&scales);
		scale_high = next_signed_byte(&scales);
		for (t = 0; t < n_tokens; t++)
			split(x + t * stride, &pairs[t]);
		dot_q6(q, pairs, n_tokens, low, high);
		for (t = 0; t < n_tokens; t++) {
			low[t] = _mm256_mullo_epi32(scale_low, low[t]);
			high[t] = _mm256_mullo_epi32(scale_high, high[t]);
			s[t] = add_scaled(s[t],
					  _mm256_add_epi32(low[t], high[t]),
					  act_scale(x + t * stride));
		}
	}
}

static __always_inline void tile_q6(const struct llx_matrix *w, const u8 *tile,
				    const struct llx_act_block *x,
				    size_t stride, const u32 n_tokens,
				    const u32 type, __m256 acc[][HALVES])
{
	__m256 s[TOKENS];
	u32 halves = HALVES;
	u32 b;
	u32 h;
	u32 t;

	keep_loop(&halves);
	for (b = 0; b < w->n_cols / 256; b++, tile += 53 * VECTOR, x += 8) {
		for (h = 0; h < halves; h++) {
			for (t = 0; t < n_tokens; t++)
				s[t] = _mm256_setzero_ps();
			super_block_q6(tile + 32 * h, x, stride, n_tokens, s);
			for (t = 0; t < n_tokens; t++)
				acc[t][h] = _mm256_add_ps(
					acc[t][h],
					_mm256_mul_ps(load_f16(tile + 16 * h),
						      s[t]));
		}
	}
}

/* 8 weights of column @c: @p points at the tile's half */
static __always_inline __m256 load_column(const u32 type, const u8 *p, size_t c)
{
	__m256i wide;

	if (type == LLX_TYPE_F32)
		return _mm256_loadu_ps((const float *)(p + c * 64));
	if (type == LLX_TYPE_F16)
		return load_f16(p + c * 32);
	wide = _mm256_cvtepu16_epi32(
		_mm_loadu_si128((const __m128i *)(p + c * 32)));
	return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}

static __always_inline void tile_float(const struct llx_matrix *w,
				       const u8 *tile, const float *x,
				       size_t stride, const u32 n_tokens,
				       const u32 type, __m256 acc[][HALVES])
{
	const u32 half_bytes = type == LLX_TYPE_F32 ? 32 : 16;
	__m256 odd[TOKENS];
	__m256 even[TOKENS];
	__m256 column;
	const u8 *p;
	u32 c;
	u32 h;
	u32 t;

	for (h = 0; h < HALVES; h++) {
		p = tile + h * half_bytes;
		for (t = 0; t < n_tokens; t++) {
			even[t] = _mm256_setzero_ps();
			odd[t] = _mm256_setzero_ps();
		}
		for (c = 0; c < w->n_cols; c++) {
			column = load_column(type, p, c);
			for (t = 0; t < n_tokens; t++) {
				__m256 product = _mm256_mul_ps(
					column,
					_mm256_set1_ps(x[t * stride + c]));

				if (c % 2)
					odd[t] = _mm256_add_ps(odd[t],
							       product);
				else
					even[t] = _mm256_add_ps(even[t],
								product);
			}
		}
		for (t = 0; t < n_tokens; t++)
			acc[t][h] = _mm256_add_ps(even[t], odd[t]);
	}
}

DEFINE_BATCHES(, llx_avx2_matmul_f32, tile_float, LLX_TYPE_F32, f32)
DEFINE_BATCHES(, llx_avx2_matmul_f16, tile_float, LLX_TYPE_F16, f32)
DEFINE_BATCHES(, llx_avx2_matmul_bf16, tile_float, LLX_TYPE_BF16, f32)
DEFINE_BATCHES(, llx_avx2_matmul_q8_0, tile_simple, LLX_TYPE_Q8_0, q8)
DEFINE_BATCHES(, llx_avx2_matmul_q4_0, tile_simple, LLX_TYPE_Q4_0, q8)
DEFINE_BATCHES(, llx_avx2_matmul_q4_k, tile_min, LLX_TYPE_Q4_K, q8)
DEFINE_BATCHES(, llx_avx2_matmul_q5_k, tile_min, LLX_TYPE_Q5_K, q8)
DEFINE_BATCHES(, llx_avx2_matmul_q6_k, tile_q6, LLX_TYPE_Q6_K, q8)
