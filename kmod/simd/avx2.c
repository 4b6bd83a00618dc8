// SPDX-License-Identifier: GPL-2.0-only
/*
 * Work on rows with AVX2, and the table. Two vectors of 8 lanes are the 16
 * partial sums of generic.c, whose rounding is followed step by step; a tail
 * of fewer than 16 values goes through a padded copy.
 */
#include "avx2.h"
#include "tables.h"
#include "f32.h"

#define _MM_MALLOC_H_INCLUDED 1 /* there is no malloc */
#include <immintrin.h>

/* 16 lanes */
struct lanes {
	__m256 low;
	__m256 high;
};

static __always_inline struct lanes load(const llx_f32 *x)
{
	const float *p = f32_array(x);

	return (struct lanes){ _mm256_loadu_ps(p), _mm256_loadu_ps(p + 8) };
}

static __always_inline void store(llx_f32 *x, struct lanes v)
{
	float *p = f32_array_mut(x);

	_mm256_storeu_ps(p, v.low);
	_mm256_storeu_ps(p + 8, v.high);
}

static __always_inline struct lanes load_f16(const u16 *x)
{
	const __m128i *p = (const __m128i *)x;

	return (struct lanes){ _mm256_cvtph_ps(_mm_loadu_si128(p)),
			       _mm256_cvtph_ps(_mm_loadu_si128(p + 1)) };
}

static __always_inline void store_f16(u16 *x, struct lanes v)
{
	__m128i *p = (__m128i *)x;

	_mm_storeu_si128(p, _mm256_cvtps_ph(v.low, _MM_FROUND_TO_NEAREST_INT));
	_mm_storeu_si128(p + 1,
			 _mm256_cvtps_ph(v.high, _MM_FROUND_TO_NEAREST_INT));
}

static __always_inline struct lanes all(float x)
{
	return (struct lanes){ _mm256_set1_ps(x), _mm256_set1_ps(x) };
}

static __always_inline struct lanes plus(struct lanes a, struct lanes b)
{
	return (struct lanes){ _mm256_add_ps(a.low, b.low),
			       _mm256_add_ps(a.high, b.high) };
}

static __always_inline struct lanes times(struct lanes a, struct lanes b)
{
	return (struct lanes){ _mm256_mul_ps(a.low, b.low),
			       _mm256_mul_ps(a.high, b.high) };
}

/* x > so_far ? x : so_far in each lane, also for NaN and zeros */
static __always_inline struct lanes larger(struct lanes x, struct lanes so_far)
{
	return (struct lanes){ _mm256_max_ps(x.low, so_far.low),
			       _mm256_max_ps(x.high, so_far.high) };
}

static __always_inline llx_f32 reduce_sum(struct lanes p)
{
	__m256 eight = _mm256_add_ps(p.low, p.high);
	__m128 four = _mm_add_ps(_mm256_castps256_ps128(eight),
				 _mm256_extractf128_ps(eight, 1));
	__m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
	__m128 one = _mm_add_ss(two, _mm_shuffle_ps(two, two, 1));

	return f32_put(_mm_cvtss_f32(one));
}

static __always_inline llx_f32 reduce_largest(struct lanes p)
{
	__m256 eight = _mm256_max_ps(p.high, p.low);
	__m128 four = _mm_max_ps(_mm256_extractf128_ps(eight, 1),
				 _mm256_castps256_ps128(eight));
	__m128 two = _mm_max_ps(_mm_movehl_ps(four, four), four);
	__m128 one = _mm_max_ss(_mm_shuffle_ps(two, two, 1), two);

	return f32_put(_mm_cvtss_f32(one));
}

/* A copy of the last @n < 16 values, the rest @pad */
struct tail {
	llx_f32 x[LLX_LANES];
};

/*
 * Two loops on purpose: of one with a condition the compiler makes a masked
 * load across the end of the row, which faults under QEMU 7.2 although the
 * lanes there are masked off.
 */
static __always_inline struct tail *tail_copy(struct tail *tail,
					      const llx_f32 *x, u32 n, u32 pad)
{
	u32 i;

	for (i = 0; i < LLX_LANES; i++)
		tail->x[i].bits = pad;
	for (i = 0; i < n; i++)
		tail->x[i] = x[i];
	return tail;
}

static __always_inline void tail_store(llx_f32 *x, u32 n, struct lanes v)
{
	struct tail tail;
	u32 i;

	store(tail.x, v);
	for (i = 0; i < n; i++)
		x[i] = tail.x[i];
}

static __always_inline struct lanes load_tail(const llx_f32 *x, u32 n, u32 pad)
{
	struct tail tail;

	return load(tail_copy(&tail, x, n, pad)->x);
}

static __always_inline struct lanes load_f16_tail(const u16 *x, u32 n)
{
	u16 tail[LLX_LANES];
	u32 i;

	memset(tail, 0, sizeof(tail));
	for (i = 0; i < n; i++)
		tail[i] = x[i];
	return load_f16(tail);
}

static __always_inline __m256 exp8(__m256 x)
{
	const __m256 magic = _mm256_set1_ps(F32_ROUND_MAGIC);
	__m256 v = _mm256_max_ps(x, _mm256_set1_ps(F32_EXP_MIN));
	__m256 shifted;
	__m256 n_float;
	__m256 r;
	__m256 p;
	__m256i n;
	__m256i half;

	v = _mm256_min_ps(v, _mm256_set1_ps(F32_EXP_MAX));
	shifted = _mm256_mul_ps(v, _mm256_set1_ps(F32_LOG2_E));
	shifted = _mm256_add_ps(shifted, magic);
	n = _mm256_sub_epi32(_mm256_castps_si256(shifted),
			     _mm256_set1_epi32(F32_ROUND_MAGIC_BITS));
	n_float = _mm256_sub_ps(shifted, magic);
	r = _mm256_mul_ps(n_float, _mm256_set1_ps(F32_LN2_HIGH));
	r = _mm256_sub_ps(v, r);
	r = _mm256_sub_ps(r, _mm256_mul_ps(n_float,
					   _mm256_set1_ps(F32_LN2_LOW)));
	p = _mm256_set1_ps(F32_EXP_C0);
	p = _mm256_add_ps(_mm256_mul_ps(p, r), _mm256_set1_ps(F32_EXP_C1));
	p = _mm256_add_ps(_mm256_mul_ps(p, r), _mm256_set1_ps(F32_EXP_C2));
	p = _mm256_add_ps(_mm256_mul_ps(p, r), _mm256_set1_ps(F32_EXP_C3));
	p = _mm256_add_ps(_mm256_mul_ps(p, r), _mm256_set1_ps(F32_EXP_C4));
	p = _mm256_add_ps(_mm256_mul_ps(p, r), _mm256_set1_ps(F32_EXP_C5));
	p = _mm256_add_ps(_mm256_mul_ps(p, _mm256_mul_ps(r, r)), r);
	p = _mm256_add_ps(p, _mm256_set1_ps(1.0f));
	half = _mm256_srai_epi32(n, 1);
	n = _mm256_sub_epi32(n, half);
	half = _mm256_add_epi32(half, _mm256_set1_epi32(127));
	n = _mm256_add_epi32(n, _mm256_set1_epi32(127));
	p = _mm256_mul_ps(p, _mm256_castsi256_ps(_mm256_slli_epi32(half, 23)));
	p = _mm256_mul_ps(p, _mm256_castsi256_ps(_mm256_slli_epi32(n, 23)));
	return _mm256_blendv_ps(p, x, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
}

static __always_inline struct lanes exp16(struct lanes x)
{
	return (struct lanes){ exp8(x.low), exp8(x.high) };
}

/* The largest magnitude of 32 values as bits; a NaN is above infinity. */
static __always_inline u32 largest_bits(const float *x)
{
	const __m256i mask = _mm256_set1_epi32(0x7fffffff);
	__m256i most = _mm256_setzero_si256();
	u32 lane[8];
	u32 i;

	for (i = 0; i < LLX_ACT_BLOCK; i += 8)
		most = _mm256_max_epi32(
			most, mask & _mm256_loadu_si256((const void *)(x + i)));
	_mm256_storeu_si256((void *)lane, most);
	for (i = 1; i < 8; i++)
		lane[0] = max(lane[0], lane[i]);
	return lane[0];
}

static __always_inline __m256i round8(const float *x, __m256 inverse)
{
	__m256 v = _mm256_mul_ps(_mm256_loadu_ps(x), inverse);

	v = _mm256_add_ps(v, _mm256_set1_ps(F32_ROUND_MAGIC));
	return _mm256_sub_epi32(_mm256_castps_si256(v),
				_mm256_set1_epi32(F32_ROUND_MAGIC_BITS));
}

static __always_inline s16 sum16(__m256i a, __m256i b)
{
	s32 lane[8];

	_mm256_storeu_si256((void *)lane, _mm256_add_epi32(a, b));
	return lane[0] + lane[1] + lane[2] + lane[3] + lane[4] + lane[5] +
	       lane[6] + lane[7];
}

static __always_inline void quantize_block(const float *x,
					   struct llx_act_block *out)
{
	const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
	u32 bits = largest_bits(x);
	float most = f32_from_bits(bits);
	__m256 inverse;
	__m256i q0;
	__m256i q1;
	__m256i q2;
	__m256i q3;

	if (bits >= 0x7f800000 || most < F32_QUANTIZE_TINY) {
		memset(out, 0, sizeof(*out));
		out->d.bits = bits >= 0x7f800000 ? 0x7fc00000 : 0;
		return;
	}
	out->d = f32_put(most / 127.0f);
	inverse = _mm256_set1_ps(127.0f / most);
	q0 = round8(x, inverse);
	q1 = round8(x + 8, inverse);
	q2 = round8(x + 16, inverse);
	q3 = round8(x + 24, inverse);
	out->bsum[0] = sum16(q0, q1);
	out->bsum[1] = sum16(q2, q3);
	q0 = _mm256_packs_epi32(q0, q1);
	q2 = _mm256_packs_epi32(q2, q3);
	q0 = _mm256_packs_epi16(q0, q2);
	_mm256_storeu_si256((void *)out->q,
			    _mm256_permutevar8x32_epi32(q0, order));
}

void llx_avx2_quantize_row(const llx_f32 *x, u32 n, struct llx_act_block *out)
{
	u32 i;

	for (i = 0; i < n; i += LLX_ACT_BLOCK)
		quantize_block(f32_array(x + i), out++);
}

llx_f32 llx_avx2_sum_squares(const llx_f32 *x, u32 n)
{
	struct lanes p = all(0.0f);
	struct lanes v;

	for (; n >= LLX_LANES; n -= LLX_LANES, x += LLX_LANES) {
		v = load(x);
		p = plus(p, times(v, v));
	}
	if (n) {
		v = load_tail(x, n, 0);
		p = plus(p, times(v, v));
	}
	return reduce_sum(p);
}

void llx_avx2_scale_rows(const llx_f32 *x, llx_f32 scale,
			 const llx_f32 *weight, u32 n, llx_f32 *out)
{
	struct lanes s = all(f32_get(scale));
	u32 i;

	for (i = 0; i + LLX_LANES <= n; i += LLX_LANES)
		store(out + i, times(times(load(x + i), s), load(weight + i)));
	if (i < n)
		tail_store(out + i, n - i,
			   times(times(load_tail(x + i, n - i, 0), s),
				 load_tail(weight + i, n - i, 0)));
}

/* Rows that share each load of x, or of y. */
#define DOT_ROWS 4u
#define AXPY_LANES 4u

/* reduce_sum() of each of four, in the same order */
static __always_inline __m128 reduce_sum_4(const struct lanes *p)
{
	__m128 four[4];
	__m128 two[2];
	u32 r;

	for (r = 0; r < 4; r++) {
		__m256 eight = _mm256_add_ps(p[r].low, p[r].high);

		four[r] = _mm_add_ps(_mm256_castps256_ps128(eight),
				     _mm256_extractf128_ps(eight, 1));
	}
	for (r = 0; r < 2; r++)
		two[r] = _mm_add_ps(
			_mm_movelh_ps(four[2 * r], four[2 * r + 1]),
			_mm_movehl_ps(four[2 * r + 1], four[2 * r]));
	return _mm_add_ps(_mm_shuffle_ps(two[0], two[1], 0x88),
			  _mm_shuffle_ps(two[0], two[1], 0xdd));
}

/* p[r] = products of x and row r, column i in lane i % 16 (@n_rows constant) */
static __always_inline void products(const llx_f32 *x, const u16 *rows,
				     size_t stride, const u32 n_rows, u32 n,
				     struct lanes *p)
{
	struct lanes v;
	u32 i;
	u32 r;

	for (r = 0; r < n_rows; r++)
		p[r] = all(0.0f);
	for (i = 0; i + LLX_LANES <= n; i += LLX_LANES) {
		v = load(x + i);
		for (r = 0; r < n_rows; r++)
			p[r] = plus(p[r],
				    times(v, load_f16(rows + r * stride + i)));
	}
	if (i == n)
		return;
	v = load_tail(x + i, n - i, 0);
	for (r = 0; r < n_rows; r++)
		p[r] = plus(p[r], times(v, load_f16_tail(rows + r * stride + i,
							 n - i)));
}

void llx_avx2_dot_rows(const llx_f32 *x, const u16 *rows, size_t stride,
		       u32 n_rows, u32 n, llx_f32 *out)
{
	struct lanes p[DOT_ROWS];
	u32 r;

	for (r = 0; r + DOT_ROWS <= n_rows; r += DOT_ROWS) {
		products(x, rows + r * stride, stride, DOT_ROWS, n, p);
		_mm_storeu_ps(f32_array_mut(out + r), reduce_sum_4(p));
	}
	for (; r < n_rows; r++) {
		products(x, rows + r * stride, stride, 1, n, p);
		out[r] = reduce_sum(p[0]);
	}
}

/* Adds the columns of @n_lanes (constant) times 16 columns to y. */
static __always_inline void axpy_lanes(const llx_f32 *a, const u16 *rows,
				       size_t stride, u32 n_rows,
				       const u32 n_lanes, llx_f32 *y)
{
	struct lanes sum[AXPY_LANES];
	struct lanes factor;
	u32 l;
	u32 r;

	for (l = 0; l < n_lanes; l++)
		sum[l] = load(y + l * LLX_LANES);
	for (r = 0; r < n_rows; r++, rows += stride) {
		factor = all(f32_get(a[r]));
		for (l = 0; l < n_lanes; l++)
			sum[l] = plus(sum[l],
				      times(factor,
					    load_f16(rows + l * LLX_LANES)));
	}
	for (l = 0; l < n_lanes; l++)
		store(y + l * LLX_LANES, sum[l]);
}

void llx_avx2_axpy_rows(const llx_f32 *a, const u16 *rows, size_t stride,
			u32 n_rows, u32 n, llx_f32 *y)
{
	const u32 most = AXPY_LANES * LLX_LANES;
	struct lanes sum;
	u32 i;
	u32 r;

	for (i = 0; i + most <= n; i += most)
		axpy_lanes(a, rows + i, stride, n_rows, AXPY_LANES, y + i);
	for (; i + LLX_LANES <= n; i += LLX_LANES)
		axpy_lanes(a, rows + i, stride, n_rows, 1, y + i);
	if (i == n)
		return;
	sum = load_tail(y + i, n - i, 0);
	for (r = 0; r < n_rows; r++)
		sum = plus(sum, times(all(f32_get(a[r])),
				      load_f16_tail(rows + r * stride + i,
						    n - i)));
	tail_store(y + i, n - i, sum);
}

void llx_avx2_add(const llx_f32 *x, u32 n, llx_f32 *y)
{
	u32 i;

	for (i = 0; i + LLX_LANES <= n; i += LLX_LANES)
		store(y + i, plus(load(y + i), load(x + i)));
	if (i < n)
		tail_store(y + i, n - i,
			   plus(load_tail(y + i, n - i, 0),
				load_tail(x + i, n - i, 0)));
}

void llx_avx2_scale(llx_f32 a, u32 n, llx_f32 *y)
{
	struct lanes factor = all(f32_get(a));
	u32 i;

	for (i = 0; i + LLX_LANES <= n; i += LLX_LANES)
		store(y + i, times(load(y + i), factor));
	if (i < n)
		tail_store(y + i, n - i,
			   times(load_tail(y + i, n - i, 0), factor));
}

static __always_inline __m256 swiglu8(__m256 g, __m256 up)
{
	__m256 minus = _mm256_xor_ps(g, _mm256_set1_ps(-0.0f));
	__m256 below = _mm256_add_ps(_mm256_set1_ps(1.0f), exp8(minus));

	return _mm256_mul_ps(_mm256_div_ps(g, below), up);
}

void llx_avx2_swiglu(llx_f32 *gate, const llx_f32 *up, u32 n)
{
	struct lanes g;
	struct lanes u;
	u32 i;

	for (i = 0; i < n; i += LLX_LANES) {
		if (n - i < LLX_LANES) {
			g = load_tail(gate + i, n - i, 0);
			u = load_tail(up + i, n - i, 0);
		} else {
			g = load(gate + i);
			u = load(up + i);
		}
		g.low = swiglu8(g.low, u.low);
		g.high = swiglu8(g.high, u.high);
		if (n - i < LLX_LANES) {
			tail_store(gate + i, n - i, g);
			return;
		}
		store(gate + i, g);
	}
}

llx_f32 llx_avx2_exp_sum(llx_f32 *x, u32 n, llx_f32 shift)
{
	struct lanes minus = all(-f32_get(shift));
	struct lanes p = all(0.0f);
	struct lanes e;

	for (; n >= LLX_LANES; n -= LLX_LANES, x += LLX_LANES) {
		e = exp16(plus(load(x), minus));
		store(x, e);
		p = plus(p, e);
	}
	if (n) {
		tail_store(x, n, exp16(plus(load_tail(x, n, 0), minus)));
		p = plus(p, load_tail(x, n, 0));
	}
	return reduce_sum(p);
}

llx_f32 llx_avx2_largest(const llx_f32 *x, u32 n)
{
	const u32 negative_infinity = 0xff800000;
	struct lanes p = all(f32_from_bits(negative_infinity));

	for (; n >= LLX_LANES; n -= LLX_LANES, x += LLX_LANES)
		p = larger(load(x), p);
	if (n)
		p = larger(load_tail(x, n, negative_infinity), p);
	return reduce_largest(p);
}

void llx_avx2_to_f16(const llx_f32 *x, u32 n, u16 *out)
{
	u16 tail[LLX_LANES];
	u32 i;

	for (; n >= LLX_LANES; n -= LLX_LANES, x += LLX_LANES) {
		store_f16(out, load(x));
		out += LLX_LANES;
	}
	if (n) {
		store_f16(tail, load_tail(x, n, 0));
		for (i = 0; i < n; i++)
			out[i] = tail[i];
	}
}

void llx_avx2_from_f16(const u16 *x, u32 n, llx_f32 *out)
{
	u32 i;

	for (i = 0; i + LLX_LANES <= n; i += LLX_LANES)
		store(out + i, load_f16(x + i));
	if (i < n)
		tail_store(out + i, n - i, load_f16_tail(x + i, n - i));
}

static __always_inline struct lanes load_s8(const s8 *x)
{
	const __m128i *p = (const __m128i *)x;
	__m256i low = _mm256_cvtepi8_epi32(_mm_loadl_epi64(p));
	__m256i high = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)(x + 8)));

	return (struct lanes){ _mm256_cvtepi32_ps(low),
			       _mm256_cvtepi32_ps(high) };
}

void llx_avx2_q8_0_to_f16(const struct llx_block_q8_0 *blocks, u32 n_blocks,
			  u16 *out)
{
	struct lanes d;
	u32 b;

	for (b = 0; b < n_blocks; b++, blocks++, out += LLX_QK) {
		d = all(f32_from_f16(blocks->d));
		store_f16(out, times(d, load_s8(blocks->qs)));
		store_f16(out + LLX_LANES,
			  times(d, load_s8(blocks->qs + LLX_LANES)));
	}
}

const struct llx_kernels llx_kernels_avx2 = {
	.name = "avx2",
	.needs = LLX_CPU_AVX2,
	LLX_AVX2_SHARED,
	.matmul[LLX_TYPE_Q4_K] = llx_avx2_maddubs_q4_k,
	.matmul[LLX_TYPE_Q5_K] = llx_avx2_maddubs_q5_k,
	.matmul[LLX_TYPE_Q6_K] = llx_avx2_maddubs_q6_k,
};

const struct llx_kernels llx_kernels_avx2tcg = {
	.name = "avx2tcg",
	.needs = LLX_CPU_AVX2 | LLX_CPU_TCG,
	LLX_AVX2_SHARED,
	.matmul[LLX_TYPE_Q4_K] = llx_avx2_matmul_q4_k,
	.matmul[LLX_TYPE_Q5_K] = llx_avx2_matmul_q5_k,
	.matmul[LLX_TYPE_Q6_K] = llx_avx2_matmul_q6_k,
};
