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

static void unpack_q5(const u8 *vectors, s8 *q)
{
	u32 r;
	u32 c;
	u32 fifth;

	for (r = 0; r < LLX_TILE_ROWS; r++) {
		for (c = 0; c < 32; c++) {
			fifth = (vectors[4 * r + c % 4] >> (c / 4)) & 1;
			q[r * 32 + c] = (s8)(nibble(vectors + VECTOR, r, c) |
					     fifth << 4);
		}
	}
}

static void unpack_q6(const u8 *vectors, s8 *q)
{
	u32 r;
	u32 c;
	u32 high;

	for (r = 0; r < LLX_TILE_ROWS; r++) {
		for (c = 0; c < 32; c++) {
			high = (vectors[c / 16 * VECTOR + 4 * r + c % 4] >>
				(c % 16 / 4 * 2)) & 3;
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
	case LLX_TYPE_Q4_K:
		unpack_nibbles(block + (5 + 4 * sub) * VECTOR, 0, q);
		break;
	case LLX_TYPE_Q5_K:
		unpack_q5(block + (5 + 5 * sub) * VECTOR, q);
		break;
	case LLX_TYPE_Q6_K:
		unpack_q6(block + (5 + 6 * sub) * VECTOR, q);
		break;
	}
}

/*
 * 32 values of row @r. Scale and minimum are multiplied out first and then
 * applied, the order in which llama.cpp rounds.
 */
static void dequantize_32(u32 type, const u8 *block, u32 sub, u32 r,
			  const s8 *q, float *out)
{
	float d = f32_from_f16(get_unaligned_le16(block + 2 * r));
	u32 at = 64 + sub / 4 * VECTOR + 4 * r + sub % 4;
	float minimum = 0.0f;
	float scale[2] = { d, d };
	u32 half;
	u32 c;

	if (type == LLX_TYPE_Q4_K || type == LLX_TYPE_Q5_K) {
		minimum = f32_from_f16(get_unaligned_le16(block + 32 + 2 * r));
		minimum *= (float)block[at + 2 * VECTOR];
		scale[0] = d * (float)block[at];
		scale[1] = scale[0];
	} else if (type == LLX_TYPE_Q6_K) {
		for (half = 0; half < 2; half++) {
			at = 2 * sub + half;
			at = 64 + at / 4 * VECTOR + 4 * r + at % 4;
			scale[half] = d * (float)(s8)block[at];
		}
	}
	if (type == LLX_TYPE_Q4_K || type == LLX_TYPE_Q5_K) {
		for (c = 0; c < 32; c++)
			out[c] = scale[0] * (float)q[c] - minimum;
	} else {
		for (c = 0; c < 32; c++)
			out[c] = scale[c / 16] * (float)q[c];
	}
}

void llx_dequantize_row(const struct llx_matrix *m, u32 row, llx_f32 *out)
{
	const struct llx_type_traits *t = llx_type_traits(m->type);
	const u8 *tile = m->tiles + row / LLX_TILE_ROWS * m->tile_bytes;
	u32 r = row % LLX_TILE_ROWS;
	s8 q[LLX_TILE_ROWS * 32];
	const u8 *block;
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
			llx_unpack_32(m->type, block,
				      c % t->block_values / 32, q);
			dequantize_32(m->type, block,
				      c % t->block_values / 32, r, q + 32 * r,
				      f32_array_mut(out + c));
		}
	}
}
