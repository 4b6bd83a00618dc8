// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loads a model: metadata into memory, then the weights, tensor by tensor,
 * through one buffer into packed tiles. lay_out() names every tensor of the
 * architecture once; it runs twice, first to check shapes and measure memory,
 * then to read. Whatever fails leaves nothing behind.
 */
#include "../math/ops.h"
#include "gguf.h"
#include "hparams.h"
#include "model.h"
#include "prefix.h"
#include "prompt.h"
#include "tokenizer_load.h"

/* Grows geometrically from here, so a small file costs little. */
#define FIRST_READ_BYTES (64u << 10)
/* Reads of at least this size where tensors are large enough. */
#define MIN_CHUNK_BYTES (256u << 10)
/* Angles computed in one FPU section: some 30 us. */
#define ROPE_GRAIN_ANGLES 256u

struct loader {
	const struct llx_reader *reader;
	struct llx_exec *exec;
	struct llx_error *err;
	struct llx_model *model;
	struct llx_gguf gguf;
	u8 *metadata;
	u64 metadata_bytes;
	u8 *chunk; /* rows as the file has them */
	u64 chunk_bytes;
	llx_f32 *freq_factors; /* (n_rot / 2), or NULL */
	u64 values_of_type[LLX_N_TYPES];
};

static int read_file(struct loader *l, u64 offset, void *buf, size_t bytes)
{
	int ret = l->reader->read(l->reader->ctx, offset, buf, bytes);

	if (ret)
		return llx_fail(l->err, ret, offset,
				"cannot read %zu bytes of the file: error %d",
				bytes, -ret);
	return 0;
}

/* Lengthens the metadata buffer to @bytes. */
static int grow_metadata(struct loader *l, u64 bytes)
{
	u8 *longer = llx_alloc(bytes);
	int ret;

	if (!longer)
		return llx_fail(l->err, -ENOMEM, 0,
				"no memory for %llu bytes of metadata", bytes);
	if (l->metadata_bytes)
		memcpy(longer, l->metadata, l->metadata_bytes);
	ret = read_file(l, l->metadata_bytes, longer + l->metadata_bytes,
			bytes - l->metadata_bytes);
	if (ret) {
		llx_free(longer);
		return ret;
	}
	llx_free(l->metadata);
	l->metadata = longer;
	l->metadata_bytes = bytes;
	return 0;
}

static int read_metadata(struct loader *l)
{
	u64 file_bytes = l->reader->size;
	u64 wanted = min_t(u64, file_bytes, FIRST_READ_BYTES);
	int ret;

	for (;;) {
		if (wanted > l->metadata_bytes) {
			ret = grow_metadata(l, wanted);
			if (ret)
				return ret;
		}
		ret = llx_gguf_parse(&l->gguf, l->metadata, l->metadata_bytes,
				     file_bytes, l->err);
		if (ret != -EAGAIN)
			return ret;
		if (l->gguf.needed > LLX_MAX_METADATA_BYTES)
			return llx_fail(l->err, -EINVAL, l->gguf.pos,
					"the metadata is longer than %u bytes",
					LLX_MAX_METADATA_BYTES);
		wanted = max(2 * l->metadata_bytes, l->gguf.needed);
		wanted = min_t(u64, wanted, LLX_MAX_METADATA_BYTES);
		wanted = min(wanted, file_bytes);
	}
}

const char *const llx_prompt_format_names[LLX_N_PROMPT_FORMATS] = {
	[LLX_PROMPT_PLAIN] = "plain",	[LLX_PROMPT_PILOT] = "pilot",
	[LLX_PROMPT_ZEPHYR] = "zephyr", [LLX_PROMPT_CHATML] = "chatml",
	[LLX_PROMPT_LLAMA2] = "llama-2", [LLX_PROMPT_LLAMA3] = "llama-3",
};

/*
 * What tells the templates apart, as in llama.cpp (llama-chat.cpp): both marks,
 * without the third. Phi 3 has the roles of zephyr but ends turns differently.
 */
static const struct {
	enum llx_prompt_format format;
	const char *marks[2];
	const char *without;
} chat_templates[] = {
	{ LLX_PROMPT_CHATML, { "<|im_start|>", "<|im_end|>" }, NULL },
	{ LLX_PROMPT_LLAMA3, { "<|start_header_id|>", "<|eot_id|>" }, NULL },
	{ LLX_PROMPT_LLAMA2, { "[INST]", "<<SYS>>" }, NULL },
	{ LLX_PROMPT_ZEPHYR, { "<|user|>", "<|assistant|>" }, "<|end|>" },
};

static int find_chat_template(struct loader *l)
{
	static const char key[] = "tokenizer.chat_template";
	struct llx_gguf_text text = { "", 0 };
	u32 i;
	int ret;

	ret = llx_gguf_read_string(&l->gguf, key, &text, l->err);
	if ((ret && ret != -ENOENT) || !text.bytes)
		return ret == -ENOENT ? 0 : ret;
	for (i = 0; i < ARRAY_SIZE(chat_templates); i++) {
		if (!llx_gguf_text_has(text, chat_templates[i].marks[0]) ||
		    !llx_gguf_text_has(text, chat_templates[i].marks[1]) ||
		    (chat_templates[i].without &&
		     llx_gguf_text_has(text, chat_templates[i].without)))
			continue;
		l->model->prompt_format = chat_templates[i].format;
		return 0;
	}
	return llx_fail(l->err, -ENOEXEC, llx_gguf_find_key(&l->gguf, key)->value,
			"%s is not known: choose plain, zephyr, chatml, llama-2 or llama-3 when loading",
			key);
}

static int find_prompt_format(struct loader *l, enum llx_prompt_format chosen)
{
	static const char key[] = "llamux.prompt_format";
	struct llx_gguf_text format;
	char shown[LLX_GGUF_SHOWN];
	int ret;

	ret = llx_gguf_read_string(&l->gguf, key, &format, l->err);
	if (ret && ret != -ENOENT)
		return ret;
	if (!ret && !llx_gguf_text_is(format, "pilot"))
		return llx_fail(l->err, -ENOEXEC, 0, "%s %s is not known: pilot is",
				key, llx_gguf_show(format, shown));
	if (chosen == LLX_PROMPT_BY_FILE && ret)
		return find_chat_template(l);
	l->model->prompt_format =
		chosen == LLX_PROMPT_BY_FILE ? LLX_PROMPT_PILOT : chosen;
	return 0;
}

/* Measured on the model itself: models/pilot/evaluate.cpp. */
static int read_rank_temperature(struct loader *l)
{
	static const char key[] = "llamux.rank_temperature_milli";
	u32 milli = LLX_RANK_TEMPERATURE_MILLI;
	int ret = llx_gguf_read_u32(&l->gguf, key, &milli, l->err);

	if (ret && ret != -ENOENT)
		return ret;
	if (!milli || milli > LLX_RANK_TEMPERATURE_MOST)
		return llx_fail(l->err, -EINVAL,
				llx_gguf_find_key(&l->gguf, key)->value,
				"%s is %u: 1 to %u are", key, milli,
				LLX_RANK_TEMPERATURE_MOST);
	l->model->rank_temperature_milli = milli;
	return 0;
}

static int check_prompt_tokens(struct loader *l)
{
	enum llx_prompt_format format = l->model->prompt_format;
	const char *missing =
		llx_prompt_missing_token(format, l->model->tokenizer);

	if (!missing)
		return 0;
	return llx_fail(l->err, -ENOEXEC, 0,
			"prompts in the format %s need the control token %s: choose another when loading",
			llx_prompt_format_names[format], missing);
}

static int read_name(struct loader *l)
{
	struct llx_gguf_text name = { "unnamed", 7 };
	char shown[LLX_GGUF_SHOWN];
	int ret;

	ret = llx_gguf_read_string(&l->gguf, "general.name", &name, l->err);
	if (ret && ret != -ENOENT)
		return ret;
	scnprintf(l->model->name, sizeof(l->model->name), "%s",
		  llx_gguf_show(name, shown));
	return 0;
}

/* The tensor of that name, if its shape is (@n_cols, @n_rows). */
static int find_tensor(struct loader *l, const char *name, u64 n_cols,
		       u64 n_rows, struct llx_gguf_tensor **tensor)
{
	struct llx_gguf_tensor *t = llx_gguf_find_tensor(&l->gguf, name);
	char found[LLX_GGUF_MAX_DIMS * 21];
	u64 rows = 1;
	size_t n = 0;
	u32 i;

	if (!t)
		return llx_fail(l->err, -EINVAL, 0, "tensor %s is missing",
				name);
	/* Their product is checked by the parser. */
	for (i = 1; i < t->n_dims; i++)
		rows *= t->dims[i];
	if (t->dims[0] != n_cols || rows != n_rows ||
	    (t->n_dims > 1 && t->dims[1] != n_rows)) {
		for (i = 0; i < t->n_dims; i++)
			n += scnprintf(found + n, sizeof(found) - n, "%s%llu",
				       i ? ", " : "", t->dims[i]);
		return llx_fail(l->err, -EINVAL, t->offset,
				"tensor %s has the shape [%s], not [%llu, %llu]",
				name, found, n_cols, n_rows);
	}
	t->used = true;
	*tensor = t;
	return 0;
}

/* Reads as many whole tiles at a time as the buffer holds, and packs them. */
static int read_tiles(struct loader *l, const struct llx_gguf_tensor *t,
		      struct llx_matrix *m)
{
	u64 row_bytes = t->bytes / m->n_rows;
	u32 rows_per_read = l->chunk_bytes / row_bytes;
	u32 row = 0;
	u32 tile;
	int ret;

	rows_per_read -= rows_per_read % LLX_TILE_ROWS;
	while (row < m->n_rows) {
		u32 n = min(rows_per_read, m->n_rows - row);
		u32 i;

		ret = read_file(l, t->start + row * row_bytes, l->chunk,
				n * row_bytes);
		if (ret)
			return ret;
		for (i = 0; i < n; i += LLX_TILE_ROWS) {
			tile = (row + i) / LLX_TILE_ROWS;
			llx_pack_tile(m, l->chunk + i * row_bytes,
				      min(n - i, LLX_TILE_ROWS),
				      m->tiles + tile * m->tile_bytes);
		}
		row += n;
	}
	return 0;
}

/* A matrix of the model: checked and measured, or read (see lay_out()). */
static int place_matrix(struct loader *l, const char *name, u32 n_rows,
			u32 n_cols, struct llx_matrix *m)
{
	const struct llx_kernels *kernels = l->model->kernels;
	struct llx_gguf_tensor *t;
	int ret;

	ret = find_tensor(l, name, n_cols, n_rows, &t);
	if (ret)
		return ret;
	if (!llx_type_traits(t->type)->tile_block_bytes ||
	    !kernels->matmul[t->type])
		return llx_fail(l->err, -ENOEXEC, t->offset,
				"tensor %s: type %s cannot be run", name,
				llx_type_traits(t->type)->name);
	ret = llx_matrix_shape(m, t->type, n_rows, n_cols);
	if (ret)
		return llx_fail(l->err, ret, t->offset,
				"tensor %s: %u rows of %u values of type %s cannot be packed",
				name, n_rows, n_cols,
				llx_type_traits(t->type)->name);
	m->tiles = llx_arena_take(&l->model->arena, m->n_tiles, m->tile_bytes);
	if (m->tiles)
		return read_tiles(l, t, m);
	l->chunk_bytes = max(l->chunk_bytes,
			     t->bytes / n_rows * LLX_TILE_ROWS);
	l->values_of_type[t->type] += t->n_values;
	return 0;
}

/* A vector of f32, as place_matrix(). */
static int place_vector(struct loader *l, const char *name, u32 n,
			llx_f32 **vector)
{
	struct llx_gguf_tensor *t;
	int ret;

	ret = find_tensor(l, name, n, 1, &t);
	if (ret)
		return ret;
	if (t->type != LLX_TYPE_F32)
		return llx_fail(l->err, -ENOEXEC, t->offset,
				"tensor %s: type %s, only F32 is accepted here",
				name, llx_type_traits(t->type)->name);
	*vector = llx_arena_take(&l->model->arena, n, sizeof(**vector));
	return *vector ? read_file(l, t->start, *vector, t->bytes) : 0;
}

/* "blk.3.attn_q.weight" */
#define TENSOR_NAME 40

static const char *layer_name(char name[TENSOR_NAME], u32 layer,
			      const char *what)
{
	scnprintf(name, TENSOR_NAME, "blk.%u.%s.weight", layer, what);
	return name;
}

static int lay_out_layer(struct loader *l, u32 i)
{
	const struct llx_hparams *h = &l->model->hparams;
	struct llx_layer *layer = &l->model->layers[i];
	u32 n_q = h->n_head * h->head_dim;
	u32 n_kv = h->n_head_kv * h->head_dim;
	const struct {
		const char *what;
		struct llx_matrix *m;
		u32 n_rows;
		u32 n_cols;
	} matrices[] = {
		{ "attn_q", &layer->attn_q, n_q, h->n_embd },
		{ "attn_k", &layer->attn_k, n_kv, h->n_embd },
		{ "attn_v", &layer->attn_v, n_kv, h->n_embd },
		{ "attn_output", &layer->attn_output, h->n_embd, n_q },
		{ "ffn_gate", &layer->ffn_gate, h->n_ff, h->n_embd },
		{ "ffn_up", &layer->ffn_up, h->n_ff, h->n_embd },
		{ "ffn_down", &layer->ffn_down, h->n_embd, h->n_ff },
	};
	char name[TENSOR_NAME];
	u32 j;
	int ret;

	ret = place_vector(l, layer_name(name, i, "attn_norm"), h->n_embd,
			   &layer->attn_norm);
	if (!ret)
		ret = place_vector(l, layer_name(name, i, "ffn_norm"),
				   h->n_embd, &layer->ffn_norm);
	for (j = 0; !ret && j < ARRAY_SIZE(matrices); j++)
		ret = place_matrix(l, layer_name(name, i, matrices[j].what),
				   matrices[j].n_rows, matrices[j].n_cols,
				   matrices[j].m);
	return ret;
}

/*
 * Every tensor of the architecture. Without memory behind the arena: checks
 * them and measures; with memory: reads them.
 */
static int lay_out(struct loader *l)
{
	struct llx_model *model = l->model;
	const struct llx_hparams *h = &model->hparams;
	u32 i;
	int ret;

	ret = place_matrix(l, "token_embd.weight", h->n_vocab, h->n_embd,
			   &model->token_embd);
	for (i = 0; !ret && i < h->n_layer; i++)
		ret = lay_out_layer(l, i);
	if (!ret)
		ret = place_vector(l, "output_norm.weight", h->n_embd,
				   &model->output_norm);
	if (ret)
		return ret;
	if (llx_gguf_find_tensor(&l->gguf, "output.weight"))
		ret = place_matrix(l, "output.weight", h->n_vocab, h->n_embd,
				   &model->output);
	else
		model->output = model->token_embd;
	model->rope_table = llx_arena_take(&model->arena, h->n_ctx,
					   h->n_rot * sizeof(llx_f32));
	return ret;
}

/* Divisors of the RoPE frequencies (Llama 3), if the file has them. */
static int read_freq_factors(struct loader *l)
{
	static const char name[] = "rope_freqs.weight";
	u32 n = l->model->hparams.n_rot / 2;
	struct llx_gguf_tensor *t;
	int ret;

	if (!llx_gguf_find_tensor(&l->gguf, name))
		return 0;
	ret = find_tensor(l, name, n, 1, &t);
	if (ret)
		return ret;
	if (t->type != LLX_TYPE_F32)
		return llx_fail(l->err, -ENOEXEC, t->offset,
				"tensor %s: type %s, only F32 is accepted here",
				name, llx_type_traits(t->type)->name);
	l->freq_factors = llx_alloc(t->bytes);
	if (!l->freq_factors)
		return llx_fail(l->err, -ENOMEM, 0, "no memory for tensor %s",
				name);
	ret = read_file(l, t->start, l->freq_factors, t->bytes);
	if (ret)
		return ret;
	ret = llx_hparams_check_positive(l->exec, l->freq_factors, n);
	if (ret == -EINVAL)
		llx_fail(l->err, ret, t->start,
			 "tensor %s: a value is not positive and finite", name);
	return ret;
}

/* A tensor that nobody asked for would silently change what is computed. */
static int check_all_used(struct loader *l)
{
	char shown[LLX_GGUF_SHOWN];
	u32 i;

	for (i = 0; i < l->gguf.n_tensors; i++) {
		const struct llx_gguf_tensor *t = &l->gguf.tensors[i];

		l->model->n_params += t->n_values;
		if (!t->used)
			return llx_fail(l->err, -ENOEXEC, t->offset,
					"tensor %s is not part of the llama architecture",
					llx_gguf_show(t->name, shown));
	}
	l->model->n_tensors = l->gguf.n_tensors;
	return 0;
}

static void name_quantisation(struct loader *l)
{
	u32 most = LLX_TYPE_F32;
	u32 i;

	for (i = 0; i < LLX_N_TYPES; i++) {
		if (l->values_of_type[i] > l->values_of_type[most])
			most = i;
	}
	scnprintf(l->model->quantisation, sizeof(l->model->quantisation), "%s",
		  llx_type_traits(most)->name);
}

static void fill_rope_table(void *arg, u32 begin, u32 end, u32 worker)
{
	const struct loader *l = arg;
	const struct llx_hparams *h = &l->model->hparams;

	llx_op_rope_table(l->model->rope_table, begin, end, h->n_rot,
			  h->rope_freq_base, h->rope_freq_scale,
			  l->freq_factors);
}

static int load_weights(struct loader *l)
{
	struct llx_model *model = l->model;
	u32 grain = max(2 * ROPE_GRAIN_ANGLES / model->hparams.n_rot, 1u);
	int ret;

	model->layers = llx_alloc(model->hparams.n_layer *
				  sizeof(*model->layers));
	if (!model->layers)
		return llx_fail(l->err, -ENOMEM, 0, "no memory for %u layers",
				model->hparams.n_layer);
	l->chunk_bytes = MIN_CHUNK_BYTES;
	ret = lay_out(l);
	if (!ret)
		ret = read_freq_factors(l);
	if (!ret)
		ret = check_all_used(l);
	if (ret)
		return ret;
	name_quantisation(l);

	l->chunk = llx_alloc(l->chunk_bytes);
	if (!l->chunk)
		return llx_fail(l->err, -ENOMEM, 0,
				"no memory for a buffer of %llu bytes",
				l->chunk_bytes);
	ret = llx_arena_commit(&model->arena);
	if (ret)
		return llx_fail(l->err, ret, 0,
				"no memory for %zu bytes of weights",
				model->arena.used);
	model->weight_bytes = model->arena.bytes;
	ret = lay_out(l);
	if (ret)
		return ret;
	return l->exec->parallel_for(l->exec, model->hparams.n_ctx, grain,
				     fill_rope_table, l);
}

static int load(struct loader *l, u32 n_ctx_max, enum llx_prompt_format format)
{
	struct llx_model *model = l->model;
	int ret;

	ret = read_metadata(l);
	if (!ret)
		ret = llx_hparams_read(&model->hparams, &l->gguf, l->exec,
				       n_ctx_max, l->err);
	if (!ret)
		ret = read_name(l);
	if (!ret)
		ret = llx_tokenizer_load(&model->tokenizer, &l->gguf, l->err);
	if (!ret)
		ret = find_prompt_format(l, format);
	if (!ret)
		ret = read_rank_temperature(l);
	if (!ret)
		ret = check_prompt_tokens(l);
	if (ret)
		return ret;
	model->hparams.n_vocab =
		llx_tokenizer_vocab(model->tokenizer)->n_tokens;
	ret = load_weights(l);
	if (ret == -EINTR)
		llx_fail(l->err, ret, 0, "cancelled");
	return ret;
}

int llx_model_load(struct llx_model **out, const struct llx_reader *reader,
		   const struct llx_kernels *kernels, struct llx_exec *exec,
		   u32 n_ctx_max, enum llx_prompt_format format,
		   struct llx_error *err)
{
	struct loader *l;
	int ret = -ENOMEM;

	*out = NULL;
	l = llx_alloc(sizeof(*l));
	if (!l)
		return llx_fail(err, -ENOMEM, 0, "no memory for a loader");
	l->reader = reader;
	l->exec = exec;
	l->err = err;
	l->model = llx_alloc(sizeof(*l->model));
	if (l->model)
		l->model->prefixes = llx_alloc(sizeof(*l->model->prefixes));
	if (l->model && l->model->prefixes) {
		l->model->kernels = kernels;
		l->model->file_bytes = reader->size;
		ret = load(l, n_ctx_max, format);
	} else {
		llx_fail(err, -ENOMEM, 0, "no memory for a model");
	}
	if (ret)
		llx_model_free(l->model);
	else
		*out = l->model;
	llx_free(l->freq_factors);
	llx_free(l->chunk);
	llx_gguf_destroy(&l->gguf);
	llx_free(l->metadata);
	llx_free(l);
	return ret;
}

void llx_model_free(struct llx_model *model)
{
	if (!model)
		return;
	if (model->prefixes)
		llx_prefixes_clear(model->prefixes);
	llx_free(model->prefixes);
	llx_tokenizer_free(model->tokenizer);
	llx_arena_destroy(&model->arena);
	llx_free(model->layers);
	llx_free(model);
}
