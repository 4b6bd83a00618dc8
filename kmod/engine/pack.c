// SPDX-License-Identifier: GPL-2.0-only
/*
 * The types of GGUF, and how rows of weights are packed into tiles.
 *
 * A tile holds 16 rows (r) of a matrix, block of columns after block of
 * columns. Quantised values come in vectors of 64 bytes: byte 4 * r + k is row
 * r, column 4 * v + k of vector v. So a 32-bit lane is one row, and what a
 * vpdpbusd or two 16-bit multiplies add up stays in the lane.
 *
 *   F32, F16, BF16	block = 1 column: 16 values
 *   Q8_0		block = 32 columns: d[16] f16; 8 vectors of s8
 *   Q4_0		block = 32 columns: d[16] f16; 4 vectors of nibbles
 *   Q4_1		block = 32 columns: d[16], m[16] f16; 4 vectors of nibbles
 *   Q5_0		as Q4_0, the nibbles led by a vector of fifth bits
 *   Q5_1		as Q4_1, the nibbles led by a vector of fifth bits
 *   Q2_K		block = 256 columns: d[16], dmin[16] f16;
 *			sc | m << 4 [4][16][4] u8: sub-block of 16 values
 *			4 * i + k; 8 times 32 columns: 2 vectors of bits 0 and 1
 *   Q3_K		block = 256 columns: d[16] f16;
 *			sc[4][16][4] s8: sub-block of 16 values 4 * i + k;
 *			8 times 32 columns: 2 vectors of bits 0 and 1, then a
 *			vector of third bits
 *   Q4_K		block = 256 columns: d[16], dmin[16] f16;
 *			sc[2][16][4], m[2][16][4] u8: sub-block 4 * i + k;
 *			8 sub-blocks: 4 vectors of nibbles
 *   Q5_K		as Q4_K, each sub-block led by a vector of fifth bits
 *   Q6_K		block = 256 columns: d[16] f16; 32 bytes of zeros;
 *			sc[4][16][4] s8: sub-block of 16 values 4 * i + k;
 *			8 times 32 columns: 2 vectors of bits 4 and 5, then 4
 *			vectors of nibbles
 *
 * Nibbles: vector v has columns 4v..4v+3 low and 16+4v..16+4v+3 high.
 * Third and fifth bits: bit g is column 4g + k. Bits 0 and 1, and bits 4 and 5,
 * in vector h: bits 2v and 2v + 1 are those of column 16h + 4v + k.
 *
 * Only bits move here: no float, no arithmetic on values.
 */
#include "tensor.h"
#include "quant.h"

#define VECTOR 64u /* 16 rows x 4 columns */

/* Bytes of a block of columns of 16 rows. */
enum {
	TILE_F32 = 64,
	TILE_F16 = 32,
	TILE_Q8_0 = 32 + 8 * VECTOR,
	TILE_Q4_0 = 32 + 4 * VECTOR,
	TILE_Q4_1 = 64 + 4 * VECTOR,
	TILE_Q5_0 = 32 + 5 * VECTOR,
	TILE_Q5_1 = 64 + 5 * VECTOR,
	TILE_Q2_K = 64 + 4 * VECTOR + 8 * 2 * VECTOR,
	TILE_Q3_K = 32 + 4 * VECTOR + 8 * 3 * VECTOR,
	TILE_Q4_K = 64 + 4 * VECTOR + 8 * 4 * VECTOR,
	TILE_Q5_K = 64 + 4 * VECTOR + 8 * 5 * VECTOR,
	TILE_Q6_K = 64 + 4 * VECTOR + 8 * 6 * VECTOR,
};

static const struct llx_type_traits traits[] = {
	[LLX_TYPE_F32] = { "F32", 1, 4, TILE_F32, false },
	[LLX_TYPE_F16] = { "F16", 1, 2, TILE_F16, false },
	[LLX_TYPE_BF16] = { "BF16", 1, 2, TILE_F16, false },
	[LLX_TYPE_Q8_0] = { "Q8_0", 32, 34, TILE_Q8_0, true },
	[LLX_TYPE_Q4_0] = { "Q4_0", 32, 18, TILE_Q4_0, true },
	[LLX_TYPE_Q4_1] = { "Q4_1", 32, 20, TILE_Q4_1, true },
	[LLX_TYPE_Q5_0] = { "Q5_0", 32, 22, TILE_Q5_0, true },
	[LLX_TYPE_Q5_1] = { "Q5_1", 32, 24, TILE_Q5_1, true },
	[LLX_TYPE_Q2_K] = { "Q2_K", 256, 84, TILE_Q2_K, true },
	[LLX_TYPE_Q3_K] = { "Q3_K", 256, 110, TILE_Q3_K, true },
	[LLX_TYPE_Q4_K] = { "Q4_K", 256, 144, TILE_Q4_K, true },
	[LLX_TYPE_Q5_K] = { "Q5_K", 256, 176, TILE_Q5_K, true },
	[LLX_TYPE_Q6_K] = { "Q6_K", 256, 210, TILE_Q6_K, true },

	/* Known, so that a refusal can name them; cannot be run. */
	[9] = { "Q8_1", 32, 36, 0, false },
	[15] = { "Q8_K", 256, 292, 0, false },
	[16] = { "IQ2_XXS", 256, 66, 0, false },
	[17] = { "IQ2_XS", 256, 74, 0, false },
	[18] = { "IQ3_XXS", 256, 98, 0, false },
	[19] = { "IQ1_S", 256, 50, 0, false },
	[20] = { "IQ4_NL", 32, 18, 0, false },
	[21] = { "IQ3_S", 256, 110, 0, false },
	[22] = { "IQ2_S", 256, 82, 0, false },
	[23] = { "IQ4_XS", 256, 136, 0, false },
	[24] = { "I8", 1, 1, 0, false },
	[25] = { "I16", 1, 2, 0, false },
	[26] = { "I32", 1, 4, 0, false },
	[27] = { "I64", 1, 8, 0, false },
	[28] = { "F64", 1, 8, 0, false },
	[29] = { "IQ1_M", 256, 56, 0, false },
	[34] = { "TQ1_0", 256, 54, 0, false },
	[35] = { "TQ2_0", 256, 66, 0, false },
	[39] = { "MXFP4", 32, 17, 0, false },
	[40] = { "NVFP4", 64, 36, 0, false },
	[41] = { "Q1_0", 128, 18, 0, false },
};

const struct llx_type_traits *llx_type_traits(u32 type)
{
	static const struct llx_type_traits unknown;

	return type < ARRAY_SIZE(traits) ? &traits[type] : &unknown;
}

int llx_matrix_shape(struct llx_matrix *m, u32 type, u32 n_rows, u32 n_cols)
{
	const struct llx_type_traits *t = llx_type_traits(type);
	size_t bytes;
	size_t all;

	if (!t->tile_block_bytes || !n_rows || !n_cols ||
	    n_cols % t->block_values)
		return -EINVAL;
	if (n_rows > ~0u - LLX_TILE_ROWS ||
	    check_mul_overflow((size_t)(n_cols / t->block_values),
			       (size_t)t->tile_block_bytes, &bytes) ||
	    check_add_overflow(bytes, (size_t)(VECTOR - 1), &bytes))
		return -EOVERFLOW;
	bytes &= ~(size_t)(VECTOR - 1);
	m->type = type;
	m->n_rows = n_rows;
	m->n_cols = n_cols;
	m->n_tiles = DIV_ROUND_UP(n_rows, LLX_TILE_ROWS);
	m->tile_bytes = bytes;
	m->tiles = NULL;
	if (check_mul_overflow(bytes, (size_t)m->n_tiles, &all))
		return -EOVERFLOW;
	return 0;
}

static void put_le16(u8 *to, u16 value)
{
	to[0] = value & 255;
	to[1] = value >> 8;
}

static void put_le32(u8 *to, u32 value)
{
	memcpy(to, &value, sizeof(value));
}

/* Four values, one in each byte, of columns 4v..4v+3 of a run of bytes. */
static u32 bytes_at(const u8 *run, u32 v)
{
	return get_unaligned_le32(run + 4 * v);
}

static void pack_words(const u8 *row, u32 n, u32 bytes, u8 *tile, u32 r)
{
	size_t c;

	for (c = 0; c < n; c++)
		memcpy(tile + (c * LLX_TILE_ROWS + r) * bytes, row + c * bytes,
		       bytes);
}

static void pack_q8_0(const u8 *block, u8 *tile, u32 r)
{
	const struct llx_block_q8_0 *b = (const void *)block;
	u32 v;

	put_le16(tile + 2 * r, get_unaligned_le16(&b->d));
	for (v = 0; v < 8; v++)
		put_le32(tile + 32 + v * VECTOR + 4 * r,
			 bytes_at((const u8 *)b->qs, v));
}

/* Nibbles that lie in the file as they do in a tile */
static void copy_nibbles(const u8 *qs, u8 *vectors, u32 r)
{
	u32 v;

	for (v = 0; v < 4; v++)
		put_le32(vectors + v * VECTOR + 4 * r, bytes_at(qs, v));
}

static void pack_q4_0(const u8 *block, u8 *tile, u32 r)
{
	const struct llx_block_q4_0 *b = (const void *)block;

	put_le16(tile + 2 * r, get_unaligned_le16(&b->d));
	copy_nibbles(b->qs, tile + 32, r);
}

static void pack_q4_1(const u8 *block, u8 *tile, u32 r)
{
	const struct llx_block_q4_1 *b = (const void *)block;

	put_le16(tile + 2 * r, get_unaligned_le16(&b->d));
	put_le16(tile + 32 + 2 * r, get_unaligned_le16(&b->m));
	copy_nibbles(b->qs, tile + 64, r);
}

/* Fifth bits of 32 values, value i in bit i of @qh */
static void spread_bits(const u8 *qh, u8 *vector, u32 r)
{
	u32 all = get_unaligned_le32(qh);
	u32 bits = 0;
	u32 four;
	u32 g;

	for (g = 0; g < 8; g++) {
		four = (all >> 4 * g) & 15;
		/* bit k of the four to bit 0 of byte k */
		bits |= (four * 0x00204081 & 0x01010101) << g;
	}
	put_le32(vector + 4 * r, bits);
}

static void pack_q5_0(const u8 *block, u8 *tile, u32 r)
{
	const struct llx_block_q5_0 *b = (const void *)block;

	put_le16(tile + 2 * r, get_unaligned_le16(&b->d));
	spread_bits(b->qh, tile + 32, r);
	copy_nibbles(b->qs, tile + 32 + VECTOR, r);
}

static void pack_q5_1(const u8 *block, u8 *tile, u32 r)
{
	const struct llx_block_q5_1 *b = (const void *)block;

	put_le16(tile + 2 * r, get_unaligned_le16(&b->d));
	put_le16(tile + 32 + 2 * r, get_unaligned_le16(&b->m));
	spread_bits(b->qh, tile + 64, r);
	copy_nibbles(b->qs, tile + 64 + VECTOR, r);
}

/* The nibbles of 32 values: @shift picks the low or the high ones of @run. */
static void pack_nibbles(const u8 *run, u32 shift, u8 *vectors, u32 r)
{
	u32 low;
	u32 high;
	u32 v;

	for (v = 0; v < 4; v++) {
		low = (bytes_at(run, v) >> shift) & 0x0f0f0f0f;
		high = (bytes_at(run, v + 4) >> shift) & 0x0f0f0f0f;
		put_le32(vectors + v * VECTOR + 4 * r, low | high << 4);
	}
}

/* Bit @from of each of the 32 bytes of @run */
static void pack_bits(const u8 *run, u32 from, u8 *vector, u32 r)
{
	u32 bits = 0;
	u32 g;

	for (g = 0; g < 8; g++)
		bits |= ((bytes_at(run, g) >> from) & 0x01010101) << g;
	put_le32(vector + 4 * r, bits);
}

/* Bits @from and @from + 1 of each of the 32 bytes of @run, in two vectors */
static void pack_bit_pairs(const u8 *run, u32 from, u8 *vectors, u32 r)
{
	u32 bits;
	u32 h;
	u32 v;

	for (h = 0; h < 2; h++) {
		bits = 0;
		for (v = 0; v < 4; v++)
			bits |= ((bytes_at(run, 4 * h + v) >> from) &
				 0x03030303) << 2 * v;
		put_le32(vectors + h * VECTOR + 4 * r, bits);
	}
}

static void pack_q2_k(const u8 *block, u8 *tile, u32 r)
{
	const struct llx_block_q2_k *b = (const void *)block;
	u8 *vectors = tile + 64 + 4 * VECTOR;
	u32 j;

	put_le16(tile + 2 * r, get_unaligned_le16(&b->d));
	put_le16(tile + 32 + 2 * r, get_unaligned_le16(&b->dmin));
	for (j = 0; j < 4; j++)
		put_le32(tile + 64 + j * VECTOR + 4 * r,
			 bytes_at(b->scales, j));
	for (j = 0; j < 8; j++)
		pack_bit_pairs(b->qs + j / 4 * 32, j % 4 * 2,
			       vectors + j * 2 * VECTOR, r);
}

static void pack_q3_k(const u8 *block, u8 *tile, u32 r)
{
	const struct llx_block_q3_k *b = (const void *)block;
	u8 *scales = tile + 32;
	u8 *vectors = scales + 4 * VECTOR;
	u32 j;

	put_le16(tile + 2 * r, get_unaligned_le16(&b->d));
	for (j = 0; j < 16; j++)
		scales[j / 4 * VECTOR + 4 * r + j % 4] =
			(u8)llx_q3_k_scale(b->scales, j);
	for (j = 0; j < 8; j++, vectors += 3 * VECTOR) {
		pack_bit_pairs(b->qs + j / 4 * 32, j % 4 * 2, vectors, r);
		pack_bits(b->hmask, j, vectors + 2 * VECTOR, r);
	}
}

/* What Q4_K and Q5_K share: d, dmin, scales and minimums. */
static void pack_k_head(const u8 *d, const u8 *dmin, const u8 *scales,
			u8 *tile, u32 r)
{
	u8 *sc = tile + 64;
	u8 *m = sc + 2 * VECTOR;
	u32 j;
	u32 at;

	put_le16(tile + 2 * r, get_unaligned_le16(d));
	put_le16(tile + 32 + 2 * r, get_unaligned_le16(dmin));
	for (j = 0; j < 8; j++) {
		at = j / 4 * VECTOR + 4 * r + j % 4;
		llx_q4_k_scale_min(scales, j, &sc[at], &m[at]);
	}
}

static void pack_q4_k(const u8 *block, u8 *tile, u32 r)
{
	const struct llx_block_q4_k *b = (const void *)block;
	u8 *vectors = tile + 64 + 4 * VECTOR;
	u32 j;

	pack_k_head((const u8 *)&b->d, (const u8 *)&b->dmin, b->scales, tile,
		    r);
	for (j = 0; j < 8; j++)
		pack_nibbles(b->qs + j / 2 * 32, j % 2 * 4,
			     vectors + j * 4 * VECTOR, r);
}

static void pack_q5_k(const u8 *block, u8 *tile, u32 r)
{
	const struct llx_block_q5_k *b = (const void *)block;
	u8 *vectors = tile + 64 + 4 * VECTOR;
	u32 j;

	pack_k_head((const u8 *)&b->d, (const u8 *)&b->dmin, b->scales, tile,
		    r);
	for (j = 0; j < 8; j++, vectors += 5 * VECTOR) {
		pack_bits(b->qh, j, vectors, r);
		pack_nibbles(b->qs + j / 2 * 32, j % 2 * 4, vectors + VECTOR,
			     r);
	}
}

static void pack_q6_k(const u8 *block, u8 *tile, u32 r)
{
	const struct llx_block_q6_k *b = (const void *)block;
	u8 *vectors = tile + 64 + 4 * VECTOR;
	u32 j;

	put_le16(tile + 2 * r, get_unaligned_le16(&b->d));
	for (j = 0; j < 4; j++)
		put_le32(tile + 64 + j * VECTOR + 4 * r,
			 bytes_at((const u8 *)b->scales, j));
	for (j = 0; j < 8; j++, vectors += 6 * VECTOR) {
		pack_bit_pairs(b->qh + j / 4 * 32, j % 4 * 2, vectors, r);
		pack_nibbles(b->ql + j / 4 * 64 + j % 2 * 32, j % 4 / 2 * 4,
			     vectors + 2 * VECTOR, r);
	}
}

static void pack_block(u32 type, const u8 *block, u8 *tile, u32 r)
{
	switch (type) {
	case LLX_TYPE_Q8_0:
		pack_q8_0(block, tile, r);
		break;
	case LLX_TYPE_Q4_0:
		pack_q4_0(block, tile, r);
		break;
	case LLX_TYPE_Q4_1:
		pack_q4_1(block, tile, r);
		break;
	case LLX_TYPE_Q5_0:
		pack_q5_0(block, tile, r);
		break;
	case LLX_TYPE_Q5_1:
		pack_q5_1(block, tile, r);
		break;
	case LLX_TYPE_Q2_K:
		pack_q2_k(block, tile, r);
		break;
	case LLX_TYPE_Q3_K:
		pack_q3_k(block, tile, r);
		break;
	case LLX_TYPE_Q4_K:
		pack_q4_k(block, tile, r);
		break;
	case LLX_TYPE_Q5_K:
		pack_q5_k(block, tile, r);
		break;
	case LLX_TYPE_Q6_K:
		pack_q6_k(block, tile, r);
		break;
	}
}

void llx_pack_tile(const struct llx_matrix *m, const u8 *rows, u32 n_rows,
		   u8 *tile)
{
	const struct llx_type_traits *t = llx_type_traits(m->type);
	u32 n_blocks = m->n_cols / t->block_values;
	u32 r;
	u32 b;

	memset(tile, 0, m->tile_bytes);
	for (r = 0; r < n_rows; r++, rows += (size_t)n_blocks * t->block_bytes) {
		if (!t->quantized_input) {
			pack_words(rows, m->n_cols, t->block_bytes, tile, r);
			continue;
		}
		for (b = 0; b < n_blocks; b++)
			pack_block(m->type, rows + (size_t)b * t->block_bytes,
				   tile + (size_t)b * t->tile_block_bytes, r);
	}
}
