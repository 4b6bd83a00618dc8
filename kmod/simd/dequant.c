// SPDX-License-Identifier: GPL-2.0-only
/*
 * Packed weights back to numbers, plainly: the definition of every packed
 * format in terms of integers, used by generic.c, and whole rows as f32 for the
 * token embedding. engine/pack.c documents the bytes.
 */
#include "tables.h"
#include "../engine/quant.h"
#include "f32.h"

#define VECTOR 64u

static void unpack_bytes(const u8 *vectors, s8 *q)
{
	u32 r;
	u32 c;

	for (r = 0; r < LLX_TILE_ROWS; r++)
		for (c = 0; c < 32; c++)
			q[r * 32 + c] = (s8)vectors[c / 4 * VECTOR + 4 * r +
						    c % 4];
}

static u8 nibble(const u8 *vectors, u32 r, u32 c)
{
	u8 byte = vectors[c % 16 / 4 * VECTOR + 4 * r + c % 4];

	return c < 16 ? byte & 15 : byte >> 4;
}

static void unpack_nibbles(const u8 *vectors, s8 offset, s8 *q)
{
	u32 r;
	u32 c;

	for (r = 0; r < LLX_TILE_ROWS; r++)
		for (c = 0; c < 32; c++)
			q[r * 32 + c] = (s8)(nibble(vectors, r, c) - offset);
}

static u8 bit(const u8 *vector, u32 r, u32 c)
{
	return (vector[4 * r + c % 4] >> (c / 4)) & 1;
}

static u8 bit_pair(const u8 *vectors, u32 r, u32 c)
{
	u8 byte = vectors[c / 16 * VECTOR + 4 * r + c % 4];

	return (byte >> (c % 16 / 4 * 2)) & 3;
}

static void unpack_q2(const u8 *vectors, s8 *q)
{
	u32 r;
	u32 c;

	for (r = 0; r < LLX_TILE_ROWS; r++)
		for (c = 0; c < 32; c++)
			q[r * 32 + c] = (s8)bit_pair(vectors, r, c);
}

static void unpack_q3(const u8 *vectors, s8 *q)
{
	u32 third;
	u32 r;
	u32 c;

	for (r = 0; r < LLX_TILE_ROWS; r++) {
		for (c = 0; c < 32; c++) {
			third = bit(vectors + 2 * VECTOR, r, c);
			q[r * 32 + c] = (s8)(bit_pair(vectors, r, c) |
					     third << 2) - 4;
		}
	}
}

static void unpack_q5(const u8 *vectors, s8 offset, s8 *q)
{
	u32 fifth;
	u32 r;
	u32 c;

	for (r = 0; r < LLX_TILE_ROWS; r++) {
		for (c = 0; c < 32; c++) {
			fifth = bit(vectors, r, c);
			q[r * 32 + c] = (s8)(nibble(vectors + VECTOR, r, c) |
					     fifth << 4) - offset;
		}
	}
}

static void unpack_q6(const u8 *vectors, s8 *q)
{
	u32 high;
	u32 r;
	u32 c;

	for (r = 0; r < LLX_TILE_ROWS; r++) {
		for (c = 0; c < 32; c++) {
			high = bit_pair(vectors, r, c);
			q[r * 32 + c] = (s8)(nibble(vectors + 2 * VECTOR, r,
						    c) |
					     high << 4) - 32;
		}
	}
}

void llx_unpack_32(u32 type, const u8 *block, u32 sub, s8 *q)
{
	switch (type) {
	case LLX_TYPE_Q8_0:
		unpack_bytes(block + 32, q);
		break;
	case LLX_TYPE_Q4_0:
		unpack_nibbles(block + 32, 8, q);
		break;
	case LLX_TYPE_Q4_1:
		unpack_nibbles(block + 64, 0, q);
		break;
	case LLX_TYPE_Q5_0:
		unpack_q5(block + 32, 16, q);
		break;
	case LLX_TYPE_Q5_1:
		unpack_q5(block + 64, 0, q);
		break;
	case LLX_TYPE_Q2_K:
		unpack_q2(block + (5 + 2 * sub) * VECTOR, q);
		break;
	case LLX_TYPE_Q3_K:
		unpack_q3(block + 32 + (4 + 3 * sub) * VECTOR, q);
		break;
	case LLX_TYPE_Q4_K:
		unpack_nibbles(block + (5 + 4 * sub) * VECTOR, 0, q);
		break;
	case LLX_TYPE_Q5_K:
		unpack_q5(block + (5 + 5 * sub) * VECTOR, 0, q);
		break;
	case LLX_TYPE_Q6_K:
		unpack_q6(block + (5 + 6 * sub) * VECTOR, q);
		break;
	}
}

bool llx_has_minimum(u32 type)
{
	return type == LLX_TYPE_Q4_1 || type == LLX_TYPE_Q5_1 ||
	       type == LLX_TYPE_Q2_K || type == LLX_TYPE_Q4_K ||
	       type == LLX_TYPE_Q5_K;
}

void llx_unpack_scales(u32 type, const u8 *block, u32 i, u32 r, s32 *sc,
		       s32 *m)
{
	const u8 *of_16 = block + 64 + i / 4 * VECTOR + 4 * r + i % 4;
	const u8 *of_32 = block + 64 + i / 8 * VECTOR + 4 * r + i / 2 % 4;

	*m = 0;
	switch (type) {
	case LLX_TYPE_Q2_K:
		*sc = *of_16 & 15;
		*m = *of_16 >> 4;
		break;
	case LLX_TYPE_Q3_K:
		*sc = *(const s8 *)(of_16 - 32);
		break;
	case LLX_TYPE_Q6_K:
		*sc = *(const s8 *)of_16;
		break;
	default: /* Q4_K, Q5_K */
		*sc = *of_32;
		*m = of_32[2 * VECTOR];
	}
}

/*
 * 16 values of row @r: columns 16 * @i of the block. Scale and minimum are
 * multiplied out first and then applied, the order in which llama.cpp rounds.
 */
static void dequantize_16(u32 type, const u8 *block, u32 i, u32 r, const s8 *q,
			  float *out)
{
	float scale = f32_from_f16(get_unaligned_le16(block + 2 * r));
	float minimum = 0.0f;
	s32 sc;
	s32 m;
	u32 c;

	if (llx_has_minimum(type))
		minimum = f32_from_f16(get_unaligned_le16(block + 32 + 2 * r));
	if (llx_type_traits(type)->block_values == LLX_QK_K) {
		llx_unpack_scales(type, block, i, r, &sc, &m);
		scale *= (float)sc;
		minimum *= (float)m;
	} else if (llx_has_minimum(type)) {
		minimum = -minimum; /* Q4_1, Q5_1: it is added */
	}
	for (c = 0; c < 16; c++)
		out[c] = scale * (float)q[c] - minimum;
}

void llx_dequantize_row(const struct llx_matrix *m, u32 row, llx_f32 *out)
{
	const struct llx_type_traits *t = llx_type_traits(m->type);
	const u8 *tile = m->tiles + row / LLX_TILE_ROWS * m->tile_bytes;
	u32 r = row % LLX_TILE_ROWS;
	s8 q[LLX_TILE_ROWS * 32];
	const u8 *block;
	u32 i;
	size_t c;

	for (c = 0; c < m->n_cols; c += t->quantized_input ? 32 : 1) {
		block = tile + c / t->block_values * t->tile_block_bytes;
		switch (m->type) {
		case LLX_TYPE_F32:
			out[c].bits = get_unaligned_le32(block + 4 * r);
			break;
		case LLX_TYPE_F16:
			out[c] = f32_put(f32_from_f16(
				get_unaligned_le16(block + 2 * r)));
			break;
		case LLX_TYPE_BF16:
			out[c].bits = (u32)get_unaligned_le16(block + 2 * r)
				      << 16;
			break;
		default:
			i = c % t->block_values / 16;
			llx_unpack_32(m->type, block, i / 2, q);
			dequantize_16(m->type, block, i, r, q + 32 * r,
				      f32_array_mut(out + c));
			dequantize_16(m->type, block, i + 1, r,
				      q + 32 * r + 16,
				      f32_array_mut(out + c + 16));
		}
	}
}
