/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The AVX2 functions, so that tables can share them. Private to simd/.
 */
#ifndef LLX_SIMD_AVX2_H
#define LLX_SIMD_AVX2_H

#include "kernels.h"

#define LLX_DECLARE_MATMUL(name) \
	void name(const struct llx_matrix *w, u32 tile_begin, u32 tile_end, \
		  const struct llx_activations *x, u32 n_tokens, llx_f32 *y, \
		  size_t y_stride)

/* avx2_matmul.c */
LLX_DECLARE_MATMUL(llx_avx2_matmul_f32);
LLX_DECLARE_MATMUL(llx_avx2_matmul_f16);
LLX_DECLARE_MATMUL(llx_avx2_matmul_bf16);
LLX_DECLARE_MATMUL(llx_avx2_matmul_q8_0);
LLX_DECLARE_MATMUL(llx_avx2_matmul_q4_0);
LLX_DECLARE_MATMUL(llx_avx2_matmul_q4_k);
LLX_DECLARE_MATMUL(llx_avx2_matmul_q5_k);
LLX_DECLARE_MATMUL(llx_avx2_matmul_q6_k);

/* avx2_matmul_rare.c */
LLX_DECLARE_MATMUL(llx_avx2_matmul_q4_1);
LLX_DECLARE_MATMUL(llx_avx2_matmul_q5_0);
LLX_DECLARE_MATMUL(llx_avx2_matmul_q5_1);
LLX_DECLARE_MATMUL(llx_avx2_matmul_q2_k);
LLX_DECLARE_MATMUL(llx_avx2_matmul_q3_k);

/* avx2_maddubs.c */
LLX_DECLARE_MATMUL(llx_avx2_maddubs_q4_k);
LLX_DECLARE_MATMUL(llx_avx2_maddubs_q5_k);
LLX_DECLARE_MATMUL(llx_avx2_maddubs_q6_k);

/* avx2.c; struct llx_kernels says what they do */
void llx_avx2_quantize_row(const llx_f32 *x, u32 n, struct llx_act_block *out);
llx_f32 llx_avx2_sum_squares(const llx_f32 *x, u32 n);
void llx_avx2_scale_rows(const llx_f32 *x, llx_f32 scale,
			 const llx_f32 *weight, u32 n, llx_f32 *out);
void llx_avx2_dot_rows(const llx_f32 *x, const u16 *rows, size_t stride,
		       u32 n_rows, u32 n, llx_f32 *out);
void llx_avx2_axpy_rows(const llx_f32 *a, const u16 *rows, size_t stride,
			u32 n_rows, u32 n, llx_f32 *y);
void llx_avx2_add(const llx_f32 *x, u32 n, llx_f32 *y);
void llx_avx2_scale(llx_f32 a, u32 n, llx_f32 *y);
void llx_avx2_swiglu(llx_f32 *gate, const llx_f32 *up, u32 n);
llx_f32 llx_avx2_exp_sum(llx_f32 *x, u32 n, llx_f32 shift);
llx_f32 llx_avx2_largest(const llx_f32 *x, u32 n);
void llx_avx2_to_f16(const llx_f32 *x, u32 n, u16 *out);
void llx_avx2_from_f16(const u16 *x, u32 n, llx_f32 *out);
void llx_avx2_q8_0_to_f16(const struct llx_block_q8_0 *blocks, u32 n_blocks,
			  u16 *out);

/* What all tables of 256 bits have. */
#define LLX_AVX2_SHARED                                   \
	.matmul[LLX_TYPE_F32] = llx_avx2_matmul_f32,      \
	.matmul[LLX_TYPE_F16] = llx_avx2_matmul_f16,      \
	.matmul[LLX_TYPE_BF16] = llx_avx2_matmul_bf16,    \
	.matmul[LLX_TYPE_Q8_0] = llx_avx2_matmul_q8_0,    \
	.matmul[LLX_TYPE_Q4_0] = llx_avx2_matmul_q4_0,    \
	.matmul[LLX_TYPE_Q4_1] = llx_avx2_matmul_q4_1,    \
	.matmul[LLX_TYPE_Q5_0] = llx_avx2_matmul_q5_0,    \
	.matmul[LLX_TYPE_Q5_1] = llx_avx2_matmul_q5_1,    \
	.matmul[LLX_TYPE_Q2_K] = llx_avx2_matmul_q2_k,    \
	.matmul[LLX_TYPE_Q3_K] = llx_avx2_matmul_q3_k,    \
	.quantize_row = llx_avx2_quantize_row,            \
	.dequantize_row = llx_dequantize_row,             \
	.sum_squares = llx_avx2_sum_squares,              \
	.scale_rows = llx_avx2_scale_rows,                \
	.dot_rows = llx_avx2_dot_rows,                    \
	.axpy_rows = llx_avx2_axpy_rows,                  \
	.add = llx_avx2_add,                              \
	.scale = llx_avx2_scale,                          \
	.swiglu = llx_avx2_swiglu,                        \
	.exp_sum = llx_avx2_exp_sum,                      \
	.largest = llx_avx2_largest,                      \
	.to_f16 = llx_avx2_to_f16,                        \
	.from_f16 = llx_avx2_from_f16,                    \
	.q8_0_to_f16 = llx_avx2_q8_0_to_f16

#endif
