// SPDX-License-Identifier: GPL-2.0-only
/*
 * The transformer's operations on rows, in terms of a table of vector kernels.
 * The bits of a result depend neither on the table nor on how rows are split.
 */
#include "ops.h"
#include "mathf.h"

#define HEADS_AT_ONCE 16u

void llx_op_rmsnorm(const struct llx_kernels *k, const llx_f32 *x,
		    const llx_f32 *weight, llx_f32 eps, u32 n, llx_f32 *out)
{
	float mean = mathf_get(k->sum_squares(x, n)) / (float)n;
	float root = __builtin_sqrtf(mean + mathf_get(eps));

	k->scale_rows(x, mathf_put(1.0f / root), weight, n, out);
}

static void rotate(llx_f32 *x, u32 n_rot, const llx_f32 *cos_sin)
{
	float x0;
	float x1;
	float c;
	float s;
	u32 i;

	for (i = 0; i < n_rot; i += 2) {
		x0 = mathf_get(x[i]);
		x1 = mathf_get(x[i + 1]);
		c = mathf_get(cos_sin[i]);
		s = mathf_get(cos_sin[i + 1]);
		x[i] = mathf_put(x0 * c - x1 * s);
		x[i + 1] = mathf_put(x0 * s + x1 * c);
	}
}

void llx_op_rope(llx_f32 *x, u32 n_head, u32 head_dim, u32 n_rot,
		 const llx_f32 *cos_sin)
{
	u32 h;

	for (h = 0; h < n_head; h++)
		rotate(x + (size_t)h * head_dim, n_rot, cos_sin);
}

void llx_op_rope_table(llx_f32 *table, u32 begin, u32 end, u32 n_rot,
		       llx_f32 freq_base, llx_f32 freq_scale,
		       const llx_f32 *freq_factors)
{
	double log_base = llx_mathf_log(mathf_get(freq_base));
	llx_f32 *pair;
	double freq;
	double sin;
	double cos;
	u32 pos;
	u32 i;

	for (i = 0; i < n_rot; i += 2) {
		freq = llx_mathf_exp(-(double)i / n_rot * log_base);
		freq = freq * mathf_get(freq_scale);
		if (freq_factors)
			freq = freq / mathf_get(freq_factors[i / 2]);
		for (pos = begin; pos < end; pos++) {
			pair = table + (size_t)pos * n_rot + i;
			llx_mathf_sincos(pos * freq, &sin, &cos);
			pair[0] = mathf_put((float)cos);
			pair[1] = mathf_put((float)sin);
		}
	}
}

void llx_op_to_q8_0(const struct llx_kernels *k, const llx_f32 *x, u32 n,
		    struct llx_block_q8_0 *out)
{
	struct llx_act_block block;
	u32 i;

	for (i = 0; i < n; i += LLX_QK, out++) {
		k->quantize_row(x + i, LLX_QK, &block);
		k->to_f16(&block.d, 1, &out->d);
		memcpy(out->qs, block.q, sizeof(out->qs));
	}
}

/* exp(x) by the table, for one value */
static float exp_one(const struct llx_kernels *k, float x)
{
	llx_f32 value = mathf_put(x);

	k->exp_sum(&value, 1, mathf_put(0.0f));
	return mathf_get(value);
}

/* How many of @n positions from @pos on lie together, and in which row. */
static u32 rows_together(const struct llx_attention *a, u32 pos, u32 n, u32 *row)
{
	u32 first = a->n_kv - a->n_path; /* on the path */

	if (pos < first) {
		*row = pos;
		return min(n, first - pos);
	}
	*row = a->path[pos - first];
	return 1;
}

/*
 * One block of positions for one head: the new maximum rescales what was
 * summed so far (Milakov and Gimelshein 2018).
 */
static void attend_block(const struct llx_attention *a, const llx_f32 *q,
			 const u16 *key, const u16 *value, u32 begin, u32 n,
			 llx_f32 *scores, float *max, float *sum, llx_f32 *out)
{
	const struct llx_kernels *k = a->k;
	float scale = 1.0f / __builtin_sqrtf((float)a->head_dim);
	float before = *max;
	float shrink;
	u32 row;
	u32 j;
	u32 m;

	for (j = 0; j < n; j += m) {
		m = rows_together(a, begin + j, n - j, &row);
		k->dot_rows(q, key + (size_t)row * a->head_dim, a->head_dim, m,
			    a->head_dim, scores + j);
	}
	k->scale(mathf_put(scale), n, scores);
	*max = mathf_get(k->largest(scores, n));
	*max = *max > before ? *max : before;
	shrink = exp_one(k, before - *max);
	*sum = *sum * shrink +
	       mathf_get(k->exp_sum(scores, n, mathf_put(*max)));
	k->scale(mathf_put(shrink), a->head_dim, out);
	for (j = 0; j < n; j += m) {
		m = rows_together(a, begin + j, n - j, &row);
		k->axpy_rows(scores + j, value + (size_t)row * a->head_dim,
			     a->head_dim, m, a->head_dim, out);
	}
}

/* @n positions from @begin on, as f16 and one after another */
static void unpack_rows(const struct llx_attention *a,
			const struct llx_block_q8_0 *blocks, u32 begin, u32 n,
			u16 *out)
{
	u32 n_blocks = a->head_dim / LLX_QK; /* of a row */
	u32 row;
	u32 j;
	u32 m;

	for (j = 0; j < n; j += m) {
		m = rows_together(a, begin + j, n - j, &row);
		a->k->q8_0_to_f16(blocks + (size_t)row * n_blocks, m * n_blocks,
				  out + (size_t)j * a->head_dim);
	}
}

static void attend_heads(const struct llx_attention *a, u32 n_heads,
			 const llx_f32 *q, const void *key, const void *value,
			 llx_f32 *scores, llx_f32 *out)
{
	struct llx_attention unpacked = { .k = a->k, .head_dim = a->head_dim };
	const struct llx_attention *rows = a;
	u16 *value_rows = NULL;
	float max[HEADS_AT_ONCE];
	float sum[HEADS_AT_ONCE];
	u32 begin;
	u32 first; /* of the block, in rows */
	u32 n;
	u32 h;

	if (a->rows) {
		rows = &unpacked;
		value_rows = a->rows + LLX_ATTENTION_BLOCK * a->head_dim;
	}
	memset(out, 0, sizeof(*out) * n_heads * a->head_dim);
	for (h = 0; h < n_heads; h++) {
		/* finite, so that the first shrink is exp(-large) = 0 */
		max[h] = -3.0e38f;
		sum[h] = 0.0f;
	}
	for (begin = 0; begin < a->n_kv; begin += LLX_ATTENTION_BLOCK) {
		n = min(a->n_kv - begin, LLX_ATTENTION_BLOCK);
		first = begin;
		if (a->rows) {
			unpack_rows(a, key, begin, n, a->rows);
			unpack_rows(a, value, begin, n, value_rows);
			unpacked.n_kv = n;
			first = 0;
		}
		for (h = 0; h < n_heads; h++)
			attend_block(rows, q + h * a->head_dim,
				     a->rows ?: key, value_rows ?: value,
				     first, n,
				     scores + h * LLX_ATTENTION_BLOCK, &max[h],
				     &sum[h], out + h * a->head_dim);
	}
	for (h = 0; h < n_heads; h++)
		a->k->scale(mathf_put(1.0f / sum[h]), a->head_dim,
			    out + h * a->head_dim);
}

void llx_op_attention(const struct llx_attention *a, const llx_f32 *q,
		      const void *key, const void *value, llx_f32 *scores,
		      llx_f32 *out)
{
	u32 h;
	u32 n;

	for (h = 0; h < a->n_group; h += n) {
		n = min(a->n_group - h, HEADS_AT_ONCE);
		attend_heads(a, n, q + (size_t)h * a->head_dim, key, value,
			     scores + h * LLX_ATTENTION_BLOCK,
			     out + (size_t)h * a->head_dim);
	}
}

bool llx_op_is_positive(llx_f32 x)
{
	return x.bits != 0 && x.bits < 0x7f800000;
}

llx_f32 llx_op_reciprocal(llx_f32 x)
{
	return mathf_put(1.0f / mathf_get(x));
}
