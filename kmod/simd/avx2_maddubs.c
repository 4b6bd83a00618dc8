// SPDX-License-Identifier: GPL-2.0-only
/*
 * Matrix products of the K formats with AVX2's vpmaddubsw, for real CPUs (under
 * QEMU's TCG that instruction is a slow call: avx2_matmul.c).
 *
 * A vector holds 4 columns of 8 rows, a lane of 32 bits being one row; the
 * weights' bytes are unsigned, what they are off by goes back through the sums
 * of the activations. vpmaddubsw adds two columns to 16 bits; as many of its
 * results are added there as fit, then vpmaddwd multiplies by the scale and
 * widens in one step. All of it is exact, and floats round as in generic.c.
 *
 * Weights are unpacked once for up to TOKENS tokens, of which GROUP at a time
 * have their sums in registers: each broadcast of activations serves both
 * halves of the tile, each load of weights GROUP tokens.
 */
#include "avx2.h"
#include "../engine/quant.h"
#include "avx2_vector.h"

#define TOKENS 8u
#define GROUP 4u
#define HALF 32u /* bytes of either half in a vector */
/* Of 1024, 2048, 4096 and 8192 the best in bench_server's decode, Zen 3 */
#define PREFETCH_BYTES 1024u
#define HEAD (5 * VECTOR) /* scales before a super-block's values */

/* Bytes of 32 columns */
static __always_inline u32 step_of(const u32 type)
{
	return (type == LLX_TYPE_Q6_K ? 6 : type == LLX_TYPE_Q5_K ? 5 : 4) *
	       VECTOR;
}

/*
 * How many sums of two products fit in 16 bits: 8 of 15 * 127 * 2 = 3810,
 * 4 of 31 * 127 * 2 = 7874, 2 of 63 * 127 * 2 = 16002.
 */
static __always_inline u32 run_of(const u32 type)
{
	return type == LLX_TYPE_Q6_K ? 2 : type == LLX_TYPE_Q5_K ? 4 : 8;
}

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

/*
 * Sums stay a chain: the compiler makes trees of integer additions, whose
 * leaves do not fit the registers.
 */
static __always_inline __m256i keep(__m256i x)
{
	__asm__("" : "+x"(x));
	return x;
}

/* sum[t][h] = sum of scale * q * x over 32 columns, q without its offset */
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

/*
 * Adds 32 columns of @n_tokens (constant, up to GROUP) tokens: to s values
 * times scales, to m minimums times sums of activations. Q6_K needs no m: its
 * offset is an integer.
 */
static __always_inline void add_columns(const struct columns *c,
					const u32 type,
					const struct factors *f,
					const struct llx_act_block *x,
					size_t stride, const u32 n_tokens,
					__m256 s[][HALVES], __m256 m[][HALVES])
{
	__m256i sum[GROUP][HALVES];
	__m256i offset;
	__m256i bsum;
	__m256 d;
	u32 t;
	u32 h;

	dot(c, type, f, x, stride, n_tokens, sum);
#pragma GCC unroll 4
	for (t = 0; t < n_tokens; t++, x += stride) {
		d = act_scale(x);
		bsum = broadcast(x->bsum);
#pragma GCC unroll 2
		for (h = 0; h < HALVES; h++) {
			offset = _mm256_madd_epi16(f->offset[h], bsum);
			if (type == LLX_TYPE_Q6_K)
				sum[t][h] = _mm256_sub_epi32(sum[t][h], offset);
			else
				m[t][h] = add_scaled(m[t][h], offset, d);
			s[t][h] = add_scaled(s[t][h], sum[t][h], d);
		}
	}
}

/* acc += d * s - dmin * m, or d * s */
static __always_inline void finish(const u8 *block, const u32 type,
				   __m256 s[][HALVES], __m256 m[][HALVES],
				   const u32 n_tokens, __m256 acc[][HALVES])
{
	__m256 d;
	__m256 dmin;
	__m256 scaled;
	u32 t;
	u32 h;

	for (h = 0; h < HALVES; h++) {
		d = load_f16(block + 16 * h);
		dmin = load_f16(block + 32 + 16 * h);
		for (t = 0; t < n_tokens; t++) {
			scaled = _mm256_mul_ps(d, s[t][h]);
			if (type != LLX_TYPE_Q6_K)
				scaled = _mm256_sub_ps(
					scaled,
					_mm256_mul_ps(dmin, m[t][h]));
			acc[t][h] = _mm256_add_ps(acc[t][h], scaled);
		}
	}
}

/*
 * Few tokens do so little with a byte that the memory decides, and the
 * hardware's own prefetching stops at the end of every 4 KB.
 */
static __always_inline void prefetch(const u8 *q, const u32 type)
{
	u32 line;

	for (line = 0; line < step_of(type); line += 64)
		_mm_prefetch(q + PREFETCH_BYTES + line, _MM_HINT_T0);
}

/* 256 columns of one token, or of TOKENS of them (@n_tokens is constant) */
static __always_inline void super_block(const u8 *block, const u32 type,
					const struct llx_act_block *x,
					size_t stride, const u32 n_tokens,
					__m256 acc[][HALVES])
{
	const u32 group = n_tokens < GROUP ? n_tokens : GROUP;
	u32 n = n_tokens;
	const u8 *q = block + HEAD;
	__m256 s[TOKENS][HALVES];
	__m256 m[TOKENS][HALVES];
	struct columns c;
	struct factors f;
	u32 j;
	u32 t;

	for (t = 0; t < n_tokens; t++) {
		s[t][0] = _mm256_setzero_ps();
		s[t][1] = _mm256_setzero_ps();
		m[t][0] = _mm256_setzero_ps();
		m[t][1] = _mm256_setzero_ps();
	}
#pragma GCC unroll 1
	for (j = 0; j < 8; j++, q += step_of(type), x++) {
		load_factors(block, type, j, &f);
		prefetch(q, type);
		unpack_all(q, type, &c);
		/* Loops, with weights in memory and sums in registers. */
		if (n_tokens > 1)
			__asm__("" : "+r"(n));
		for (t = 0; t < n; t += group) {
			if (n_tokens > 1)
				__asm__("" : "+m"(c), "+m"(f));
			add_columns(&c, type, &f, x + t * stride, stride, group,
				    s + t, m + t);
		}
	}
	finish(block, type, s, m, n_tokens, acc);
}

/*
 * The functions of the table: TOKENS, then GROUP tokens at a time, then one by
 * one. The same code for all, so a batch gives the bits of single tokens. A
 * super-block of many tokens has a frame of its own, to keep both small.
 */
#define DEFINE_PASS(name, type, n_tokens, inlining)                           \
	static inlining void name##_block(                                    \
		const u8 *block, const struct llx_act_block *x,               \
		size_t stride, __m256 acc[][HALVES])                          \
	{                                                                     \
		super_block(block, type, x, stride, n_tokens, acc);           \
	}                                                                     \
									      \
	static noinline void name(                                            \
		const struct llx_matrix *w, u32 tile, u32 token,              \
		const struct llx_activations *a, llx_f32 *y, size_t y_stride) \
	{                                                                     \
		const struct llx_act_block *x = a->q8 + token * a->q8_stride; \
		const u8 *block = w->tiles + tile * w->tile_bytes;            \
		__m256 acc[n_tokens][HALVES];                                 \
		u32 b;                                                        \
		u32 t;                                                        \
									      \
		for (t = 0; t < (n_tokens); t++) {                            \
			acc[t][0] = _mm256_setzero_ps();                      \
			acc[t][1] = _mm256_setzero_ps();                      \
		}                                                             \
		for (b = 0; b < w->n_cols / LLX_QK_K; b++, x += 8) {          \
			name##_block(block, x, a->q8_stride, acc);            \
			block += HEAD + 8 * step_of(type);                    \
		}                                                             \
		store_tile(w, tile, acc, n_tokens, y + token * y_stride,      \
			   y_stride);                                         \
	}

#define DEFINE_MATMUL(name, type)                                             \
	DEFINE_PASS(name##_many, type, TOKENS, noinline)                      \
	DEFINE_PASS(name##_group, type, GROUP, noinline)                      \
	DEFINE_PASS(name##_one, type, 1, __always_inline)                     \
	LLX_DECLARE_MATMUL(name)                                              \
	{                                                                     \
		u32 i;                                                        \
		u32 t;                                                        \
									      \
		for (i = tile_begin; i < tile_end; i++) {                     \
			for (t = 0; t + TOKENS <= n_tokens; t += TOKENS)      \
				name##_many(w, i, t, x, y, y_stride);         \
			for (; t + GROUP <= n_tokens; t += GROUP)             \
				name##_group(w, i, t, x, y, y_stride);        \
			for (; t < n_tokens; t++)                             \
				name##_one(w, i, t, x, y, y_stride);          \
		}                                                             \
	}

DEFINE_MATMUL(llx_avx2_maddubs_q4_k, LLX_TYPE_Q4_K)
DEFINE_MATMUL(llx_avx2_maddubs_q5_k, LLX_TYPE_Q5_K)
DEFINE_MATMUL(llx_avx2_maddubs_q6_k, LLX_TYPE_Q6_K)
