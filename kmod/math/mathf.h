/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Elementary functions in double, and floats between bits and values. There is
 * no libm in the kernel, and libm's last bit differs between machines; these
 * give the same bits everywhere. Private to math/.
 *
 * Algorithms and coefficients: fdlibm 5.3 (Sun Microsystems, 1993; freely
 * distributable with this notice).
 */
#ifndef LLX_MATH_MATHF_H
#define LLX_MATH_MATHF_H

#include "../engine/port.h"

static inline float mathf_get(llx_f32 x)
{
	float value;

	__builtin_memcpy(&value, &x, sizeof(value));
	return value;
}

static inline llx_f32 mathf_put(float value)
{
	llx_f32 x;

	__builtin_memcpy(&x, &value, sizeof(x));
	return x;
}

/* exp(x): error below 1 ulp; 0 below -746, infinity above 710; NaN for NaN */
double llx_mathf_exp(double x);

/* ln(x): error below 1 ulp; -infinity for 0, NaN below 0 and for NaN */
double llx_mathf_log(double x);

/*
 * sin and cos of @x: absolute error below 1e-15 for |x| <= 1.6e6, growing with
 * |x| beyond; NaN for NaN and infinities.
 */
void llx_mathf_sincos(double x, double *sin, double *cos);

#endif
