/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Matrix products of the K formats with vectors of 256 bits, all but the dot
 * product itself, which the includer defines. Private to avx2_maddubs.c and
 * avxvnni.c. Integers are exact, and floats round as in generic.c.
 *
 * Weights are unpacked once for up to TOKENS tokens, of which GROUP at a time
 * have their sums in registers: each broadcast of activations serves both
 * halves of the tile, each load of weights GROUP tokens.
 */
#ifndef LLX_SIMD_AVX2_K_H
#define LLX_SIMD_AVX2_K_H

#include "avx2.h"
#include "avx2_k_unpack.h"

#define TOKENS 8u
#define GROUP 4u
/* Of 1024, 2048, 4096 and 8192 the best in bench_server's decode, Zen 3 */
#define PREFETCH_BYTES 1024u

/* sum[t][h] = sum of scale * q * x over 32 columns, q without its offset */
static __always_inline void dot(const struct columns *c, const u32 type,
				const struct factors *f,
				const struct llx_act_block *x, size_t stride,
				const u32 n_tokens, __m256i sum[][HALVES]);

/*
 * Adds 32 columns of @n_tokens (constant, up to GROUP) tokens: to s values
 * times scales, to m minimums times sums of activations. Q6_K needs no m: its
 * offset is an integer.
 */
static __always_inline void add_columns(const struct columns *c,
					const u32 type,
					const struct factors *f,
					const struct llx_act_block *x,
					size_t stride, const u32 n_tokens,
					__m256 s[][HALVES], __m256 m[][HALVES])
{
	__m256i sum[GROUP][HALVES];
	__m256i offset;
	__m256i bsum;
	__m256 d;
	u32 t;
	u32 h;

	dot(c, type, f, x, stride, n_tokens, sum);
#pragma GCC unroll 4
	for (t = 0; t < n_tokens; t++, x += stride) {
		d = act_scale(x);
		bsum = broadcast(x->bsum);
#pragma GCC unroll 2
		for (h = 0; h < HALVES; h++) {
			offset = _mm256_madd_epi16(f->offset[h], bsum);
			if (type == LLX_TYPE_Q6_K)
				sum[t][h] = _mm256_sub_epi32(sum[t][h], offset);
			else
				m[t][h] = add_scaled(m[t][h], offset, d);
			s[t][h] = add_scaled(s[t][h], sum[t][h], d);
		}
	}
}

/* acc += d * s - dmin * m, or d * s */
static __always_inline void finish(const u8 *block, const u32 type,
				   __m256 s[][HALVES], __m256 m[][HALVES],
				   const u32 n_tokens, __m256 acc[][HALVES])
{
	__m256 d;
	__m256 dmin;
	__m256 scaled;
	u32 t;
	u32 h;

	for (h = 0; h < HALVES; h++) {
		d = load_f16(block + 16 * h);
		dmin = load_f16(block + 32 + 16 * h);
		for (t = 0; t < n_tokens; t++) {
			scaled = _mm256_mul_ps(d, s[t][h]);
			if (type != LLX_TYPE_Q6_K)
				scaled = _mm256_sub_ps(
					scaled,
					_mm256_mul_ps(dmin, m[t][h]));
			acc[t][h] = _mm256_add_ps(acc[t][h], scaled);
		}
	}
}

/* 256 columns of one token, or of TOKENS of them (@n_tokens is constant) */
static __always_inline void super_block(const u8 *block, const u32 type,
					const struct llx_act_block *x,
					size_t stride, const u32 n_tokens,
					__m256 acc[][HALVES])
{
	const u32 group = n_tokens < GROUP ? n_tokens : GROUP;
	u32 n = n_tokens;
	const u8 *q = block + HEAD;
	__m256 s[TOKENS][HALVES];
	__m256 m[TOKENS][HALVES];
	struct columns c;
	struct factors f;
	u32 j;
	u32 t;

	for (t = 0; t < n_tokens; t++) {
		s[t][0] = _mm256_setzero_ps();
		s[t][1] = _mm256_setzero_ps();
		m[t][0] = _mm256_setzero_ps();
		m[t][1] = _mm256_setzero_ps();
	}
#pragma GCC unroll 1
	for (j = 0; j < 8; j++, q += step_of(type), x++) {
		load_factors(block, type, j, &f);
		/*
		 * Few tokens do so little with a byte that the memory decides,
		 * and the hardware's own prefetching stops at the end of 4 KB.
		 */
		prefetch(q + PREFETCH_BYTES, type);
		unpack_all(q, type, &c);
		/* Loops, with weights in memory and sums in registers. */
		if (n_tokens > 1)
			__asm__("" : "+r"(n));
		for (t = 0; t < n; t += group) {
			if (n_tokens > 1)
				__asm__("" : "+m"(c), "+m"(f));
			add_columns(&c, type, &f, x + t * stride, stride, group,
				    s + t, m + t);
		}
	}
	finish(block, type, s, m, n_tokens, acc);
}

/*
 * The functions of the table: TOKENS, then GROUP tokens at a time, then one by
 * one. The same code for all, so a batch gives the bits of single tokens. A
 * super-block of many tokens has a frame of its own, to keep both small.
 */
#define DEFINE_PASS(name, type, n_tokens, inlining)                           \
	static inlining void name##_block(                                    \
		const u8 *block, const struct llx_act_block *x,               \
		size_t stride, __m256 acc[][HALVES])                          \
	{                                                                     \
		super_block(block, type, x, stride, n_tokens, acc);           \
	}                                                                     \
									      \
	static noinline void name(                                            \
		const struct llx_matrix *w, u32 tile, u32 token,              \
		const struct llx_activations *a, llx_f32 *y, size_t y_stride) \
	{                                                                     \
		const struct llx_act_block *x = a->q8 + token * a->q8_stride; \
		const u8 *block = w->tiles + tile * w->tile_bytes;            \
		__m256 acc[n_tokens][HALVES];                                 \
		u32 b;                                                        \
		u32 t;                                                        \
									      \
		for (t = 0; t < (n_tokens); t++) {                            \
			acc[t][0] = _mm256_setzero_ps();                      \
			acc[t][1] = _mm256_setzero_ps();                      \
		}                                                             \
		for (b = 0; b < w->n_cols / LLX_QK_K; b++, x += 8) {          \
			name##_block(block, x, a->q8_stride, acc);            \
			block += HEAD + 8 * step_of(type);                    \
		}                                                             \
		store_tile(w, tile, acc, n_tokens, y + token * y_stride,      \
			   y_stride);                                         \
	}

#define DEFINE_MATMUL(linkage, name, type)                                    \
	DEFINE_PASS(name##_many, type, TOKENS, noinline)                      \
	DEFINE_PASS(name##_group, type, GROUP, noinline)                      \
	DEFINE_PASS(name##_one, type, 1, __always_inline)                     \
	linkage LLX_DECLARE_MATMUL(name)                                      \
	{                                                                     \
		u32 i;                                                        \
		u32 t;                                                        \
									      \
		for (i = tile_begin; i < tile_end; i++) {                     \
			for (t = 0; t + TOKENS <= n_tokens; t += TOKENS)      \
				name##_many(w, i, t, x, y, y_stride);         \
			for (; t + GROUP <= n_tokens; t += GROUP)             \
				name##_group(w, i, t, x, y, y_stride);        \
			for (; t < n_tokens; t++)                             \
				name##_one(w, i, t, x, y, y_stride);          \
		}                                                             \
	}

#endif
