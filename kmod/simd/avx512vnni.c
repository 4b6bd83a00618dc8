// SPDX-License-Identifier: GPL-2.0-only
/*
 * Matrix products with AVX-512 VNNI, and the table. A tile's 16 rows are the 16
 * lanes of a vector; vpdpbusd multiplies 4 columns of each row at once, with
 * the 4 activations broadcast from memory. Its weights are unsigned: what they
 * are off by goes back through the sums of the activations.
 *
 * Weights are unpacked once for up to TOKENS tokens. Rounding follows
 * generic.c. Work on rows is that of avx2.c, and so are the products of the
 * formats that few files use (avx2_matmul_rare.c): all tables give the same
 * bits, and a CPU with AVX-512 has AVX2.
 *
 * On Zen 4 vpdpbusd shares its ports with every other multiplication, integer
 * or float, so those decide: 8 of them and 4 others for 32 columns and a token.
 * Broadcasts from memory are free next to them.
 */
#include "avx2.h"
#include "tables.h"
#include "f32.h"
#include "tile.h"

#define _MM_MALLOC_H_INCLUDED 1 /* there is no malloc */
#include <immintrin.h>

#define TOKENS 8u
/* Of 0, 1024 and 3072 the best in bench_server's prefill, Zen 4 */
#define PREFETCH_BYTES 3072u

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

/* Bits @from of each byte moved to bit 4, under @mask */
static __always_inline __m512i bits_to_4(__m512i bits, const u32 from,
					 const char mask)
{
	bits = from < 4 ? _mm512_slli_epi16(bits, 4 - from) :
			  _mm512_srli_epi16(bits, from - 4);
	return bits & _mm512_set1_epi8(mask);
}

/* 32 columns of 16 rows: w[v] has columns 4v..4v+3, unsigned */
static __always_inline void unpack(const u8 *q, const u32 type, __m512i *w)
{
	const u32 lead = step_of(type) - 4 * VECTOR;
	u32 v;

#pragma GCC unroll 4
	for (v = 0; v < 4; v++) {
		nibbles(q + lead, v, &w[v], &w[v + 4]);
		if (type == LLX_TYPE_Q5_K) {
			w[v] |= bits_to_4(load(q), v, 0x10);
			w[v + 4] |= bits_to_4(load(q), v + 4, 0x10);
		} else if (type == LLX_TYPE_Q6_K) {
			w[v] |= bits_to_4(load(q), 2 * v, 0x30);
			w[v + 4] |= bits_to_4(load(q + VECTOR), 2 * v, 0x30);
		}
	}
}

/*
 * What multiplies 32 columns of 16 rows.
 * @scale: of columns 0..15 and 16..31; only scale[0] where they share one
 * @offset: what multiplies bsum[0] and bsum[1], pairs of 16 bits. Q4_K, Q5_K:
 *	the minimum; Q6_K: what its values are off by times the scales
 */
struct factors {
	__m512i scale[2];
	__m512i offset;
};

/* Those of columns 32j..32j+31 of a super-block */
static __always_inline void load_factors(const u8 *block, const u32 type,
					 u32 j, struct factors *f)
{
	const __m512i byte = _mm512_set1_epi32(0xff);
	const u8 *sc = block + VECTOR;
	__m512i x;

	if (type == LLX_TYPE_Q6_K) {
		x = _mm512_srli_epi32(load(sc + j / 2 * VECTOR), 16 * (j % 2));
		f->scale[1] = _mm512_srai_epi32(_mm512_slli_epi32(x, 16), 24);
		f->scale[0] = _mm512_srai_epi32(_mm512_slli_epi32(x, 24), 24);
		f->offset = _mm512_mask_blend_epi16(
			0xaaaaaaaa, f->scale[0],
			_mm512_slli_epi32(f->scale[1], 16));
		f->offset = _mm512_slli_epi16(f->offset, 5);
		return;
	}
	sc += j / 4 * VECTOR;
	f->scale[0] = _mm512_srli_epi32(load(sc), 8 * (j % 4)) & byte;
	x = _mm512_srli_epi32(load(sc + 2 * VECTOR), 8 * (j % 4)) & byte;
	f->offset = x | _mm512_slli_epi32(x, 16);
}

/* The sum of columns 4v..4v+3, v from @begin up to @end */
static __always_inline __m512i dot(const __m512i *w,
				   const struct llx_act_block *x,
				   const u32 begin, const u32 end)
{
	__m512i sum = _mm512_setzero_si512();
	u32 v;

#pragma GCC unroll 8
	for (v = begin; v < end; v++)
		sum = dot_4(sum, w[v], x, v);
	return sum;
}

/* to + (float)sum * factor */
static __always_inline __m512 add_scaled(__m512 to, __m512i sum, __m512 factor)
{
	return _mm512_add_ps(to, _mm512_mul_ps(_mm512_cvtepi32_ps(sum),
					       factor));
}

/*
 * Adds 32 columns of one token: to s values times scales, to m minimums times
 * sums of activations. Q6_K needs no m: its offset is an integer.
 */
static __always_inline void add_columns(const __m512i *w, const u32 type,
					const struct factors *f,
					const struct llx_act_block *x,
					__m512 *s, __m512 *m)
{
	__m512i offset;
	__m512i sum;
	s32 bsum;

	__builtin_memcpy(&bsum, x->bsum, sizeof(bsum));
	offset = _mm512_madd_epi16(f->offset, _mm512_set1_epi32(bsum));
	if (type == LLX_TYPE_Q6_K) {
		sum = _mm512_mullo_epi32(dot(w, x, 0, 4), f->scale[0]);
		sum = _mm512_add_epi32(sum, _mm512_mullo_epi32(dot(w, x, 4, 8),
							       f->scale[1]));
		sum = _mm512_sub_epi32(sum, offset);
	} else {
		sum = _mm512_mullo_epi32(dot(w, x, 0, 8), f->scale[0]);
		*m = add_scaled(*m, offset, act_scale(x));
	}
	*s = add_scaled(*s, sum, act_scale(x));
}

/* acc[t] += d * s[t] - dmin * m[t], or d * s[t], of 256 columns */
static __always_inline void super_block(const u8 *block, const u32 type,
					const struct llx_act_block *x,
					size_t stride, const u32 n_tokens,
					__m512 *acc)
{
	const u8 *q = block + HEAD;
	__m512 s[TOKENS];
	__m512 m[TOKENS];
	struct factors f;
	__m512i w[8];
	__m512 scaled;
	u32 j;
	u32 t;

	for (t = 0; t < n_tokens; t++) {
		s[t] = _mm512_setzero_ps();
		m[t] = _mm512_setzero_ps();
	}
#pragma GCC unroll 1
	for (j = 0; j < 8; j++, q += step_of(type), x++) {
		load_factors(block, type, j, &f);
		/*
		 * One token leaves no time for it: there the hardware does
		 * better alone (Zen 4: twice as fast).
		 */
		if (n_tokens > 1)
			prefetch(q + PREFETCH_BYTES, type);
		unpack(q, type, w);
#pragma GCC unroll 8
		for (t = 0; t < n_tokens; t++)
			add_columns(w, type, &f, x + t * stride, &s[t], &m[t]);
	}
	for (t = 0; t < n_tokens; t++) {
		scaled = _mm512_mul_ps(load_f16(block), s[t]);
		if (type != LLX_TYPE_Q6_K)
			scaled = _mm512_sub_ps(
				scaled,
				_mm512_mul_ps(load_f16(block + 32), m[t]));
		acc[t] = _mm512_add_ps(acc[t], scaled);
	}
}

static __always_inline void tile_k(const struct llx_matrix *w, const u8 *tile,
				   const struct llx_act_block *x,
				   size_t stride, const u32 n_tokens,
				   const u32 type, __m512 *acc)
{
	u32 b;

	for (b = 0; b < w->n_cols / LLX_QK_K; b++, x += 8) {
		super_block(tile, type, x, stride, n_tokens, acc);
		tile += HEAD + 8 * step_of(type);
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

DEFINE_BATCHES(static, matmul_f32, tile_float, LLX_TYPE_F32, f32)
DEFINE_BATCHES(static, matmul_f16, tile_float, LLX_TYPE_F16, f32)
DEFINE_BATCHES(static, matmul_bf16, tile_float, LLX_TYPE_BF16, f32)
DEFINE_BATCHES(static, matmul_q8_0, tile_simple, LLX_TYPE_Q8_0, q8)
DEFINE_BATCHES(static, matmul_q4_0, tile_simple, LLX_TYPE_Q4_0, q8)
DEFINE_BATCHES(static, matmul_q4_k, tile_k, LLX_TYPE_Q4_K, q8)
DEFINE_BATCHES(static, matmul_q5_k, tile_k, LLX_TYPE_Q5_K, q8)
DEFINE_BATCHES(static, matmul_q6_k, tile_k, LLX_TYPE_Q6_K, q8)

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
	.dot_rows = llx_avx2_dot_rows,
	.axpy_rows = llx_avx2_axpy_rows,
	.add = llx_avx2_add,
	.scale = llx_avx2_scale,
	.swiglu = llx_avx2_swiglu,
	.exp_sum = llx_avx2_exp_sum,
	.largest = llx_avx2_largest,
	.to_f16 = llx_avx2_to_f16,
	.from_f16 = llx_avx2_from_f16,
	.q8_0_to_f16 = llx_avx2_q8_0_to_f16,
};
