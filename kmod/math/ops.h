/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The transformer's operations on whole rows, in terms of the vector kernels.
 *
 * Formulas: RMSNorm (Zhang and Sennrich 2019), RoPE on interleaved pairs (Su
 * et al. 2021, the llama GGUF layout), grouped-query attention (Ainslie et al.
 * 2023) with an online softmax (Milakov and Gimelshein 2018), SwiGLU (Shazeer
 * 2020). All run inside an FPU section; none sleeps or allocates. Results do
 * not depend on how rows are split among workers, nor on the batch.
 */
#ifndef LLX_MATH_OPS_H
#define LLX_MATH_OPS_H

#include "../engine/port.h"
#include "../simd/kernels.h"

/* out[i] = x[i] / sqrt(mean(x^2) + eps) * weight[i]; (n) each */
void llx_op_rmsnorm(const struct llx_kernels *k, const llx_f32 *x,
		    const llx_f32 *weight, llx_f32 eps, u32 n, llx_f32 *out);

/*
 * Rotates the first @n_rot values of each of @n_head heads of @head_dim in
 * place. @cos_sin: the position's (n_rot / 2) pairs cos, sin.
 */
void llx_op_rope(llx_f32 *x, u32 n_head, u32 head_dim, u32 n_rot,
		 const llx_f32 *cos_sin);

/*
 * The table for llx_op_rope: rows @begin..@end-1 of (n_ctx, n_rot / 2, 2);
 * angle = pos * freq_base^(-2i / n_rot) * freq_scale, computed in double.
 * @freq_factors: (n_rot / 2) divisors of the frequencies, or NULL.
 */
void llx_op_rope_table(llx_f32 *table, u32 begin, u32 end, u32 n_rot,
		       llx_f32 freq_base, llx_f32 freq_scale,
		       const llx_f32 *freq_factors);

/* Keeps (n) f32 in n / LLX_QK blocks of q8_0. */
void llx_op_to_q8_0(const struct llx_kernels *k, const llx_f32 *x, u32 n,
		    struct llx_block_q8_0 *out);

/*
 * Attention of the query heads that share one KV head, for one token.
 * @q: (n_group, head_dim) f32, already rotated
 * @key, @value: (n_kv, head_dim) f16, or q8_0 if @rows is not NULL; position i is
 *	row i, but the last @n_path positions are rows @path[0..n_path - 1]
 * @rows: scratch, (2, LLX_ATTENTION_BLOCK, head_dim) f16
 * @scores: scratch, (n_group, LLX_ATTENTION_BLOCK) f32
 * @out: (n_group, head_dim) f32
 * softmax(q k / sqrt(head_dim)) v, over blocks of LLX_ATTENTION_BLOCK
 * positions; accumulators in f32.
 */
#define LLX_ATTENTION_BLOCK 64u
struct llx_attention {
	const struct llx_kernels *k;
	u32 n_group;
	u32 head_dim;
	u32 n_kv;
	const u32 *path;
	u32 n_path;
	u16 *rows;
};
void llx_op_attention(const struct llx_attention *a, const llx_f32 *q,
		      const void *key, const void *value, llx_f32 *scores,
		      llx_f32 *out);

/* Index of the largest value; the first of equals; NaN is never chosen. */
u32 llx_op_argmax(const llx_f32 *x, u32 n);

/*
 * log softmax(logits)[token] in micro-nats, rounded to nearest, computed in
 * double. At most 0; clamped at -1e9 (a probability of 0).
 */
s64 llx_op_logprob(const llx_f32 *logits, u32 n, u32 token);

/**
 * struct llx_sampling - one draw (Holtzman et al. 2020 for top-p)
 * @temperature_milli: 0 is greedy; the others as in struct llamux_params
 * @recent: tokens the repetition penalty applies to (each once)
 */
struct llx_sampling {
	u32 temperature_milli;
	u32 top_k;
	u32 top_p_milli;
	u32 min_p_milli;
	u32 repeat_penalty_milli;
	const s32 *recent;
	u32 n_recent;
};

/*
 * Draws a token from (n) @logits, which it overwrites. Order: repetition
 * penalty, top-k, temperature, softmax, top-p, min-p, draw. @random: 64 fresh
 * random bits. @index: scratch, (n) u32. Bounded work; deterministic.
 */
u32 llx_op_sample(const struct llx_kernels *k, const struct llx_sampling *s,
		  llx_f32 *logits, u32 n, u64 random, u32 *index);

/* Softmax over few values in integers' clothing: scores in micro-nats divided
 * by temperature_milli / 1000, to permille that add up to 1000. n <= 64.
 */
void llx_op_softmax_permille(const s64 *micro_nats, u32 n,
			     u32 temperature_milli, u32 *permille);

/* True if x is neither NaN nor infinite and x > 0. For hyperparameters. */
bool llx_op_is_positive(llx_f32 x);

/* 1 / x, rounded to nearest. For hyperparameters. */
llx_f32 llx_op_reciprocal(llx_f32 x);

#endif
