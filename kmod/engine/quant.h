/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The quantised blocks as a GGUF file has them: rows of values cut into blocks
 * with their own scales. A block is little endian, unaligned and has no
 * padding. Layouts and formulas are ggml's (ggml-common.h, ggml-quants.c);
 * engine/pack.c documents the packed form that the engine computes with.
 *
 * u16 scales are f16 bit patterns.
 */
#ifndef LLX_QUANT_H
#define LLX_QUANT_H

#include "port.h"

#define LLX_QK 32u   /* values in a block of the simple formats */
#define LLX_QK_K 256u /* values in a super-block of the K formats */

/* x = d * (q - 8); low nibbles are values 0..15, high nibbles 16..31 */
struct llx_block_q4_0 {
	u16 d;
	u8 qs[16];
};
static_assert(sizeof(struct llx_block_q4_0) == 18, "q4_0 has no padding");

/* x = d * q + m; nibbles as in q4_0 */
struct llx_block_q4_1 {
	u16 d;
	u16 m;
	u8 qs[16];
};
static_assert(sizeof(struct llx_block_q4_1) == 20, "q4_1 has no padding");

/* x = d * (q - 16); bit i of the 32 bits qh is the fifth bit of value i */
struct llx_block_q5_0 {
	u16 d;
	u8 qh[4];
	u8 qs[16];
};
static_assert(sizeof(struct llx_block_q5_0) == 22, "q5_0 has no padding");

/* x = d * q + m; bits as in q5_0 */
struct llx_block_q5_1 {
	u16 d;
	u16 m;
	u8 qh[4];
	u8 qs[16];
};
static_assert(sizeof(struct llx_block_q5_1) == 24, "q5_1 has no padding");

/* x = d * q */
struct llx_block_q8_0 {
	u16 d;
	s8 qs[32];
};
static_assert(sizeof(struct llx_block_q8_0) == 34, "q8_0 has no padding");

/*
 * x = d * sc[j] * q - dmin * m[j], j = 0..15 sub-blocks of 16 values.
 * @scales: sc in the low nibbles, m in the high ones
 * @qs: each half of 128 values has four runs of 32: bits 2 * run of its 32
 *	bytes
 */
struct llx_block_q2_k {
	u8 scales[16];
	u8 qs[64];
	u16 d;
	u16 dmin;
};
static_assert(sizeof(struct llx_block_q2_k) == 84, "q2_K has no padding");

/*
 * x = d * (sc[j] - 32) * (q - 4), j = 0..15 sub-blocks of 16 values.
 * @hmask: bit run of hmask[l] is the third bit of value l of run 0..7 of 32
 * @qs: as in q2_K
 * @scales: 16 six-bit sc, see llx_q3_k_scale()
 */
struct llx_block_q3_k {
	u8 hmask[32];
	u8 qs[64];
	u8 scales[12];
	u16 d;
};
static_assert(sizeof(struct llx_block_q3_k) == 110, "q3_K has no padding");

/*
 * x = d * sc[j] * q - dmin * m[j], j = 0..7 sub-blocks of 32 values.
 * @scales: 8 six-bit sc and 8 six-bit m, see llx_q4_k_scale_min()
 * @qs: 32 bytes for each two sub-blocks: low nibbles the even one
 */
struct llx_block_q4_k {
	u16 d;
	u16 dmin;
	u8 scales[12];
	u8 qs[128];
};
static_assert(sizeof(struct llx_block_q4_k) == 144, "q4_K has no padding");

/* As q4_K with a fifth bit: bit j of qh[l] belongs to value l of sub-block j */
struct llx_block_q5_k {
	u16 d;
	u16 dmin;
	u8 scales[12];
	u8 qh[32];
	u8 qs[128];
};
static_assert(sizeof(struct llx_block_q5_k) == 176, "q5_K has no padding");

/*
 * x = d * scales[j] * (q - 32), j = 0..15 sub-blocks of 16 values. Each half
 * of 128 values has four runs of 32: runs 0 and 1 in the low nibbles of its
 * 64 bytes of ql, runs 2 and 3 in the high ones; bits 2 * run of its 32 bytes
 * of qh are bits 4 and 5.
 */
struct llx_block_q6_k {
	u8 ql[128];
	u8 qh[64];
	s8 scales[16];
	u16 d;
};
static_assert(sizeof(struct llx_block_q6_k) == 210, "q6_K has no padding");

/* The scale of sub-block @j (0..15) of q3_K, -32..31. */
static inline s8 llx_q3_k_scale(const u8 *scales, u32 j)
{
	u8 low = (scales[j % 8] >> (j / 8 * 4)) & 15;
	u8 high = (scales[8 + j % 4] >> (j / 4 * 2)) & 3;

	return (s8)(low | high << 4) - 32;
}

/* The six-bit scale and minimum of sub-block @j (0..7) of q4_K and q5_K. */
static inline void llx_q4_k_scale_min(const u8 *scales, u32 j, u8 *sc, u8 *m)
{
	if (j < 4) {
		*sc = scales[j] & 63;
		*m = scales[j + 4] & 63;
	} else {
		*sc = (scales[j + 4] & 15) | ((scales[j - 4] >> 6) << 4);
		*m = (scales[j + 4] >> 4) | ((scales[j] >> 6) << 4);
	}
}

#endif
