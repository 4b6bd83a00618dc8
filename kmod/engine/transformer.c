// SPDX-License-Identifier: GPL-2.0-only
/*
 * The forward pass of the llama architecture (Touvron et al. 2023), one
 * paragraph per step of the paper. Integers only: what is float happens in the
 * range functions through math/ops.h and simd/kernels.h, inside the sections
 * that the executor opens.
 *
 * Every number is computed per token and per row from the same inputs in the
 * same order, whatever the batch, the ranges and the workers: that is why any
 * split gives the same bits. A new step must keep it so.
 *
 * T is the number of tokens that go through the layers together.
 */
#include "batch.h"

#include "../math/ops.h"
#include "../simd/kernels.h"

/*
 * Costs are counted as LLX_RANGE_COST is. Below RANGE_COST_MIN (5 us) waking
 * another worker costs more than it brings.
 */
#define RANGE_COST_MIN (1u << 17)
#define VALUE_COST 16u	   /* one value through a norm, RoPE, SwiGLU or copy */
#define FLOAT_MAC_COST 8u  /* a multiply-add on f32, f16 or bf16 weights */
#define EMBED_COST 640u    /* a value out of its tile, in plain C */
#define SCALAR_COST 8u	   /* plain C against vector code */
/*
 * Tokens of a batch share the unpacked weights of vector kernels: so many cost
 * as much as one alone, or less. Groups are a multiple of GROUP_TOKENS, which
 * the kernels take at once, or shorter.
 */
#define TOKENS_PER_COST 4u
#define GROUP_TOKENS 8u
#define RANGES_PER_WORKER 4u /* so that a slow worker does not hold up all */

/* The table that needs nothing is plain C. */
static u32 cost_factor(const struct batch *b)
{
	return b->k->needs ? 1 : SCALAR_COST;
}

static u32 tokens_per_cost(const struct batch *b)
{
	return b->k->needs ? TOKENS_PER_COST : 1;
}

static u32 range_cost(const struct batch *b)
{
	return b->ctx->exec->range_cost ?: LLX_RANGE_COST;
}

/* Runs @n items that cost @item_cost each; nothing after a failure. */
static void run(struct batch *b, u32 n, u64 item_cost, llx_range_fn fn,
		void *arg)
{
	struct llx_exec *exec = b->ctx->exec;
	u32 share = DIV_ROUND_UP(n, exec->n_workers * RANGES_PER_WORKER);
	u32 least = RANGE_COST_MIN / item_cost;
	u32 most = range_cost(b) / item_cost;
	u32 grain = exec->n_workers > 1 ? max(share, least) : n;

	grain = clamp(grain, 1u, max(most, 1u));
	if (!b->err)
		b->err = exec->parallel_for(exec, n, grain, fn, arg);
}

/* Runs @fn for each token; it works on about @n_values of each. */
static void run_tokens(struct batch *b, u32 n_values, llx_range_fn fn)
{
	u64 cost = (u64)n_values * VALUE_COST * cost_factor(b);

	run(b, b->n_tokens, cost, fn, b);
}

/*
 * The 8-bit form of a row that a matmul will read. A width that is no multiple
 * of 32 only feeds float types: llx_matrix_shape() refuses the others.
 */
static void quantize(struct batch *b, const llx_f32 *row, u32 n, u32 token)
{
	u32 n_blocks = n / LLX_ACT_BLOCK;

	if (n % LLX_ACT_BLOCK == 0)
		b->k->quantize_row(row, n, b->q8 + (size_t)token * n_blocks);
}

/* One matrix of a projection, and where y = x w^T goes: (T, n_rows). */
struct output {
	const struct llx_matrix *w;
	llx_f32 *y;
};

/*
 * Matrices that share their input. An item is one tile of one matrix for
 * @group tokens; items of the same tokens follow each other.
 */
struct projection {
	const struct batch *b;
	const struct output *outputs;
	const llx_f32 *x; /* (T, n_cols) and as b->q8 */
	u32 n_cols;
	u32 n_tiles; /* of all outputs */
	u32 group;
};

static void matmul(const struct projection *p, const struct output *o,
		   u32 tile_begin, u32 tile_end, u32 token)
{
	const struct llx_matrix *w = o->w;
	size_t n_blocks = p->n_cols / LLX_ACT_BLOCK;
	struct llx_activations x = {
		.f32 = p->x + (size_t)token * p->n_cols,
		.q8 = p->b->q8 + token * n_blocks,
		.f32_stride = p->n_cols,
		.q8_stride = n_blocks,
	};

	p->b->k->matmul[w->type](w, tile_begin, tile_end, &x,
				 min(p->group, p->b->n_tokens - token),
				 o->y + (size_t)token * w->n_rows, w->n_rows);
}

static void matmul_range(void *arg, u32 begin, u32 end, u32 worker)
{
	const struct projection *p = arg;

	while (begin < end) {
		u32 token = begin / p->n_tiles * p->group;
		u32 tile = begin % p->n_tiles;
		const struct output *o = p->outputs;
		u32 n;

		while (tile >= o->w->n_tiles)
			tile -= o++->w->n_tiles;
		n = min(end - begin, o->w->n_tiles - tile);
		matmul(p, o, tile, tile + n, token);
		begin += n;
	}
}

/* A tile of all tokens may be too long for one section. */
static u32 group_size(const struct batch *b, u64 token_cost)
{
	u32 most = range_cost(b) / token_cost * tokens_per_cost(b);

	if (most >= GROUP_TOKENS)
		most -= most % GROUP_TOKENS;
	return clamp(most, 1u, b->n_tokens);
}

/* outputs[i].y = x outputs[i].w^T; x: (T, n_cols), already quantised */
static void project(struct batch *b, const llx_f32 *x,
		    const struct output *outputs, u32 n_outputs)
{
	struct projection p = {
		.b = b,
		.outputs = outputs,
		.x = x,
		.n_cols = outputs[0].w->n_cols,
	};
	u64 cost = (u64)p.n_cols * LLX_TILE_ROWS * cost_factor(b);
	bool quantized = true;
	u32 i;

	for (i = 0; i < n_outputs; i++) {
		p.n_tiles += outputs[i].w->n_tiles;
		if (!llx_type_traits(outputs[i].w->type)->quantized_input)
			quantized = false;
	}
	if (!quantized)
		cost *= FLOAT_MAC_COST;
	p.group = group_size(b, cost);
	run(b, p.n_tiles * DIV_ROUND_UP(b->n_tokens, p.group),
	    cost * DIV_ROUND_UP(p.group, tokens_per_cost(b)), matmul_range,
	    &p);
}

static void embed_range(void *arg, u32 begin, u32 end, u32 worker)
{
	struct batch *b = arg;
	u32 n = hparams(b)->n_embd;
	u32 t;

	for (t = begin; t < end; t++)
		b->k->dequantize_row(&b->model->token_embd, b->tokens[t],
				     b->x + (size_t)t * n);
}

/* norm = rmsnorm(x) * weight, and its 8-bit form */
static void norm_range(void *arg, u32 begin, u32 end, u32 worker)
{
	struct batch *b = arg;
	u32 n = hparams(b)->n_embd;
	u32 t;

	for (t = begin; t < end; t++) {
		llx_f32 *norm = b->norm + (size_t)t * n;

		llx_op_rmsnorm(b->k, b->x + (size_t)t * n, b->norm_weight,
			       hparams(b)->rms_eps, n, norm);
		quantize(b, norm, n, t);
	}
}

/* x += y, then norm as above */
static void add_and_norm_range(void *arg, u32 begin, u32 end, u32 worker)
{
	struct batch *b = arg;
	u32 n = hparams(b)->n_embd;
	u32 t;

	for (t = begin; t < end; t++)
		b->k->add(b->y + (size_t)t * n, n, b->x + (size_t)t * n);
	norm_range(arg, begin, end, worker);
}

/* Where row @pos of a KV head lies in either cache, in bytes */
static size_t cache_offset(const struct batch *b, u32 kv_head, u32 pos)
{
	size_t run = (size_t)b->layer_index * hparams(b)->n_head_kv + kv_head;

	return (run * b->ctx->n_ctx + pos) * llx_cache_row_bytes(b->model);
}

static void store(const struct batch *b, const llx_f32 *x, void *row)
{
	u32 n = hparams(b)->head_dim;

	if (b->model->cache_type == LLX_CACHE_Q8_0)
		llx_op_to_q8_0(b->k, x, n, row);
	else
		b->k->to_f16(x, n, row);
}

static void rope_and_store_range(void *arg, u32 begin, u32 end, u32 worker)
{
	struct batch *b = arg;
	const struct llx_hparams *h = hparams(b);
	u32 head;
	u32 t;

	for (t = begin; t < end; t++) {
		const llx_f32 *turn = b->model->rope_table +
				      (size_t)b->positions[t] * h->n_rot;
		llx_f32 *q = b->q + (size_t)t * q_width(h);
		llx_f32 *key = b->key + (size_t)t * kv_width(h);
		llx_f32 *value = b->value + (size_t)t * kv_width(h);

		llx_op_rope(q, h->n_head, h->head_dim, h->n_rot, turn);
		llx_op_rope(key, h->n_head_kv, h->head_dim, h->n_rot, turn);
		for (head = 0; head < h->n_head_kv; head++) {
			size_t to = cache_offset(b, head, b->pos + t);
			u32 from = head * h->head_dim;

			store(b, key + from, b->ctx->key_cache + to);
			store(b, value + from, b->ctx->value_cache + to);
		}
	}
}

/*
 * The rows of the cache that hold node @t and what leads to it, after the
 * context's own. Return: how many.
 */
static u32 path_to(const struct batch *b, u32 t, u32 *rows)
{
	u32 n = b->positions[t] - b->pos + 1;
	u32 i;

	for (i = n; i; i--, t = b->nodes[t].parent)
		rows[i - 1] = b->pos + t;
	return n;
}

/* An item is up to heads_per_item query heads of one KV head of one token. */
static void attention_item(struct batch *b, u32 item, u32 worker)
{
	const struct llx_hparams *h = hparams(b);
	u32 n_group = h->n_head / h->n_head_kv;
	u32 part = item % b->items_per_kv_head;
	u32 kv_head = item / b->items_per_kv_head % h->n_head_kv;
	u32 t = item / b->items_per_kv_head / h->n_head_kv;
	u32 first = part * b->heads_per_item;
	size_t cache = cache_offset(b, kv_head, 0);
	u32 path[LLX_MAX_DEPTH];
	size_t heads = (size_t)t * q_width(h) +
		       (kv_head * n_group + first) * h->head_dim;
	struct llx_attention a = {
		.k = b->k,
		.n_group = min(b->heads_per_item, n_group - first),
		.head_dim = h->head_dim,
		.n_kv = b->positions[t] + 1,
		.path = path,
	};

	if (b->nodes)
		a.n_path = path_to(b, t, path);
	if (b->rows)
		a.rows = b->rows + (size_t)worker * 2 * LLX_ATTENTION_BLOCK *
					   h->head_dim;

	llx_op_attention(&a, b->q + heads, b->ctx->key_cache + cache,
			 b->ctx->value_cache + cache,
			 b->scores + (size_t)worker * MAX_HEADS_PER_ITEM *
				     LLX_ATTENTION_BLOCK,
			 b->attn + heads);
}

static void attention_range(void *arg, u32 begin, u32 end, u32 worker)
{
	for (; begin < end; begin++)
		attention_item(arg, begin, worker);
}

/* attn = softmax(q key^T / sqrt(head_dim)) value, each token on its past */
static void attention(struct batch *b)
{
	const struct llx_hparams *h = hparams(b);
	u32 n_group = h->n_head / h->n_head_kv;
	u64 head_cost = 2ull * (b->pos + b->n_tokens) * h->head_dim *
			FLOAT_MAC_COST * cost_factor(b);
	u32 most = min(n_group, MAX_HEADS_PER_ITEM);

	b->heads_per_item = clamp((u32)(range_cost(b) / head_cost), 1u, most);
	b->items_per_kv_head = DIV_ROUND_UP(n_group, b->heads_per_item);
	run(b, b->n_tokens * h->n_head_kv * b->items_per_kv_head,
	    head_cost * b->heads_per_item, attention_range, b);
}

static void quantize_attn_range(void *arg, u32 begin, u32 end, u32 worker)
{
	struct batch *b = arg;
	u32 n = q_width(hparams(b));
	u32 t;

	for (t = begin; t < end; t++)
		quantize(b, b->attn + (size_t)t * n, n, t);
}

/* gate = silu(gate) * up, and its 8-bit form */
static void swiglu_range(void *arg, u32 begin, u32 end, u32 worker)
{
	struct batch *b = arg;
	u32 n = hparams(b)->n_ff;
	u32 t;

	for (t = begin; t < end; t++) {
		llx_f32 *gate = b->gate + (size_t)t * n;

		b->k->swiglu(gate, b->up + (size_t)t * n, n);
		quantize(b, gate, n, t);
	}
}

static void forward_layer(struct batch *b)
{
	const struct llx_hparams *h = hparams(b);
	const struct llx_layer *l = b->layer;

	/* q, key, value: (T, n_embd) -> (T, heads * head_dim) */
	project(b, b->norm,
		(const struct output[]){ { &l->attn_q, b->q },
					 { &l->attn_k, b->key },
					 { &l->attn_v, b->value } }, 3);

	/* turn q and key by their position; key, value -> cache */
	run_tokens(b, q_width(h) + 2 * kv_width(h), rope_and_store_range);

	/* attn: (T, n_head * head_dim), over positions 0..pos + t */
	attention(b);
	run_tokens(b, q_width(h), quantize_attn_range);

	/* x += attn Wo: (T, n_head * head_dim) -> (T, n_embd) */
	project(b, b->attn,
		&(const struct output){ &l->attn_output, b->y }, 1);

	/* norm = rmsnorm(x): (T, n_embd) */
	b->norm_weight = l->ffn_norm;
	run_tokens(b, h->n_embd, add_and_norm_range);

	/* gate, up: (T, n_embd) -> (T, n_ff); gate = silu(gate) * up */
	project(b, b->norm,
		(const struct output[]){ { &l->ffn_gate, b->gate },
					 { &l->ffn_up, b->up } }, 2);
	run_tokens(b, h->n_ff, swiglu_range);

	/* x += gate Wdown: (T, n_ff) -> (T, n_embd) */
	project(b, b->gate, &(const struct output){ &l->ffn_down, b->y }, 1);
}

static void forward(struct batch *b)
{
	const struct llx_model *model = b->model;
	u32 n = hparams(b)->n_embd;
	u32 i;

	/* x = embedding of each token, norm = rmsnorm(x): (T, n_embd) */
	run(b, b->n_tokens, (u64)n * EMBED_COST, embed_range, b);
	b->norm_weight = model->layers[0].attn_norm;
	run_tokens(b, n, norm_range);

	for (i = 0; i < hparams(b)->n_layer; i++) {
		b->layer_index = i;
		b->layer = &model->layers[i];
		forward_layer(b);
		/* What ends a layer begins the next, or the output. */
		b->norm_weight = i + 1 < hparams(b)->n_layer ?
					 model->layers[i + 1].attn_norm :
					 model->output_norm;
		run_tokens(b, n, add_and_norm_range);
	}
}

/* logits of @n tokens from @first on: (n, n_embd) -> (n, n_vocab) */
static void forward_output(struct batch *b, u32 first, u32 n)
{
	llx_f32 *x = b->x;

	b->x += (size_t)first * hparams(b)->n_embd;
	b->n_tokens = n;
	run_tokens(b, hparams(b)->n_embd, norm_range);
	project(b, b->norm,
		&(const struct output){ &b->model->output, b->ctx->logits }, 1);
	b->x = x;
}

static bool is_token(const struct batch *b, s32 token)
{
	return token >= 0 && (u32)token < hparams(b)->n_vocab;
}

int llx_context_eval(struct llx_context *ctx, const s32 *tokens, u32 n_tokens,
		     bool want_logits)
{
	struct batch *b = ctx->scratch;
	u32 done;
	u32 i;

	if (!n_tokens)
		return want_logits ? -EINVAL : 0;
	if (n_tokens > ctx->n_ctx - ctx->n_past)
		return -E2BIG;
	for (i = 0; i < n_tokens; i++)
		if (!is_token(b, tokens[i]))
			return -EINVAL;

	b->err = 0;
	b->nodes = NULL;
	for (done = 0; done < n_tokens && !b->err; done += b->n_tokens) {
		b->tokens = tokens + done;
		b->n_tokens = min(n_tokens - done, LLX_MAX_BATCH);
		b->pos = ctx->n_past + done;
		for (i = 0; i < b->n_tokens; i++)
			b->positions[i] = b->pos + i;
		forward(b);
	}
	if (want_logits)
		forward_output(b, b->n_tokens - 1, 1);
	if (!b->err)
		ctx->n_past += n_tokens;
	return b->err;
}

int llx_context_eval_tree(struct llx_context *ctx, const struct llx_node *nodes,
			  u32 n_nodes)
{
	struct batch *b = ctx->scratch;
	s32 tokens[LLX_MAX_BATCH];
	u32 depth;
	u32 i;

	if (!n_nodes)
		return -EINVAL;
	if (n_nodes > LLX_MAX_BATCH || n_nodes > ctx->n_ctx - ctx->n_past)
		return -E2BIG;
	for (i = 0; i < n_nodes; i++) {
		bool is_root = nodes[i].parent == LLX_ROOT;

		if (!is_token(b, nodes[i].token) ||
		    (!is_root && nodes[i].parent >= i))
			return -EINVAL;
		depth = is_root ? 0 :
				  b->positions[nodes[i].parent] - ctx->n_past + 1;
		if (depth >= LLX_MAX_DEPTH)
			return -E2BIG;
		b->positions[i] = ctx->n_past + depth;
		tokens[i] = nodes[i].token;
	}

	b->err = 0;
	b->tokens = tokens;
	b->nodes = nodes;
	b->n_tokens = n_nodes;
	b->pos = ctx->n_past;
	forward(b);
	return b->err;
}

int llx_context_tree_logits(struct llx_context *ctx, u32 first, u32 n)
{
	struct batch *b = ctx->scratch;

	forward_output(b, first, n);
	return b->err;
}
