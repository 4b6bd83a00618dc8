// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hyperparameters of the llama architecture; see hparams.h. Every number that
 * sizes an allocation or a loop is bounded here. Names and defaults are those
 * of llama.cpp (llama-arch.cpp, llama-model.cpp).
 */
#include "../math/ops.h"
#include "hparams.h"

/* Rows of activations are quantised in blocks of this many values. */
#define ROW_MULTIPLE LLX_ACT_BLOCK
/* What the f16 dot product of attention works in. */
#define HEAD_MULTIPLE 16u

#define ONE_F32 0x3f800000u

/* Stops at the first error. */
struct keys {
	const struct llx_gguf *g;
	struct llx_exec *exec;
	struct llx_error *err;
	int ret;
};

struct positive_check {
	const llx_f32 *values;
	u32 n;
	bool all;
};

static void check_positive(void *arg, u32 begin, u32 end, u32 worker)
{
	struct positive_check *check = arg;
	u32 i;

	check->all = true;
	for (i = 0; i < check->n; i++)
		check->all &= llx_op_is_positive(check->values[i]);
}

int llx_hparams_check_positive(struct llx_exec *exec, const llx_f32 *values,
			       u32 n)
{
	struct positive_check check = { values, n, false };
	int ret = exec->parallel_for(exec, 1, 1, check_positive, &check);

	if (ret)
		return ret;
	return check.all ? 0 : -EINVAL;
}

/* An integer key; absent: @usual, or an error if that is 0. */
static void read_u32(struct keys *k, const char *name, u32 *value, u32 usual,
		     u32 least, u32 most)
{
	if (k->ret)
		return;
	*value = usual;
	k->ret = llx_gguf_read_u32(k->g, name, value, k->err);
	if (k->ret == -ENOENT && usual)
		k->ret = 0;
	else if (k->ret == -ENOENT)
		k->ret = llx_fail(k->err, -EINVAL, 0, "%s is missing", name);
	else if (!k->ret && (*value < least || *value > most))
		k->ret = llx_fail(k->err, -EINVAL,
				  llx_gguf_find_key(k->g, name)->value,
				  "%s is %u: %u to %u are accepted", name,
				  *value, least, most);
}

/* A positive float key; absent: left as it is. Returns whether it is there. */
static bool read_f32(struct keys *k, const char *name, llx_f32 *value)
{
	if (k->ret)
		return false;
	k->ret = llx_gguf_read_f32(k->g, name, value, k->err);
	if (k->ret == -ENOENT) {
		k->ret = 0;
		return false;
	}
	if (k->ret)
		return false;
	k->ret = llx_hparams_check_positive(k->exec, value, 1);
	if (k->ret == -EINVAL)
		llx_fail(k->err, -EINVAL, llx_gguf_find_key(k->g, name)->value,
			 "%s must be positive and finite, its bits are 0x%08x",
			 name, value->bits);
	return !k->ret;
}

static void check_architecture(struct keys *k)
{
	const char *name = "general.architecture";
	struct llx_gguf_text architecture;
	char shown[LLX_GGUF_SHOWN];
	u32 n_expert = 0;

	k->ret = llx_gguf_read_string(k->g, name, &architecture, k->err);
	if (k->ret == -ENOENT)
		k->ret = llx_fail(k->err, -EINVAL, 0, "%s is missing", name);
	if (k->ret)
		return;
	if (!llx_gguf_text_is(architecture, "llama")) {
		k->ret = llx_fail(k->err, -ENOEXEC,
				  llx_gguf_find_key(k->g, name)->value,
				  "architecture %s is not known: llama is",
				  llx_gguf_show(architecture, shown));
		return;
	}
	k->ret = llx_gguf_read_u32(k->g, "llama.expert_count", &n_expert, k->err);
	if (k->ret == -ENOENT)
		k->ret = 0;
	if (!k->ret && n_expert)
		k->ret = llx_fail(k->err, -ENOEXEC, 0,
				  "a mixture of %u experts cannot be run",
				  n_expert);
}

static void check_multiple(struct keys *k, const char *what, u32 value,
			   u32 multiple)
{
	if (!k->ret && value % multiple)
		k->ret = llx_fail(k->err, -EINVAL, 0,
				  "%s is %u: it must be a multiple of %u", what,
				  value, multiple);
}

static void read_attention(struct keys *k, struct llx_hparams *h)
{
	u32 value_length;

	read_u32(k, "llama.attention.head_count", &h->n_head, 0, 1,
		 LLX_MAX_HEADS);
	if (k->ret)
		return;
	read_u32(k, "llama.attention.head_count_kv", &h->n_head_kv, h->n_head,
		 1, LLX_MAX_HEADS);
	if (!k->ret && h->n_head % h->n_head_kv)
		k->ret = llx_fail(k->err, -EINVAL, 0,
				  "%u heads cannot share %u key-value heads",
				  h->n_head, h->n_head_kv);
	if (!llx_gguf_find_key(k->g, "llama.attention.key_length") &&
	    !k->ret && h->n_embd % h->n_head)
		k->ret = llx_fail(k->err, -EINVAL, 0,
				  "an embedding of %u cannot be split into %u heads",
				  h->n_embd, h->n_head);
	/* max: an absent key with a default of 0 would read as required. */
	read_u32(k, "llama.attention.key_length", &h->head_dim,
		 max(h->n_embd / h->n_head, 1u), 1, LLX_MAX_HEAD_DIM);
	if (k->ret)
		return;
	read_u32(k, "llama.attention.value_length", &value_length, h->head_dim,
		 1, LLX_MAX_HEAD_DIM);
	if (!k->ret && value_length != h->head_dim)
		k->ret = llx_fail(k->err, -ENOEXEC, 0,
				  "keys of %u and values of %u per head: they must be as long",
				  h->head_dim, value_length);
	if (!k->ret && h->head_dim > LLX_MAX_HEAD_DIM)
		k->ret = llx_fail(k->err, -EINVAL, 0,
				  "heads of %u values: at most %u are accepted",
				  h->head_dim, LLX_MAX_HEAD_DIM);
	check_multiple(k, "the length of a head", h->head_dim, HEAD_MULTIPLE);
	check_multiple(k, "the length of all heads", h->n_head * h->head_dim,
		       ROW_MULTIPLE);
}

struct inverse {
	llx_f32 x;
	llx_f32 result;
};

static void invert(void *arg, u32 begin, u32 end, u32 worker)
{
	struct inverse *inverse = arg;

	inverse->result = llx_op_reciprocal(inverse->x);
}

/* Linear scaling divides positions by a factor (llama.cpp: its inverse). */
static void read_scaling(struct keys *k, struct llx_hparams *h)
{
	static const char type_key[] = "llama.rope.scaling.type";
	struct llx_gguf_text type = { "linear", 6 };
	char shown[LLX_GGUF_SHOWN];
	llx_f32 factor = { ONE_F32 };
	struct inverse inverse;

	h->rope_freq_scale.bits = ONE_F32;
	if (k->ret)
		return;
	k->ret = llx_gguf_read_string(k->g, type_key, &type, k->err);
	if (k->ret == -ENOENT)
		k->ret = 0;
	if (k->ret || llx_gguf_text_is(type, "none"))
		return;
	if (!llx_gguf_text_is(type, "linear")) {
		k->ret = llx_fail(k->err, -ENOEXEC,
				  llx_gguf_find_key(k->g, type_key)->value,
				  "%s %s is not known: none and linear are",
				  type_key, llx_gguf_show(type, shown));
		return;
	}
	/* The second is the name in files of 2023. */
	if (!read_f32(k, "llama.rope.scaling.factor", &factor))
		read_f32(k, "llama.rope.scale_linear", &factor);
	if (k->ret)
		return;
	inverse.x = factor;
	k->ret = k->exec->parallel_for(k->exec, 1, 1, invert, &inverse);
	h->rope_freq_scale = inverse.result;
}

static void read_rope(struct keys *k, struct llx_hparams *h)
{
	if (k->ret)
		return;
	read_u32(k, "llama.rope.dimension_count", &h->n_rot, h->head_dim, 2,
		 h->head_dim);
	check_multiple(k, "llama.rope.dimension_count", h->n_rot, 2);
	h->rope_freq_base.bits = 0x461c4000u; /* 10000 */
	read_f32(k, "llama.rope.freq_base", &h->rope_freq_base);
	read_scaling(k, h);
}

static void read_context(struct keys *k, struct llx_hparams *h, u32 n_ctx_max)
{
	static const char name[] = "llama.context_length";

	read_u32(k, name, &h->n_ctx, 0, 1, (u32)-1);
	if (k->ret)
		return;
	if (n_ctx_max)
		h->n_ctx = min(h->n_ctx, n_ctx_max);
	if (h->n_ctx > LLX_MAX_CTX)
		k->ret = llx_fail(k->err, -EINVAL,
				  llx_gguf_find_key(k->g, name)->value,
				  "%s is %u: at most %u are accepted", name,
				  h->n_ctx, LLX_MAX_CTX);
}

int llx_hparams_read(struct llx_hparams *h, const struct llx_gguf *g,
		     struct llx_exec *exec, u32 n_ctx_max,
		     struct llx_error *err)
{
	static const char eps_key[] = "llama.attention.layer_norm_rms_epsilon";
	struct keys k = { .g = g, .exec = exec, .err = err };

	check_architecture(&k);
	read_u32(&k, "llama.block_count", &h->n_layer, 0, 1, LLX_MAX_LAYERS);
	read_u32(&k, "llama.embedding_length", &h->n_embd, 0, 1, LLX_MAX_EMBD);
	read_u32(&k, "llama.feed_forward_length", &h->n_ff, 0, 1, LLX_MAX_FF);
	check_multiple(&k, "llama.embedding_length", h->n_embd, ROW_MULTIPLE);
	check_multiple(&k, "llama.feed_forward_length", h->n_ff, ROW_MULTIPLE);
	read_context(&k, h, n_ctx_max);
	read_attention(&k, h);
	read_rope(&k, h);
	if (!read_f32(&k, eps_key, &h->rms_eps) && !k.ret)
		k.ret = llx_fail(err, -EINVAL, 0, "%s is missing", eps_key);
	if (k.ret == -EINTR)
		llx_fail(err, -EINTR, 0, "cancelled");
	return k.ret;
}
