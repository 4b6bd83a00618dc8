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
#include "transformer.h"

#include "../math/ops.h"
#include "../simd/kernels.h"

/*
 * Costs are counted in multiply-adds of the int8 matmul of one token, of which
 * memory lets a core do about 20 a nanosecond. A range of RANGE_COST_MAX then
 * holds the FPU for about 50 us; below RANGE_COST_MIN (5 us) waking another
 * worker costs more than it brings.
 */
#define RANGE_COST_MAX (1u << 20)
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

/* Query heads that go through attention together; bounds the scores. */
#define MAX_HEADS_PER_ITEM 8u

/*
 * What is being evaluated and the memory for it: one allocation, this struct
 * first. Buffers are (T, ...) with room for T = min(LLX_MAX_BATCH, n_ctx).
 */
struct batch {
	struct llx_context *ctx;
	const struct llx_model *model;
	const struct llx_kernels *k;
	const s32 *tokens; /* (n_tokens) */
	u32 n_tokens;	   /* T of this batch */
	u32 pos;	   /* position of the first token */
	int err;	   /* of the first step that failed; later ones are skipped */

	u32 layer_index;
	const struct llx_layer *layer;
	const llx_f32 *norm_weight; /* (n_embd) of the next norm */
	u32 heads_per_item;
	u32 items_per_kv_head;

	llx_f32 *x;		 /* (T, n_embd) the residual stream */
	llx_f32 *y;		 /* (T, n_embd) what a block adds to it */
	llx_f32 *norm;		 /* (T, n_embd) */
	llx_f32 *q;		 /* (T, n_head * head_dim) */
	llx_f32 *key;		 /* (T, n_head_kv * head_dim) */
	llx_f32 *value;		 /* (T, n_head_kv * head_dim) */
	llx_f32 *attn;		 /* (T, n_head * head_dim) */
	llx_f32 *gate;		 /* (T, n_ff) */
	llx_f32 *up;		 /* (T, n_ff) */
	struct llx_act_block *q8; /* (T, widest matmul input / 32) */
	llx_f32 *scores;	 /* (workers, heads, LLX_ATTENTION_BLOCK) */
};

static const struct llx_hparams *hparams(const struct batch *b)
{
	return &b->model->hparams;
}

/* Values of one token's queries and of its keys. */
static u32 q_width(const struct llx_hparams *h)
{
	return h->n_head * h->head_dim;
}

static u32 kv_width(const struct llx_hparams *h)
{
	return h->n_head_kv * h->head_dim;
}

/* The table that needs nothing is plain C. */
static u32 cost_factor(const struct batch *b)
{
	return b->k->needs ? 1 : SCALAR_COST;
}

static u32 tokens_per_cost(const struct batch *b)
{
	return b->k->needs ? TOKENS_PER_COST : 1;
}

/* Runs @n items that cost @item_cost each; nothing after a failure. */
static void run(struct batch *b, u32 n, u64 item_cost, llx_range_fn fn,
		void *arg)
{
	struct llx_exec *exec = b->ctx->exec;
	u32 share = DIV_ROUND_UP(n, exec->n_workers * RANGES_PER_WORKER);
	u32 least = RANGE_COST_MIN / item_cost;
	u32 most = RANGE_COST_MAX / item_cost;
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
	u32 most = RANGE_COST_MAX / token_cost * tokens_per_cost(b);

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

/* Where @pos of a KV head lies in either cache: (head_dim) */
static size_t cache_offset(const struct batch *b, u32 kv_head, u32 pos)
{
	const struct llx_hparams *h = hparams(b);
	size_t row = (size_t)b->layer_index * h->n_head_kv + kv_head;

	return (row * b->ctx->n_ctx + pos) * h->head_dim;
}

static void rope_and_store_range(void *arg, u32 begin, u32 end, u32 worker)
{
	struct batch *b = arg;
	const struct llx_hparams *h = hparams(b);
	u32 head;
	u32 t;

	for (t = begin; t < end; t++) {
		u32 pos = b->pos + t;
		const llx_f32 *turn = b->model->rope_table + (size_t)pos * h->n_rot;
		llx_f32 *q = b->q + (size_t)t * q_width(h);
		llx_f32 *key = b->key + (size_t)t * kv_width(h);
		llx_f32 *value = b->value + (size_t)t * kv_width(h);

		llx_op_rope(q, h->n_head, h->head_dim, h->n_rot, turn);
		llx_op_rope(key, h->n_head_kv, h->head_dim, h->n_rot, turn);
		for (head = 0; head < h->n_head_kv; head++) {
			size_t to = cache_offset(b, head, pos);
			u32 from = head * h->head_dim;

			b->k->to_f16(key + from, h->head_dim,
				     b->ctx->key_cache + to);
			b->k->to_f16(value + from, h->head_dim,
				     b->ctx->value_cache + to);
		}
	}
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
	size_t heads = (size_t)t * q_width(h) +
		       (kv_head * n_group + first) * h->head_dim;
	struct llx_attention a = {
		.k = b->k,
		.n_group = min(b->heads_per_item, n_group - first),
		.head_dim = h->head_dim,
		.n_kv = b->pos + t + 1,
		.kv_stride = h->head_dim,
	};

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

	b->heads_per_item = clamp((u32)(RANGE_COST_MAX / head_cost), 1u, most);
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

	/* turn q and key by their position; key, value -> cache, as f16 */
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

/* logits of the last token: (n_embd) -> (n_vocab) */
static void forward_output(struct batch *b)
{
	llx_f32 *x = b->x;

	b->x += (size_t)(b->n_tokens - 1) * hparams(b)->n_embd;
	b->n_tokens = 1;
	run_tokens(b, hparams(b)->n_embd, norm_range);
	project(b, b->norm,
		&(const struct output){ &b->model->output, b->ctx->logits }, 1);
	b->x = x;
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
		if (tokens[i] < 0 || (u32)tokens[i] >= hparams(b)->n_vocab)
			return -EINVAL;

	b->err = 0;
	for (done = 0; done < n_tokens && !b->err; done += b->n_tokens) {
		b->tokens = tokens + done;
		b->n_tokens = min(n_tokens - done, LLX_MAX_BATCH);
		b->pos = ctx->n_past + done;
		forward(b);
	}
	if (want_logits)
		forward_output(b);
	if (!b->err)
		ctx->n_past += n_tokens;
	return b->err;
}

void llx_context_truncate(struct llx_context *ctx, u32 n_past)
{
	ctx->n_past = min(ctx->n_past, n_past);
}

/* Hands out parts of one allocation; with @base NULL it only counts. */
struct carver {
	u8 *base;
	size_t used;
	bool overflow;
};

/* (a, b) elements of @size bytes, on a cache line of their own. */
static void *carve(struct carver *c, size_t a, size_t b, size_t size)
{
	size_t at = c->used;
	size_t bytes;

	if (check_mul_overflow(a, b, &bytes) ||
	    check_mul_overflow(bytes, size, &bytes) ||
	    check_add_overflow(bytes, (size_t)63, &bytes) ||
	    check_add_overflow(at, bytes & ~(size_t)63, &c->used))
		c->overflow = true;
	return c->base ? c->base + at : NULL;
}

/*
 * Lays @b's buffers out at @base; returns the bytes of all, the struct
 * included, 0 if they cannot be counted. With @base NULL @b gets no pointers
 * that may be used.
 */
static size_t carve_batch(struct batch *b, const struct llx_hparams *h,
			  u32 n_ctx, u8 *base)
{
	struct carver c = { .base = base };
	u32 n = min(n_ctx, LLX_MAX_BATCH);
	u32 widest = max(h->n_embd, h->n_ff);

	widest = max(widest, q_width(h));
	carve(&c, 1, 1, sizeof(*b));
	b->x = carve(&c, n, h->n_embd, sizeof(*b->x));
	b->y = carve(&c, n, h->n_embd, sizeof(*b->y));
	b->norm = carve(&c, n, h->n_embd, sizeof(*b->norm));
	b->q = carve(&c, n, q_width(h), sizeof(*b->q));
	b->key = carve(&c, n, kv_width(h), sizeof(*b->key));
	b->value = carve(&c, n, kv_width(h), sizeof(*b->value));
	b->attn = carve(&c, n, q_width(h), sizeof(*b->attn));
	b->gate = carve(&c, n, h->n_ff, sizeof(*b->gate));
	b->up = carve(&c, n, h->n_ff, sizeof(*b->up));
	b->q8 = carve(&c, n, widest / LLX_ACT_BLOCK, sizeof(*b->q8));
	b->scores = carve(&c, LLX_MAX_WORKERS * MAX_HEADS_PER_ITEM,
			  LLX_ATTENTION_BLOCK, sizeof(*b->scores));
	return c.overflow ? 0 : c.used;
}

/* Bytes of either cache; 0: too many to count. */
static size_t cache_bytes(const struct llx_hparams *h, u32 n_ctx)
{
	size_t bytes;

	if (check_mul_overflow((size_t)h->n_layer, (size_t)kv_width(h),
			       &bytes) ||
	    check_mul_overflow(bytes, (size_t)n_ctx, &bytes) ||
	    check_mul_overflow(bytes, sizeof(u16), &bytes))
		return 0;
	return bytes;
}

size_t llx_context_bytes(const struct llx_model *model, u32 n_ctx)
{
	const struct llx_hparams *h = &model->hparams;
	size_t cache = cache_bytes(h, n_ctx);
	struct batch counted;
	size_t scratch = carve_batch(&counted, h, n_ctx, NULL);
	size_t bytes;

	if (!n_ctx || n_ctx > h->n_ctx || !cache || !scratch ||
	    check_add_overflow(cache, cache, &bytes) ||
	    check_add_overflow(bytes, scratch, &bytes) ||
	    check_add_overflow(bytes, h->n_vocab * sizeof(llx_f32), &bytes))
		return 0;
	return bytes;
}

int llx_context_init(struct llx_context *ctx, const struct llx_model *model,
		     struct llx_exec *exec, u32 n_ctx)
{
	const struct llx_hparams *h = &model->hparams;
	struct batch *b;
	struct batch counted;

	memset(ctx, 0, sizeof(*ctx));
	if (!n_ctx || n_ctx > h->n_ctx)
		return -EINVAL;
	if (!llx_context_bytes(model, n_ctx))
		return -ENOMEM;
	ctx->model = model;
	ctx->exec = exec;
	ctx->n_ctx = n_ctx;
	ctx->key_cache = llx_alloc(cache_bytes(h, n_ctx));
	ctx->value_cache = llx_alloc(cache_bytes(h, n_ctx));
	ctx->logits = llx_alloc(h->n_vocab * sizeof(*ctx->logits));
	b = llx_alloc(carve_batch(&counted, h, n_ctx, NULL));
	ctx->scratch = b;
	if (!ctx->key_cache || !ctx->value_cache || !ctx->logits || !b) {
		llx_context_destroy(ctx);
		return -ENOMEM;
	}
	carve_batch(b, h, n_ctx, (u8 *)b);
	b->ctx = ctx;
	b->model = model;
	b->k = model->kernels;
	return 0;
}

void llx_context_destroy(struct llx_context *ctx)
{
	llx_free(ctx->key_cache);
	llx_free(ctx->value_cache);
	llx_free(ctx->logits);
	llx_free(ctx->scratch);
	memset(ctx, 0, sizeof(*ctx));
}
