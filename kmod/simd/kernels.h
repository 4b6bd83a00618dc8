/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The vector kernels: one constant table of functions per instruction set.
 *
 * All tables give the same bits for the same input (only which of two NaNs
 * comes out is open): integer dot products are exact, every lane is a row, float
 * sums run over the columns in one fixed order and multiply and add round
 * separately (-ffp-contract=off), and reductions over a row use LLX_LANES
 * partial sums combined in a fixed tree. generic.c is the reference: plain
 * loops.
 *
 * Everything here runs inside an FPU section: no sleeping, no allocation, no
 * large arrays on the stack. Pointers are at least 4-byte aligned unless a
 * function says more.
 */
#ifndef LLX_SIMD_KERNELS_H
#define LLX_SIMD_KERNELS_H

#include "../engine/port.h"
#include "../engine/quant.h"
#include "../engine/tensor.h"

#define LLX_ACT_BLOCK 32u
#define LLX_LANES 16u

/*
 * 32 activations in 8 bits: x[i] ~ d * q[i], q in -127..127 (never -128),
 * d = max |x| / 127, rounded to nearest even. If all |x| are below 1e-30, d and
 * q are 0; if one is infinite or NaN, d is NaN and q 0, so that it shows in
 * every result.
 * @bsum: sums of q[0..15] and q[16..31], for formats with an offset.
 */
struct llx_act_block {
	llx_f32 d;
	s16 bsum[2];
	s8 q[LLX_ACT_BLOCK];
};

/**
 * struct llx_activations - the input of a matmul, one row per token
 * @f32: (n_tokens, n_cols), f32, rows @f32_stride values apart; for types
 *	whose traits say !quantized_input
 * @q8: (n_tokens, n_cols / 32), rows @q8_stride blocks apart; for the others
 */
struct llx_activations {
	const llx_f32 *f32;
	const struct llx_act_block *q8;
	size_t f32_stride;
	size_t q8_stride;
};

/*
 * y[t * y_stride + row] = sum over c of w[row][c] * x[t][c] for all rows of
 * tiles @tile_begin..@tile_end-1 (rows >= n_rows are not written) and tokens
 * 0..@n_tokens-1.
 */
typedef void (*llx_matmul_fn)(const struct llx_matrix *w, u32 tile_begin,
			      u32 tile_end, const struct llx_activations *x,
			      u32 n_tokens, llx_f32 *y, size_t y_stride);

#define LLX_CPU_AVX2 (1u << 0)	      /* with FMA and F16C */
#define LLX_CPU_AVX512 (1u << 1)      /* F, BW, VL, DQ */
#define LLX_CPU_AVX512_VNNI (1u << 2)
#define LLX_CPU_AVX_VNNI (1u << 3)
/*
 * The CPU is QEMU's translator (CPUID says so), where some vector instructions
 * are far slower than others; any CPU can run what needs it.
 */
#define LLX_CPU_TCG (1u << 4)

/**
 * struct llx_kernels - everything an instruction set provides
 * @name: "generic", "avx2", "avxvnni", "avx2tcg", "avx512vnni"
 * @needs: LLX_CPU_* that must be present
 * @matmul: by type; NULL where the type cannot be run
 * @quantize_row: (n) f32 to n / 32 blocks; n is a multiple of 32
 * @dequantize_row: row @row of a matrix to (n_cols) f32
 * @sum_squares: sum of x[i]^2, f32 result
 * @scale_rows: out[i] = x[i] * scale * weight[i] (RMSNorm's second half)
 * @dot_rows: out[r] = sum of x[i] * rows[r * stride + i], rows f16
 * @axpy_rows: y[i] += a[r] * rows[r * stride + i] for one row r after another,
 *	rows f16
 * @add: y[i] += x[i]
 * @scale: y[i] *= a
 * @swiglu: gate[i] = gate[i] / (1 + exp(-gate[i])) * up[i]
 * @exp_sum: x[i] = exp(x[i] - shift), returns the sum; for softmax
 * @largest: of n values; NaN counts as the smallest, -infinity if n is 0 or
 *	all are NaN
 * @to_f16: f32 to f16, round to nearest even, overflow to infinity
 * @from_f16: f16 to f32, exact
 * @q8_0_to_f16: 32 values of each block, rounded as in @to_f16
 *
 * Scalars travel as llx_f32 so that callers need no float registers.
 */
struct llx_kernels {
	const char *name;
	u32 needs;
	llx_matmul_fn matmul[LLX_N_TYPES];
	void (*quantize_row)(const llx_f32 *x, u32 n,
			     struct llx_act_block *out);
	void (*dequantize_row)(const struct llx_matrix *m, u32 row,
			       llx_f32 *out);
	llx_f32 (*sum_squares)(const llx_f32 *x, u32 n);
	void (*scale_rows)(const llx_f32 *x, llx_f32 scale,
			   const llx_f32 *weight, u32 n, llx_f32 *out);
	void (*dot_rows)(const llx_f32 *x, const u16 *rows, size_t stride,
			 u32 n_rows, u32 n, llx_f32 *out);
	void (*axpy_rows)(const llx_f32 *a, const u16 *rows, size_t stride,
			  u32 n_rows, u32 n, llx_f32 *y);
	void (*add)(const llx_f32 *x, u32 n, llx_f32 *y);
	void (*scale)(llx_f32 a, u32 n, llx_f32 *y);
	void (*swiglu)(llx_f32 *gate, const llx_f32 *up, u32 n);
	llx_f32 (*exp_sum)(llx_f32 *x, u32 n, llx_f32 shift);
	llx_f32 (*largest)(const llx_f32 *x, u32 n);
	void (*to_f16)(const llx_f32 *x, u32 n, u16 *out);
	void (*from_f16)(const u16 *x, u32 n, llx_f32 *out);
	void (*q8_0_to_f16)(const struct llx_block_q8_0 *blocks, u32 n_blocks,
			    u16 *out);
};

/*
 * The best table whose needs are all in @features; with @name the table of
 * that name. NULL: no such name, or the CPU lacks what it needs. Never NULL
 * without a name: generic needs nothing.
 */
const struct llx_kernels *llx_kernels_select(u32 features, const char *name);

/* All tables, best first, ended by NULL. */
extern const struct llx_kernels *const llx_kernels_all[];

#endif
