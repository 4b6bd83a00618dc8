// SPDX-License-Identifier: GPL-2.0-only
/*
 * Matrix products with AVX-512 VNNI, and the table. A tile's 16 rows are the 16
 * lanes of a vector; vpdpbusd multiplies 4 columns of each row at once, with
 * the 4 activations broadcast from memory. Its weights are unsigned: what they
 * are off by goes back through the sums of the activations.
 *
 * Weights are unpacked once for up to TOKENS tokens. Rounding follows
 * generic.c: where that multiplies integers, this multiplies them as floats,
 * which gives the same below 2^24. Work on rows is that of avx2.c, and so are
 * the products of the formats that few files use (avx2_matmul_rare.c): all
 * tables give the same bits, and a CPU with AVX-512 has AVX2.
 */
#include "avx2.h"
#include "tables.h"
#include "f32.h"

#define _MM_MALLOC_H_INCLUDED 1 /* there is no malloc */
#include <immintrin.h>

#define TOKENS 4u
#define VECTOR 64u

static __always_inline __m512i load(const void *p)
{
	return _mm512_loadu_si512(p);
}

static __always_inline __m512 load_f16(const void *p)
{
	return _mm512_cvtph_ps(_mm256_loadu_si256(p));
}

/* sum + 4 columns of 16 rows times activations 4v..4v+3 */
static __always_inline __m512i dot_4(__m512i sum, __m512i w,
				     const struct llx_act_block *x, u32 v)
{
	s32 four;

	__builtin_memcpy(&four, x->q + 4 * v, sizeof(four));
	return _mm512_dpbusd_epi32(sum, w, _mm512_set1_epi32(four));
}

static __always_inline s32 act_sum(const struct llx_act_block *x)
{
	return x->bsum[0] + x->bsum[1];
}

static __always_inline __m512 act_scale(const struct llx_act_block *x)
{
	return _mm512_set1_ps(f32_get(x->d));
}

/* The nibbles of vector @v of columns 0..15 and 16..31 */
static __always_inline void nibbles(const u8 *q, u32 v, __m512i *low,
				    __m512i *high)
{
	const __m512i mask = _mm512_set1_epi8(0x0f);
	__m512i w = load(q + v * VECTOR);

	*low = w & mask;
	*high = _mm512_srli_epi16(w, 4) & mask;
}

/* Bits @from of each byte moved to bit 4, under @mask */
static __always_inline __m512i bits_to_4(__m512i bits, const u32 from,
					 const char mask)
{
	bits = from < 4 ? _mm512_slli_epi16(bits, 4 - from) :
			  _mm512_srli_epi16(bits, from - 4);
	return bits & _mm512_set1_epi8(mask);
}

static __always_inline void dot_q4(const u8 *q, const struct llx_act_block *x,
				   size_t stride, const u32 n_tokens,
				   __m512i *sum)
{
	__m512i low;
	__m512i high;
	u32 v;
	u32 t;

	for (t = 0; t < n_tokens; t++)
		sum[t] = _mm512_setzero_si512();
#pragma GCC unroll 4
	for (v = 0; v < 4; v++) {
		nibbles(q, v, &low, &high);
		for (t = 0; t < n_tokens; t++) {
			sum[t] = dot_4(sum[t], low, x + t * stride, v);
			sum[t] = dot_4(sum[t], high, x + t * stride, v + 4);
		}
	}
}

static __always_inline void dot_q5(const u8 *q, const struct llx_act_block *x,
				   size_t stride, const u32 n_tokens,
				   __m512i *sum)
{
	__m512i fifth = load(q);
	__m512i low;
	__m512i high;
	u32 v;
	u32 t;

	for (t = 0; t < n_tokens; t++)
		sum[t] = _mm512_setzero_si512();
#pragma GCC unroll 4
	for (v = 0; v < 4; v++) {
		nibbles(q + VECTOR, v, &low, &high);
		low |= bits_to_4(fifth, v, 0x10);
		high |= bits_to_4(fifth, v + 4, 0x10);
		for (t = 0; t < n_tokens; t++) {
			sum[t] = dot_4(sum[t], low, x + t * stride, v);
			sum[t] = dot_4(sum[t], high, x + t * stride, v + 4);
		}
	}
}

/* Unsigned values: 32 too large. Columns 0..15 and 16..31 stay apart. */
static __always_inline void dot_q6(const u8 *q, const struct llx_act_block *x,
				   size_t stride, const u32 n_tokens,
				   __m512i *low_sum, __m512i *high_sum)
{
	__m512i bits_low = load(q);
	__m512i bits_high = load(q + VECTOR);
	const struct llx_act_block *a;
	__m512i low;
	__m512i high;
	u32 v;
	u32 t;

	for (t = 0; t < n_tokens; t++) {
		a = x + t * stride;
		low_sum[t] = _mm512_set1_epi32(-32 * a->bsum[0]);
		high_sum[t] = _mm512_set1_epi32(-32 * a->bsum[1]);
	}
#pragma GCC unroll 4
	for (v = 0; v < 4; v++) {
		nibbles(q + 2 * VECTOR, v, &low, &high);
		low |= bits_to_4(bits_low, 2 * v, 0x30);
		high |= bits_to_4(bits_high, 2 * v, 0x30);
		for (t = 0; t < n_tokens; t++) {
			a = x + t * stride;
			low_sum[t] = dot_4(low_sum[t], low, a, v);
			high_sum[t] = dot_4(high_sum[t], high, a, v + 4);
		}
	}
}

/* Signed bytes with the top bit flipped are 128 too large. */
static __always_inline void dot_q8(const u8 *q, const struct llx_act_block *x,
				   size_t stride, const u32 n_tokens,
				   __m512i *sum)
{
	const __m512i top = _mm512_set1_epi8(-128);
	__m512i w;
	u32 v;
	u32 t;

	for (t = 0; t < n_tokens; t++)
		sum[t] = _mm512_set1_epi32(-128 * act_sum(x + t * stride));
#pragma GCC unroll 8
	for (v = 0; v < 8; v++) {
		w = load(q + v * VECTOR) ^ top;
		for (t = 0; t < n_tokens; t++)
			sum[t] = dot_4(sum[t], w, x + t * stride, v);
	}
}

/*
 * The tile functions add one tile's sums for @n_tokens (constant: 1 or TOKENS)
 * tokens, whose activations are @stride apart, to acc[t].
 */
static __always_inline void tile_simple(const struct llx_matrix *w,
					const u8 *tile,
					const struct llx_act_block *x,
					size_t stride, const u32 n_tokens,
					const u32 type, __m512 *acc)
{
	const bool is_q4 = type == LLX_TYPE_Q4_0;
	__m512i sum[TOKENS];
	__m512 d;
	u32 b;
	u32 t;

	for (b = 0; b < w->n_cols / 32; b++, x++) {
		d = load_f16(tile);
		if (is_q4)
			dot_q4(tile + 32, x, stride, n_tokens, sum);
		else
			dot_q8(tile + 32, x, stride, n_tokens, sum);
		for (t = 0; t < n_tokens; t++) {
			const struct llx_act_block *a = x + t * stride;
			__m512 factor = _mm512_mul_ps(d, act_scale(a));

			if (is_q4)
				sum[t] = _mm512_sub_epi32(
					sum[t],
					_mm512_set1_epi32(8 * act_sum(a)));
			acc[t] = _mm512_add_ps(
				acc[t],
				_mm512_mul_ps(_mm512_cvtepi32_ps(sum[t]),
					      factor));
		}
		tile += 32 + (is_q4 ? 4 : 8) * VECTOR;
	}
}

/* The byte of each lane that counts now; the next one for the next call */
static __always_inline __m512 next_byte(__m512i *bytes)
{
	__m512i byte = *bytes & _mm512_set1_epi32(0xff);

	*bytes = _mm512_srli_epi32(*bytes, 8);
	return _mm512_cvtepi32_ps(byte);
}

static __always_inline __m512 next_signed_byte(__m512i *bytes)
{
	__m512i byte = _mm512_srai_epi32(_mm512_slli_epi32(*bytes, 24), 24);

	*bytes = _mm512_srli_epi32(*bytes, 8);
	return _mm512_cvtepi32_ps(byte);
}

/* A super-block of Q4_K or Q5_K: s = sc * sum, m = min * bsum */
static __always_inline void super_block_min(const u8 *block,
					    const struct llx_act_block *x,
					    size_t stride, const u32 n_tokens,
					    const u32 type, __m512 *s,
					    __m512 *m)
{
	const u32 step = (type == LLX_TYPE_Q5_K ? 5 : 4) * VECTOR;
	const u8 *q = block + 5 * VECTOR;
	__m512i scales = _mm512_setzero_si512();
	__m512i mins = _mm512_setzero_si512();
	__m512i sum[TOKENS];
	__m512 scale;
	__m512 min_of_row;
	__m512 term;
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
		if (type == LLX_TYPE_Q5_K)
			dot_q5(q, x, stride, n_tokens, sum);
		else
			dot_q4(q, x, stride, n_tokens, sum);
		for (t = 0; t < n_tokens; t++) {
			const struct llx_act_block *a = x + t * stride;
			__m512 bsum = _mm512_set1_ps((float)act_sum(a));

			term = _mm512_mul_ps(_mm512_cvtepi32_ps(sum[t]), scale);
			term = _mm512_mul_ps(term, act_scale(a));
			s[t] = _mm512_add_ps(s[t], term);
			term = _mm512_mul_ps(min_of_row, bsum);
			term = _mm512_mul_ps(term, act_scale(a));
			m[t] = _mm512_add_ps(m[t], term);
		}
	}
}

static __always_inline void tile_min(const struct llx_matrix *w,
				     const u8 *tile,
				     const struct llx_act_block *x,
				     size_t stride, const u32 n_tokens,
				     const u32 type, __m512 *acc)
{
	const u32 bytes = (5 + 8 * (type == LLX_TYPE_Q5_K ? 5 : 4)) * VECTOR;
	__m512 s[TOKENS];
	__m512 m[TOKENS];
	u32 b;
	u32 t;

	for (b = 0; b < w->n_cols / 256; b++, tile += bytes, x += 8) {
		for (t = 0; t < n_tokens; t++) {
			s[t] = _mm512_setzero_ps();
			m[t] = _mm512_setzero_ps();
		}
		super_block_min(tile, x, stride, n_tokens, type, s, m);
		for (t = 0; t < n_tokens; t++) {
			s[t] = _mm512_mul_ps(load_f16(tile), s[t]);
			m[t] = _mm512_mul_ps(load_f16(tile + 32), m[t]);
			acc[t] = _mm512_add_ps(acc[t],
					       _mm512_sub_ps(s[t], m[t]));
		}
	}
}

static __always_inline void super_block_q6(const u8 *block,
					   const struct llx_act_block *x,
					   size_t stride, const u32 n_tokens,
					   __m512 *s)
{
	const u8 *q = block + 5 * VECTOR;
	__m512i scales = _mm512_setzero_si512();
	__m512i low[TOKENS];
	__m512i high[TOKENS];
	__m512 scale_low;
	__m512 scale_high;
	__m512 low_term;
	__m512 high_term;
	u32 j;
	u32 t;

#pragma GCC unroll 1
	for (j = 0; j < 8; j++, q += 6 * VECTOR, x++) {
		if (j % 2 == 0)
			scales = load(block + (1 + j / 2) * VECTOR);
		scale_low = next_signed_byte(&scales);
		scale_high = next_signed_byte(&scales);
		dot_q6(q, x, stride, n_tokens, low, high);
		for (t = 0; t < n_tokens; t++) {
			low_term = _mm512_mul_ps(_mm512_cvtepi32_ps(low[t]),
						 scale_low);
			high_term = _mm512_mul_ps(_mm512_cvtepi32_ps(high[t]),
						  scale_high);
			low_term = _mm512_add_ps(low_term, high_term);
			low_term = _mm512_mul_ps(low_term,
						 act_scale(x + t * stride));
			s[t] = _mm512_add_ps(s[t], low_term);
		}
	}
}

static __always_inline void tile_q6(const struct llx_matrix *w, const u8 *tile,
				    const struct llx_act_block *x,
				    size_t stride, const u32 n_tokens,
				    const u32 type, __m512 *acc)
{
	__m512 s[TOKENS];
	u32 b;
	u32 t;

	for (b = 0; b < w->n_cols / 256; b++, tile += 53 * VECTOR, x += 8) {
		for (t = 0; t < n_tokens; t++)
			s[t] = _mm512_setzero_ps();
		super_block_q6(tile, x, stride, n_tokens, s);
		for (t = 0; t < n_tokens; t++) {
			s[t] = _mm512_mul_ps(load_f16(tile), s[t]);
			acc[t] = _mm512_add_ps(acc[t], s[t]);
		}
	}
}

static __always_inline __m512 load_column(const u32 type, const u8 *p, size_t c)
{
	__m512i wide;

	if (type == LLX_TYPE_F32)
		return _mm512_loadu_ps(p + c * 64);
	if (type == LLX_TYPE_F16)
		return load_f16(p + c * 32);
	wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)(p +
								       c * 32)));
	return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

static __always_inline void tile_float(const struct llx_matrix *w,
				       const u8 *tile, const float *x,
				       size_t stride, const u32 n_tokens,
				       const u32 type, __m512 *acc)
{
	__m512 odd[TOKENS];
	__m512 column;
	__m512 product;
	u32 c;
	u32 t;

	for (t = 0; t < n_tokens; t++)
		odd[t] = _mm512_setzero_ps();
	for (c = 0; c < w->n_cols; c++) {
		column = load_column(type, tile, c);
		for (t = 0; t < n_tokens; t++) {
			product = _mm512_set1_ps(x[t * stride + c]);
			product = _mm512_mul_ps(column, product);
			if (c % 2)
				odd[t] = _mm512_add_ps(odd[t], product);
			else
				acc[t] = _mm512_add_ps(acc[t], product);
		}
	}
	for (t = 0; t < n_tokens; t++)
		acc[t] = _mm512_add_ps(acc[t], odd[t]);
}

static __always_inline void store_tile(const struct llx_matrix *w, u32 tile,
				       const __m512 *acc, u32 n_tokens,
				       llx_f32 *y, size_t y_stride)
{
	u32 row = tile * LLX_TILE_ROWS;
	u32 n = min(w->n_rows - row, LLX_TILE_ROWS);
	__mmask16 mask = (__mmask16)((1u << n) - 1);
	u32 t;

	for (t = 0; t < n_tokens; t++, y += y_stride)
		_mm512_mask_storeu_ps(y + row, mask, acc[t]);
}

/*
 * The functions of the table: TOKENS tokens at a time, then one by one. The
 * same code for both, so a batch gives the bits of single tokens.
 */
#define DEFINE_PASS(name, tile_fn, type, input, n_tokens)                     \
	static noinline void name(                                            \
		const struct llx_matrix *w, u32 tile, u32 token,              \
		const struct llx_activations *x, llx_f32 *y, size_t y_stride) \
	{                                                                     \
		__m512 acc[n_tokens];                                         \
		u32 t;                                                        \
									      \
		for (t = 0; t < (n_tokens); t++)                              \
			acc[t] = _mm512_setzero_ps();                         \
		tile_fn(w, w->tiles + tile * w->tile_bytes,                   \
			(const void *)(x->input + token * x->input##_stride), \
			x->input##_stride, n_tokens, type, acc);              \
		store_tile(w, tile, acc, n_tokens, y + token * y_stride,      \
			   y_stride);                                         \
	}

#define DEFINE_MATMUL(name, tile_fn, type, input)                             \
	DEFINE_PASS(name##_many, tile_fn, type, input, TOKENS)                \
	DEFINE_PASS(name##_one, tile_fn, type, input, 1)                      \
	static LLX_DECLARE_MATMUL(name)                                       \
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

DEFINE_MATMUL(matmul_f32, tile_float, LLX_TYPE_F32, f32)
DEFINE_MATMUL(matmul_f16, tile_float, LLX_TYPE_F16, f32)
DEFINE_MATMUL(matmul_bf16, tile_float, LLX_TYPE_BF16, f32)
DEFINE_MATMUL(matmul_q8_0, tile_simple, LLX_TYPE_Q8_0, q8)
DEFINE_MATMUL(matmul_q4_0, tile_simple, LLX_TYPE_Q4_0, q8)
DEFINE_MATMUL(matmul_q4_k, tile_min, LLX_TYPE_Q4_K, q8)
DEFINE_MATMUL(matmul_q5_k, tile_min, LLX_TYPE_Q5_K, q8)
DEFINE_MATMUL(matmul_q6_k, tile_q6, LLX_TYPE_Q6_K, q8)

const struct llx_kernels llx_kernels_avx512vnni = {
	.name = "avx512vnni",
	.needs = LLX_CPU_AVX2 | LLX_CPU_AVX512 | LLX_CPU_AVX512_VNNI,
	.matmul = {
		[LLX_TYPE_F32] = matmul_f32,
		[LLX_TYPE_F16] = matmul_f16,
		[LLX_TYPE_BF16] = matmul_bf16,
		[LLX_TYPE_Q8_0] = matmul_q8_0,
		[LLX_TYPE_Q4_0] = matmul_q4_0,
		[LLX_TYPE_Q4_1] = llx_avx2_matmul_q4_1,
		[LLX_TYPE_Q5_0] = llx_avx2_matmul_q5_0,
		[LLX_TYPE_Q5_1] = llx_avx2_matmul_q5_1,
		[LLX_TYPE_Q2_K] = llx_avx2_matmul_q2_k,
		[LLX_TYPE_Q3_K] = llx_avx2_matmul_q3_k,
		[LLX_TYPE_Q4_K] = matmul_q4_k,
		[LLX_TYPE_Q5_K] = matmul_q5_k,
		[LLX_TYPE_Q6_K] = matmul_q6_k,
	},
	.quantize_row = llx_avx2_quantize_row,
	.dequantize_row = llx_dequantize_row,
	.sum_squares = llx_avx2_sum_squares,
	.scale_rows = llx_avx2_scale_rows,
	.dot_f16 = llx_avx2_dot_f16,
	.axpy_f16 = llx_avx2_axpy_f16,
	.add = llx_avx2_add,
	.scale = llx_avx2_scale,
	.swiglu = llx_avx2_swiglu,
	.exp_sum = llx_avx2_exp_sum,
	.largest = llx_avx2_largest,
	.to_f16 = llx_avx2_to_f16,
	.from_f16 = llx_avx2_from_f16,
};
