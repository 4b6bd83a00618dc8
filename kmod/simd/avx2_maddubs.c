// SPDX-License-Identifier: GPL-2.0-only
/*
 * Matrix products of the K formats with AVX2's vpmaddubsw, for real CPUs (under
 * QEMU's TCG that instruction is a slow call: avx2_matmul.c).
 *
 * It adds two columns to 16 bits; as many of its results are added there as
 * fit, then vpmaddwd multiplies by the scale and widens in one step.
 */
#include "avx2_k.h"

/*
 * How many sums of two products fit in 16 bits: 8 of 15 * 127 * 2 = 3810,
 * 4 of 31 * 127 * 2 = 7874, 2 of 63 * 127 * 2 = 16002.
 */
static __always_inline u32 run_of(const u32 type)
{
	return type == LLX_TYPE_Q6_K ? 2 : type == LLX_TYPE_Q5_K ? 4 : 8;
}

/*
 * Sums stay a chain: the compiler makes trees of integer additions, whose
 * leaves do not fit the registers.
 */
static __always_inline __m256i keep(__m256i x)
{
	__asm__("" : "+x"(x));
	return x;
}

static __always_inline void dot(const struct columns *c, const u32 type,
				const struct factors *f,
				const struct llx_act_block *x, size_t stride,
				const u32 n_tokens, __m256i sum[][HALVES])
{
	const u32 run = run_of(type);
	__m256i acc[GROUP][HALVES];
	__m256i product;
	__m256i four;
	u32 v;
	u32 t;
	u32 h;

#pragma GCC unroll 8
	for (v = 0; v < 8; v++) {
#pragma GCC unroll 4
		for (t = 0; t < n_tokens; t++) {
			four = broadcast(x[t * stride].q + 4 * v);
#pragma GCC unroll 2
			for (h = 0; h < HALVES; h++) {
				product = _mm256_maddubs_epi16(c->w[v][h],
							       four);
				if (v % run)
					product = _mm256_add_epi16(acc[t][h],
								   product);
				acc[t][h] = keep(product);
				if (v % run != run - 1)
					continue;
				product = _mm256_madd_epi16(
					product,
					f->scale[type == LLX_TYPE_Q6_K ? v / 4 :
									 0][h]);
				sum[t][h] = v < run ? product :
						      _mm256_add_epi32(
							      sum[t][h],
							      product);
			}
		}
	}
}

DEFINE_MATMUL(, llx_avx2_maddubs_q4_k, LLX_TYPE_Q4_K)
DEFINE_MATMUL(, llx_avx2_maddubs_q5_k, LLX_TYPE_Q5_K)
DEFINE_MATMUL(, llx_avx2_maddubs_q6_k, LLX_TYPE_Q6_K)
