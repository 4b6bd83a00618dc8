/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Floats as simd/ sees them: between bit patterns and values, and the scalar
 * arithmetic whose every rounding the vector tables repeat. Do not reorder an
 * expression here without doing the same in every table.
 */
#ifndef LLX_SIMD_F32_H
#define LLX_SIMD_F32_H

#include "../engine/port.h"

static inline float f32_from_bits(u32 bits)
{
	float x;

	__builtin_memcpy(&x, &bits, sizeof(x));
	return x;
}

static inline u32 f32_bits(float x)
{
	u32 bits;

	__builtin_memcpy(&bits, &x, sizeof(bits));
	return bits;
}

static inline float f32_get(llx_f32 x)
{
	return f32_from_bits(x.bits);
}

static inline llx_f32 f32_put(float x)
{
	return (llx_f32){ f32_bits(x) };
}

/* The build has no strict aliasing, so an array may be seen as what it is. */
static inline const float *f32_array(const llx_f32 *x)
{
	return (const float *)x;
}

static inline float *f32_array_mut(llx_f32 *x)
{
	return (float *)x;
}

/* Exact; a signalling NaN becomes quiet, as vcvtph2ps does it. */
static inline float f32_from_f16(u16 h)
{
	u32 sign = (u32)(h & 0x8000) << 16;
	u32 exponent = (h >> 10) & 31;
	u32 mantissa = h & 0x3ff;

	if (exponent == 31)
		return f32_from_bits(sign | 0x7f800000 | mantissa << 13 |
				     (mantissa ? 0x400000 : 0));
	if (exponent)
		return f32_from_bits(sign | (exponent + 112) << 23 |
				     mantissa << 13);
	/* A subnormal is mantissa * 2^-24: exact, and normal in binary32. */
	return f32_from_bits(f32_bits((float)mantissa * 0x1p-24f) | sign);
}

/* Round to nearest even, overflow to infinity, as vcvtps2ph does it. */
static inline u16 f32_to_f16(float x)
{
	u32 bits = f32_bits(x);
	u16 sign = (bits >> 16) & 0x8000;
	u32 magnitude = bits & 0x7fffffff;

	if (magnitude > 0x7f800000)
		return sign | 0x7e00 | ((magnitude >> 13) & 0x3ff);
	if (magnitude >= 0x47800000) /* 2^16; also infinity */
		return sign | 0x7c00;
	if (magnitude < 0x38800000) {
		/*
		 * Below 2^-14 the result counts in 2^-24. Adding 0.5 puts that
		 * unit in the last place of a binary32: the addition rounds.
		 */
		magnitude = f32_bits(f32_from_bits(magnitude) + 0.5f);
		return sign | (u16)(magnitude - 0x3f000000);
	}
	/* Round the 13 bits that go; a carry into the exponent is right. */
	magnitude += 0xfff + ((magnitude >> 13) & 1);
	return sign | (u16)((magnitude - 0x38000000) >> 13);
}

/*
 * exp(x), at most 2 units in the last place off; 0 below -104, infinity above
 * 89, NaN for NaN. x = n ln 2 + r, |r| <= ln 2 / 2, exp(r) by the polynomial
 * of Cephes expf (Moshier), times 2^n in two steps so that results between the
 * smallest normal and zero round once.
 */
#define F32_EXP_MIN (-104.0f)
#define F32_EXP_MAX 89.0f
#define F32_LOG2_E 1.44269504088896341f
/* Adding 1.5 * 2^23 leaves the nearest integer in the low mantissa bits. */
#define F32_ROUND_MAGIC 12582912.0f
#define F32_ROUND_MAGIC_BITS 0x4b400000
/* ln 2 in two parts; n * F32_LN2_HIGH is exact for |n| < 2^9. */
#define F32_LN2_HIGH 0.693359375f
#define F32_LN2_LOW (-2.12194440e-4f)
#define F32_EXP_C0 1.9875691500e-4f
#define F32_EXP_C1 1.3981999507e-3f
#define F32_EXP_C2 8.3334519073e-3f
#define F32_EXP_C3 4.1665795894e-2f
#define F32_EXP_C4 1.6666665459e-1f
#define F32_EXP_C5 5.0000001201e-1f

static inline float f32_exp(float x)
{
	float shifted;
	float n_float;
	float r;
	float p;
	s32 n;
	s32 half;

	if (x != x)
		return x;
	x = x > F32_EXP_MIN ? x : F32_EXP_MIN;
	x = x < F32_EXP_MAX ? x : F32_EXP_MAX;
	shifted = x * F32_LOG2_E + F32_ROUND_MAGIC;
	n = (s32)f32_bits(shifted) - F32_ROUND_MAGIC_BITS;
	n_float = shifted - F32_ROUND_MAGIC;
	r = x - n_float * F32_LN2_HIGH;
	r = r - n_float * F32_LN2_LOW;
	p = F32_EXP_C0;
	p = p * r + F32_EXP_C1;
	p = p * r + F32_EXP_C2;
	p = p * r + F32_EXP_C3;
	p = p * r + F32_EXP_C4;
	p = p * r + F32_EXP_C5;
	p = p * (r * r) + r;
	p = p + 1.0f;
	half = n >> 1;
	p = p * f32_from_bits((u32)(half + 127) << 23);
	return p * f32_from_bits((u32)(n - half + 127) << 23);
}

/* A block whose largest value is below this is taken as zeros. */
#define F32_QUANTIZE_TINY 1e-30f

#endif
