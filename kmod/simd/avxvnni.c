// SPDX-License-Identifier: GPL-2.0-only
/*
 * The table for CPUs with AVX-VNNI but no AVX-512 (Intel's since Alder Lake):
 * AVX2's but for the K formats, where vpdpbusd multiplies 4 columns of 8 rows
 * and adds them to 32 bits in one step.
 *
 * With AVX-512VL and VNNI the compiler writes the same instruction in its other
 * encoding; tests/simd runs that one on CPUs that have only it.
 */
#include "avx2_k.h"
#include "tables.h"

#ifdef __AVX512VNNI__
#define dpbusd _mm256_dpbusd_epi32
#else
#define dpbusd _mm256_dpbusd_avx_epi32
#endif

/* The low one of each pair of 16 bits, widened */
static __always_inline __m256i widen_low(__m256i pairs)
{
	return _mm256_srai_epi32(_mm256_slli_epi32(pairs, 16), 16);
}

static __always_inline void dot(const struct columns *c, const u32 type,
				const struct factors *f,
				const struct llx_act_block *x, size_t stride,
				const u32 n_tokens, __m256i sum[][HALVES])
{
	/* As many vectors share a scale. */
	const u32 run = type == LLX_TYPE_Q6_K ? 4 : 8;
	__m256i acc[GROUP][HALVES];
	__m256i scale[2][HALVES];
	__m256i product;
	__m256i four;
	u32 v;
	u32 t;
	u32 h;

	for (v = 0; v < 8 / run; v++)
		for (h = 0; h < HALVES; h++)
			scale[v][h] = widen_low(f->scale[v][h]);
#pragma GCC unroll 8
	for (v = 0; v < 8; v++) {
#pragma GCC unroll 4
		for (t = 0; t < n_tokens; t++) {
			four = broadcast(x[t * stride].q + 4 * v);
#pragma GCC unroll 2
			for (h = 0; h < HALVES; h++) {
				if (v % run == 0)
					acc[t][h] = _mm256_setzero_si256();
				acc[t][h] = dpbusd(acc[t][h], c->w[v][h], four);
				if (v % run != run - 1)
					continue;
				product = _mm256_mullo_epi32(acc[t][h],
							     scale[v / run][h]);
				sum[t][h] = v < run ? product :
						      _mm256_add_epi32(
							      sum[t][h],
							      product);
			}
		}
	}
}

DEFINE_MATMUL(static, matmul_q4_k, LLX_TYPE_Q4_K)
DEFINE_MATMUL(static, matmul_q5_k, LLX_TYPE_Q5_K)
DEFINE_MATMUL(static, matmul_q6_k, LLX_TYPE_Q6_K)

const struct llx_kernels llx_kernels_avxvnni = {
	.name = "avxvnni",
	.needs = LLX_CPU_AVX2 | LLX_CPU_AVX_VNNI,
	LLX_AVX2_SHARED,
	.matmul[LLX_TYPE_Q4_K] = matmul_q4_k,
	.matmul[LLX_TYPE_Q5_K] = matmul_q5_k,
	.matmul[LLX_TYPE_Q6_K] = matmul_q6_k,
};
