/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A tile of a K format in vectors of 256 bits. Each holds 4 columns of 8 rows,
 * a lane of 32 bits being one row; the weights' bytes are unsigned, what they
 * are off by goes back through the sums of the activations. Private to avx2_k.h.
 */
#ifndef LLX_SIMD_AVX2_K_UNPACK_H
#define LLX_SIMD_AVX2_K_UNPACK_H

#include "avx2_vector.h"

#define HALF 32u /* bytes of either half in a vector */

static __always_inline __m256i broadcast(const void *p)
{
	s32 four;

	__builtin_memcpy(&four, p, sizeof(four));
	return _mm256_set1_epi32(four);
}

/* Bits @from of each byte moved to bit 4, under @mask */
static __always_inline __m256i bits_to_4(__m256i bits, const u32 from,
					 const char mask)
{
	bits = from < 4 ? _mm256_slli_epi16(bits, 4 - from) :
			  _mm256_srli_epi16(bits, from - 4);
	return bits & _mm256_set1_epi8(mask);
}

/*
 * Columns 4v..4v+3 and 16+4v..16+4v+3 of 8 rows; @q points at the half of the
 * first of the 32 columns' vectors.
 */
static __always_inline void unpack(const u8 *q, const u32 type, const u32 v,
				   __m256i *low, __m256i *high)
{
	const u32 lead = step_of(type) - 4 * VECTOR;
	const __m256i mask = _mm256_set1_epi8(0x0f);
	__m256i w = load(q + lead + v * VECTOR);

	*low = w & mask;
	*high = _mm256_srli_epi16(w, 4) & mask;
	if (type == LLX_TYPE_Q5_K) {
		*low |= bits_to_4(load(q), v, 0x10);
		*high |= bits_to_4(load(q), v + 4, 0x10);
	} else if (type == LLX_TYPE_Q6_K) {
		*low |= bits_to_4(load(q), 2 * v, 0x30);
		*high |= bits_to_4(load(q + VECTOR), 2 * v, 0x30);
	}
}

/* 32 columns of 16 rows: w[v][half] has columns 4v..4v+3 */
struct columns {
	__m256i w[8][HALVES];
};

static __always_inline void unpack_all(const u8 *q, const u32 type,
				       struct columns *c)
{
	u32 v;
	u32 h;

#pragma GCC unroll 4
	for (v = 0; v < 4; v++)
		for (h = 0; h < HALVES; h++)
			unpack(q + h * HALF, type, v, &c->w[v][h],
			       &c->w[v + 4][h]);
}

/*
 * What multiplies 32 columns of 16 rows, as pairs of 16 bits.
 * @scale: of columns 16i..16i+15, the same in both of a pair; only scale[0]
 *	where the 32 columns share one
 * @offset: Q4_K, Q5_K: m in both; Q6_K: 32 * scale[0] and 32 * scale[1]
 */
struct factors {
	__m256i scale[2][HALVES];
	__m256i offset[HALVES];
};

/*
 * For vpshufb: bytes a and b of each lane to the low (high) bytes of its
 * 16-bit halves, 0 to the others. Lanes of 128 bits are shuffled apart.
 */
#define LANE_LOW(i, a, b) 4 * (i) + (a), 0x80, 4 * (i) + (b), 0x80
#define LANE_HIGH(i, a, b) 0x80, 4 * (i) + (a), 0x80, 4 * (i) + (b)
#define LANES(lane, a, b)                                               \
	{                                                               \
		lane(0, a, b), lane(1, a, b), lane(2, a, b),            \
			lane(3, a, b), lane(0, a, b), lane(1, a, b),    \
			lane(2, a, b), lane(3, a, b)                    \
	}

static const u8 low_byte[4][32] = {
	LANES(LANE_LOW, 0, 0),
	LANES(LANE_LOW, 1, 1),
	LANES(LANE_LOW, 2, 2),
	LANES(LANE_LOW, 3, 3),
};

static const u8 high_byte[4][32] = {
	LANES(LANE_HIGH, 0, 0),
	LANES(LANE_HIGH, 1, 1),
	LANES(LANE_HIGH, 2, 2),
	LANES(LANE_HIGH, 3, 3),
};

static const u8 high_bytes[2][32] = {
	LANES(LANE_HIGH, 0, 1),
	LANES(LANE_HIGH, 2, 3),
};

static __always_inline __m256i shuffle(const u8 *bytes, const u8 *order)
{
	return _mm256_shuffle_epi8(load(bytes), load(order));
}

/* Those of columns 32j..32j+31 of a super-block */
static __always_inline void load_factors(const u8 *block, const u32 type,
					 u32 j, struct factors *f)
{
	const u8 *sc = block + VECTOR;
	u32 k = 2 * (j % 2);
	__m256i pair;
	u32 h;

	sc += type == LLX_TYPE_Q6_K ? j / 2 * VECTOR : j / 4 * VECTOR;
	for (h = 0; h < HALVES; h++, sc += HALF) {
		if (type != LLX_TYPE_Q6_K) {
			f->scale[0][h] = shuffle(sc, low_byte[j % 4]);
			f->offset[h] = shuffle(sc + 2 * VECTOR,
					       low_byte[j % 4]);
			continue;
		}
		f->scale[0][h] =
			_mm256_srai_epi16(shuffle(sc, high_byte[k]), 8);
		f->scale[1][h] =
			_mm256_srai_epi16(shuffle(sc, high_byte[k + 1]), 8);
		pair = shuffle(sc, high_bytes[j % 2]);
		f->offset[h] = _mm256_srai_epi16(pair, 3);
	}
}

#endif
