/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The tables themselves and the functions that several of them share. Private
 * to simd/.
 */
#ifndef LLX_SIMD_TABLES_H
#define LLX_SIMD_TABLES_H

#include "kernels.h"

extern const struct llx_kernels llx_kernels_generic;
extern const struct llx_kernels llx_kernels_avx2;
extern const struct llx_kernels llx_kernels_avx2tcg;
extern const struct llx_kernels llx_kernels_avxvnni;
extern const struct llx_kernels llx_kernels_avx512vnni;

/* dequant.c: every table's dequantize_row */
void llx_dequantize_row(const struct llx_matrix *m, u32 row, llx_f32 *out);

/*
 * Integer values of 32 columns for the 16 rows of a tile, without scales:
 * q[r * 32 + c] is what the format multiplies with its scale (q4_0 in -8..7,
 * q4_K in 0..15, q6_K in -32..31).
 * @block: a packed block of columns; @sub: which 32 columns of it
 */
void llx_unpack_32(u32 type, const u8 *block, u32 sub, s8 *q);

/* Whether a block has a second f16: Q4_1, Q5_1 (m), Q2_K, Q4_K, Q5_K (dmin) */
bool llx_has_minimum(u32 type);

/*
 * Integer scale and minimum (0 if the type has none) of columns
 * 16 * @i .. 16 * @i + 15 of row @r. Formats with super-blocks only.
 */
void llx_unpack_scales(u32 type, const u8 *block, u32 i, u32 r, s32 *sc,
		       s32 *m);

#endif
