// SPDX-License-Identifier: GPL-2.0-only
/*
 * exp, log, sin and cos in double after fdlibm 5.3 (e_exp.c, e_log.c, k_sin.c,
 * k_cos.c, e_rem_pio2.c: Copyright (C) 1993 by Sun Microsystems, Inc. All
 * rights reserved. Permission to use, copy, modify, and distribute this
 * software is freely granted, provided that this notice is preserved.)
 */
#include "mathf.h"

/* Adding 1.5 * 2^52 leaves the nearest integer in the low mantissa bits. */
#define ROUND_MAGIC 6755399441055744.0

static u64 bits_of(double x)
{
	u64 bits;

	__builtin_memcpy(&bits, &x, sizeof(bits));
	return bits;
}

static double from_bits(u64 bits)
{
	double x;

	__builtin_memcpy(&x, &bits, sizeof(x));
	return x;
}

/* 2^n for a normal result */
static double power_of_two(s64 n)
{
	return from_bits((u64)(n + 1023) << 52);
}

double llx_mathf_exp(double x)
{
	const double ln2_high = 6.93147180369123816490e-01;
	const double ln2_low = 1.90821492927058770002e-10;
	double shifted;
	double high;
	double low;
	double r;
	double t;
	double c;
	s64 n;

	if (x != x)
		return x;
	x = x > -746.0 ? x : -746.0;
	x = x < 710.0 ? x : 710.0;
	shifted = x * 1.44269504088896338700 + ROUND_MAGIC;
	n = (s64)(bits_of(shifted) - bits_of(ROUND_MAGIC));
	high = x - (shifted - ROUND_MAGIC) * ln2_high;
	low = (shifted - ROUND_MAGIC) * ln2_low;
	r = high - low;
	t = r * r;
	c = 4.13813679705723846039e-08;
	c = c * t + -1.65339022054652515390e-06;
	c = c * t + 6.61375632143793436117e-05;
	c = c * t + -2.77777777770155933842e-03;
	c = c * t + 1.66666666666666019037e-01;
	c = r - t * c;
	r = 1.0 - ((low - (r * c) / (2.0 - c)) - high);
	/* In two steps: results below the smallest normal round once. */
	return r * power_of_two(n >> 1) * power_of_two(n - (n >> 1));
}

double llx_mathf_log(double x)
{
	const double ln2_high = 6.93147180369123816490e-01;
	const double ln2_low = 1.90821492927058770002e-10;
	double n = 0.0;
	double f;
	double s;
	double z;
	double p;
	double half_square;
	u64 bits;

	if (x != x || x < 0.0)
		return from_bits(0x7ff8000000000000);
	if (x == 0.0)
		return from_bits(0xfff0000000000000);
	if (bits_of(x) == 0x7ff0000000000000)
		return x;
	if (x < 0x1p-1022) {
		x = x * 0x1p54;
		n = -54.0;
	}
	/* x = 2^n * m, m in [sqrt(1/2), sqrt(2)) */
	bits = bits_of(x) + (0x3ff0000000000000 - 0x3fe6a09e667f3bcd);
	n = n + (double)((s64)(bits >> 52) - 1023);
	f = from_bits((bits & 0x000fffffffffffff) + 0x3fe6a09e667f3bcd) - 1.0;
	s = f / (2.0 + f);
	z = s * s;
	p = 1.479819860511658591e-01;
	p = p * z + 1.531383769920937332e-01;
	p = p * z + 1.818357216161805012e-01;
	p = p * z + 2.222219843214978396e-01;
	p = p * z + 2.857142874366239149e-01;
	p = p * z + 3.999999999940941908e-01;
	p = p * z + 6.666666666666735130e-01;
	p = p * z;
	half_square = 0.5 * f * f;
	return n * ln2_high -
	       ((half_square - (s * (half_square + p) + n * ln2_low)) - f);
}

/* sin(r) and cos(r), |r| <= pi / 4 */
static double sin_kernel(double r)
{
	double z = r * r;
	double p;

	p = 1.58969099521155010221e-10;
	p = p * z + -2.50507602534068634195e-08;
	p = p * z + 2.75573137070700676789e-06;
	p = p * z + -1.98412698298579493134e-04;
	p = p * z + 8.33333333332248946124e-03;
	p = p * z + -1.66666666666666324348e-01;
	return r + z * r * p;
}

static double cos_kernel(double r)
{
	double z = r * r;
	double p;

	p = -1.13596475577881948265e-11;
	p = p * z + 2.08757232129817482790e-09;
	p = p * z + -2.75573143513906633035e-07;
	p = p * z + 2.48015872894767294178e-05;
	p = p * z + -1.38888888888741095749e-03;
	p = p * z + 4.16666666666666019037e-02;
	return 1.0 - (0.5 * z - z * z * p);
}

void llx_mathf_sincos(double x, double *sin, double *cos)
{
	/* pi / 2: 33 bits, so that n * high is exact for n < 2^20, and tail */
	const double pio2_high = 1.57079632673412561417;
	const double pio2_tail = 6.07710050650619224932e-11;
	double shifted = x * 6.36619772367581382433e-01 + ROUND_MAGIC;
	u32 quadrant = (u32)bits_of(shifted) & 3;
	double n = shifted - ROUND_MAGIC;
	double r = (x - n * pio2_high) - n * pio2_tail;
	double s = sin_kernel(r);
	double c = cos_kernel(r);

	*sin = quadrant & 1 ? c : s;
	*cos = quadrant & 1 ? s : c;
	if (quadrant & 2)
		*sin = -*sin;
	if (quadrant == 1 || quadrant == 2)
		*cos = -*cos;
}
