// SPDX-License-Identifier: GPL-2.0-only
/*
 * The reference table: plain loops, no intrinsics. It defines the order of
 * every rounding; the other tables must give the same bits (tests/simd).
 *
 * Reductions keep LLX_LANES partial sums (element i goes to sum i % 16) and
 * add the upper half to the lower one until one is left.
 */
#include "tables.h"
#include "f32.h"

static float reduce_sum(float *p)
{
	u32 step;
	u32 i;

	for (step = LLX_LANES / 2; step; step /= 2)
		for (i = 0; i < step; i++)
			p[i] = p[i] + p[i + step];
	return p[0];
}

/* Exact dot products of 16 rows with 16 activations each. */
static void dot_16(const s8 *q, const s8 *x, s32 *sum)
{
	u32 r;
	u32 c;

	for (r = 0; r < LLX_TILE_ROWS; r++) {
		sum[r] = 0;
		for (c = 0; c < 16; c++)
			sum[r] += q[r * 32 + c] * x[c];
	}
}

/*
 * Blocks of 32 columns: acc += sum * (d * x.d), and then, where there is a
 * minimum, acc += bsum * (m * x.d).
 */
static void tile_simple(const struct llx_matrix *w, const u8 *tile,
			const struct llx_act_block *x, float *acc)
{
	u32 bytes = llx_type_traits(w->type)->tile_block_bytes;
	s8 q[LLX_TILE_ROWS * 32];
	s32 low[LLX_TILE_ROWS];
	s32 high[LLX_TILE_ROWS];
	s32 bsum;
	float d;
	float m;
	u32 b;
	u32 r;

	for (b = 0; b < w->n_cols / 32; b++, tile += bytes, x++) {
		llx_unpack_32(w->type, tile, 0, q);
		dot_16(q, x->q, low);
		dot_16(q + 16, x->q + 16, high);
		bsum = x->bsum[0] + x->bsum[1];
		for (r = 0; r < LLX_TILE_ROWS; r++) {
			d = f32_from_f16(get_unaligned_le16(tile + 2 * r));
			acc[r] = acc[r] + (float)(low[r] + high[r]) *
						  (d * f32_get(x->d));
			if (!llx_has_minimum(w->type))
				continue;
			m = f32_from_f16(get_unaligned_le16(tile + 32 + 2 * r));
			acc[r] = acc[r] + (float)bsum * (m * f32_get(x->d));
		}
	}
}

/*
 * Super-blocks. Within one, scales and minimums stay integers; what they
 * multiply stays below 2^24 in magnitude, so it is exact in f32:
 *	s += (sc * sum) * x.d;  t += (m * bsum) * x.d, over 8 sub-blocks;
 *	acc += d * s - dmin * t,
 * where (sc * sum) and (m * bsum) are each of two times 16 columns. Without
 * minimums, t and dmin are 0.
 */
static void super_block(u32 type, const u8 *block,
			const struct llx_act_block *x, float *acc)
{
	s8 q[LLX_TILE_ROWS * 32];
	s32 low[LLX_TILE_ROWS];
	s32 high[LLX_TILE_ROWS];
	float s[LLX_TILE_ROWS] = { 0 };
	float t[LLX_TILE_ROWS] = { 0 };
	float dmin = 0.0f;
	float d;
	s32 sc[2];
	s32 m[2];
	u32 j;
	u32 r;

	for (j = 0; j < 8; j++, x++) {
		llx_unpack_32(type, block, j, q);
		dot_16(q, x->q, low);
		dot_16(q + 16, x->q + 16, high);
		for (r = 0; r < LLX_TILE_ROWS; r++) {
			llx_unpack_scales(type, block, 2 * j, r, &sc[0], &m[0]);
			llx_unpack_scales(type, block, 2 * j + 1, r, &sc[1],
					  &m[1]);
			s[r] = s[r] + (float)(sc[0] * low[r] +
					      sc[1] * high[r]) * f32_get(x->d);
			t[r] = t[r] + (float)(m[0] * x->bsum[0] +
					      m[1] * x->bsum[1]) *
					      f32_get(x->d);
		}
	}
	for (r = 0; r < LLX_TILE_ROWS; r++) {
		d = f32_from_f16(get_unaligned_le16(block + 2 * r));
		if (llx_has_minimum(type))
			dmin = f32_from_f16(
				get_unaligned_le16(block + 32 + 2 * r));
		acc[r] = acc[r] + (d * s[r] - dmin * t[r]);
	}
}

static void tile_k(const struct llx_matrix *w, const u8 *tile,
		   const struct llx_act_block *x, float *acc)
{
	u32 bytes = llx_type_traits(w->type)->tile_block_bytes;
	u32 b;

	for (b = 0; b < w->n_cols / LLX_QK_K; b++, tile += bytes, x += 8)
		super_block(w->type, tile, x, acc);
}

static float weight_value(u32 type, const u8 *p)
{
	switch (type) {
	case LLX_TYPE_F32:
		return f32_from_bits(get_unaligned_le32(p));
	case LLX_TYPE_F16:
		return f32_from_f16(get_unaligned_le16(p));
	default: /* BF16 */
		return f32_from_bits((u32)get_unaligned_le16(p) << 16);
	}
}

/* F32, F16, BF16: even and odd columns apart, added at the end. */
static void tile_float(const struct llx_matrix *w, const u8 *tile,
		       const float *x, float *acc)
{
	u32 bytes = llx_type_traits(w->type)->block_bytes;
	float odd[LLX_TILE_ROWS] = { 0 };
	float *to;
	u32 c;
	u32 r;

	for (c = 0; c < w->n_cols; c++) {
		to = c % 2 ? odd : acc;
		for (r = 0; r < LLX_TILE_ROWS; r++, tile += bytes)
			to[r] = to[r] + weight_value(w->type, tile) * x[c];
	}
	for (r = 0; r < LLX_TILE_ROWS; r++)
		acc[r] = acc[r] + odd[r];
}

static void matmul(const struct llx_matrix *w, u32 tile_begin, u32 tile_end,
		   const struct llx_activations *x, u32 n_tokens, llx_f32 *y,
		   size_t y_stride)
{
	float acc[LLX_TILE_ROWS];
	const u8 *tile;
	u32 row;
	u32 i;
	u32 t;
	u32 r;

	for (i = tile_begin; i < tile_end; i++) {
		tile = w->tiles + i * w->tile_bytes;
		row = i * LLX_TILE_ROWS;
		for (t = 0; t < n_tokens; t++) {
			for (r = 0; r < LLX_TILE_ROWS; r++)
				acc[r] = 0.0f;
			if (!llx_type_traits(w->type)->quantized_input)
				tile_float(w, tile,
					   f32_array(x->f32 +
						     t * x->f32_stride), acc);
			else if (llx_type_traits(w->type)->block_values == 32)
				tile_simple(w, tile, x->q8 + t * x->q8_stride,
					    acc);
			else
				tile_k(w, tile, x->q8 + t * x->q8_stride, acc);
			for (r = 0; r < LLX_TILE_ROWS && row + r < w->n_rows;
			     r++)
				y[t * y_stride + row + r] = f32_put(acc[r]);
		}
	}
}

static void quantize_block(const float *x, struct llx_act_block *out)
{
	float inverse;
	float max_x;
	u32 max_bits = 0;
	u32 bits;
	u32 i;

	for (i = 0; i < LLX_ACT_BLOCK; i++) {
		bits = f32_bits(x[i]) & 0x7fffffff;
		max_bits = max(bits, max_bits);
	}
	memset(out, 0, sizeof(*out));
	if (max_bits >= 0x7f800000) {
		/* Show it: whatever is computed from this block is NaN. */
		out->d.bits = 0x7fc00000;
		return;
	}
	max_x = f32_from_bits(max_bits);
	if (max_x < F32_QUANTIZE_TINY)
		return;
	out->d = f32_put(max_x / 127.0f);
	inverse = 127.0f / max_x;
	for (i = 0; i < LLX_ACT_BLOCK; i++) {
		bits = f32_bits(x[i] * inverse + F32_ROUND_MAGIC);
		out->q[i] = (s8)(s32)(bits - F32_ROUND_MAGIC_BITS);
		out->bsum[i / 16] += out->q[i];
	}
}

static void quantize_row(const llx_f32 *x, u32 n, struct llx_act_block *out)
{
	u32 i;

	for (i = 0; i < n; i += LLX_ACT_BLOCK)
		quantize_block(f32_array(x + i), out++);
}

static llx_f32 sum_squares(const llx_f32 *x, u32 n)
{
	float p[LLX_LANES] = { 0 };
	float v;
	u32 i;

	for (i = 0; i < n; i++) {
		v = f32_get(x[i]);
		p[i % LLX_LANES] += v * v;
	}
	return f32_put(reduce_sum(p));
}

static void scale_rows(const llx_f32 *x, llx_f32 scale, const llx_f32 *weight,
		       u32 n, llx_f32 *out)
{
	u32 i;

	for (i = 0; i < n; i++)
		out[i] = f32_put(f32_get(x[i]) * f32_get(scale) *
				 f32_get(weight[i]));
}

static void dot_rows(const llx_f32 *x, const u16 *rows, size_t stride,
		     u32 n_rows, u32 n, llx_f32 *out)
{
	u32 r;
	u32 i;

	for (r = 0; r < n_rows; r++, rows += stride) {
		float p[LLX_LANES] = { 0 };

		for (i = 0; i < n; i++)
			p[i % LLX_LANES] += f32_get(x[i]) *
					    f32_from_f16(rows[i]);
		out[r] = f32_put(reduce_sum(p));
	}
}

static void axpy_rows(const llx_f32 *a, const u16 *rows, size_t stride,
		      u32 n_rows, u32 n, llx_f32 *y)
{
	u32 r;
	u32 i;

	for (r = 0; r < n_rows; r++, rows += stride)
		for (i = 0; i < n; i++)
			y[i] = f32_put(f32_get(y[i]) +
				       f32_get(a[r]) * f32_from_f16(rows[i]));
}

static void add(const llx_f32 *x, u32 n, llx_f32 *y)
{
	u32 i;

	for (i = 0; i < n; i++)
		y[i] = f32_put(f32_get(y[i]) + f32_get(x[i]));
}

static void scale(llx_f32 a, u32 n, llx_f32 *y)
{
	u32 i;

	for (i = 0; i < n; i++)
		y[i] = f32_put(f32_get(y[i]) * f32_get(a));
}

static void swiglu(llx_f32 *gate, const llx_f32 *up, u32 n)
{
	float g;
	u32 i;

	for (i = 0; i < n; i++) {
		g = f32_get(gate[i]);
		g = g / (1.0f + f32_exp(-g));
		gate[i] = f32_put(g * f32_get(up[i]));
	}
}

static llx_f32 exp_sum(llx_f32 *x, u32 n, llx_f32 shift)
{
	float p[LLX_LANES] = { 0 };
	float e;
	u32 i;

	for (i = 0; i < n; i++) {
		e = f32_exp(f32_get(x[i]) - f32_get(shift));
		x[i] = f32_put(e);
		p[i % LLX_LANES] += e;
	}
	return f32_put(reduce_sum(p));
}

static float larger(float candidate, float so_far)
{
	return candidate > so_far ? candidate : so_far;
}

static llx_f32 largest(const llx_f32 *x, u32 n)
{
	float p[LLX_LANES];
	u32 step;
	u32 i;

	for (i = 0; i < LLX_LANES; i++)
		p[i] = f32_from_bits(0xff800000); /* -infinity */
	for (i = 0; i < n; i++)
		p[i % LLX_LANES] = larger(f32_get(x[i]), p[i % LLX_LANES]);
	for (step = LLX_LANES / 2; step; step /= 2)
		for (i = 0; i < step; i++)
			p[i] = larger(p[i + step], p[i]);
	return f32_put(p[0]);
}

static void to_f16(const llx_f32 *x, u32 n, u16 *out)
{
	u32 i;

	for (i = 0; i < n; i++)
		out[i] = f32_to_f16(f32_get(x[i]));
}

static void from_f16(const u16 *x, u32 n, llx_f32 *out)
{
	u32 i;

	for (i = 0; i < n; i++)
		out[i] = f32_put(f32_from_f16(x[i]));
}

static void q8_0_to_f16(const struct llx_block_q8_0 *blocks, u32 n_blocks,
			u16 *out)
{
	float d;
	u32 b;
	u32 i;

	for (b = 0; b < n_blocks; b++, blocks++) {
		d = f32_from_f16(blocks->d);
		for (i = 0; i < LLX_QK; i++)
			*out++ = f32_to_f16(d * (float)blocks->qs[i]);
	}
}

const struct llx_kernels llx_kernels_generic = {
	.name = "generic",
	.needs = 0,
	.matmul = {
		[LLX_TYPE_F32] = matmul,
		[LLX_TYPE_F16] = matmul,
		[LLX_TYPE_BF16] = matmul,
		[LLX_TYPE_Q8_0] = matmul,
		[LLX_TYPE_Q4_0] = matmul,
		[LLX_TYPE_Q4_1] = matmul,
		[LLX_TYPE_Q5_0] = matmul,
		[LLX_TYPE_Q5_1] = matmul,
		[LLX_TYPE_Q2_K] = matmul,
		[LLX_TYPE_Q3_K] = matmul,
		[LLX_TYPE_Q4_K] = matmul,
		[LLX_TYPE_Q5_K] = matmul,
		[LLX_TYPE_Q6_K] = matmul,
	},
	.quantize_row = quantize_row,
	.dequantize_row = llx_dequantize_row,
	.sum_squares = sum_squares,
	.scale_rows = scale_rows,
	.dot_rows = dot_rows,
	.axpy_rows = axpy_rows,
	.add = add,
	.scale = scale,
	.swiglu = swiglu,
	.exp_sum = exp_sum,
	.largest = largest,
	.to_f16 = to_f16,
	.from_f16 = from_f16,
	.q8_0_to_f16 = q8_0_to_f16,
};
