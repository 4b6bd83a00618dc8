/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The model: hyperparameters, packed weights and tokenizer of one GGUF file.
 *
 * Loading reads the metadata into memory, checks every tensor (bounds,
 * overlap, shape, type), then streams the tensor data through one buffer of 16
 * rows and packs it: two copies of the weights never exist. A model is
 * immutable once loaded and may be shared by any number of contexts.
 */
#ifndef LLX_MODEL_H
#define LLX_MODEL_H

#include "arena.h"
#include "exec.h"
#include "port.h"
#include "tensor.h"
#include "tokenizer.h"

struct llx_kernels;

#define LLX_MODEL_NAME 64

/* Bounds on what a file may ask for; beyond them it is refused. */
#define LLX_MAX_LAYERS 256u
#define LLX_MAX_EMBD 16384u
#define LLX_MAX_FF 65536u
#define LLX_MAX_HEADS 256u
#define LLX_MAX_HEAD_DIM 256u
#define LLX_MAX_CTX 131072u
#define LLX_MAX_VOCAB 524288u
#define LLX_MAX_METADATA_BYTES (64u << 20)

/**
 * struct llx_reader - where the file's bytes come from
 * @size: bytes of the file
 * @read: reads exactly @bytes at @offset into @buf; 0 or -errno; may sleep
 */
struct llx_reader {
	void *ctx;
	u64 size;
	int (*read)(void *ctx, u64 offset, void *buf, size_t bytes);
};

/* llama.* keys of the file, checked. */
struct llx_hparams {
	u32 n_layer;
	u32 n_embd;
	u32 n_ff;
	u32 n_head;
	u32 n_head_kv; /* divides n_head */
	u32 head_dim;  /* n_embd / n_head, or attention.key_length */
	u32 n_rot;     /* rope.dimension_count, even, <= head_dim */
	u32 n_ctx;     /* context_length */
	u32 n_vocab;
	llx_f32 rms_eps;
	llx_f32 rope_freq_base;
	llx_f32 rope_freq_scale; /* 1 / rope.scaling.factor for linear; else 1 */
};

struct llx_layer {
	llx_f32 *attn_norm;	 /* (n_embd) */
	struct llx_matrix attn_q; /* (n_head * head_dim, n_embd) */
	struct llx_matrix attn_k; /* (n_head_kv * head_dim, n_embd) */
	struct llx_matrix attn_v; /* (n_head_kv * head_dim, n_embd) */
	struct llx_matrix attn_output; /* (n_embd, n_head * head_dim) */
	llx_f32 *ffn_norm;	 /* (n_embd) */
	struct llx_matrix ffn_gate; /* (n_ff, n_embd) */
	struct llx_matrix ffn_up;   /* (n_ff, n_embd) */
	struct llx_matrix ffn_down; /* (n_embd, n_ff) */
};

/*
 * Temperature of the softmax over the scores of candidates (milli-nats per
 * token) of a model that does not say its own: scores of a phrase of eight tokens that
 * differ in one word are an eighth of a nat apart for each nat between the words.
 */
#define LLX_RANK_TEMPERATURE_MILLI 125u
#define LLX_RANK_TEMPERATURE_MOST 10000u

/* How prompts for this model are written; engine/prompt.c. */
enum llx_prompt_format {
	LLX_PROMPT_PLAIN,  /* no template known: text only */
	LLX_PROMPT_PILOT,  /* llamux.prompt_format = "pilot" */
	LLX_PROMPT_ZEPHYR, /* TinyLlama-Chat */
	LLX_PROMPT_CHATML, /* SmolLM2-Instruct, Qwen */
	LLX_PROMPT_LLAMA2, /* Llama-2-Chat */
	LLX_PROMPT_LLAMA3, /* Llama-3-Instruct */
	LLX_N_PROMPT_FORMATS,
	LLX_PROMPT_BY_FILE, /* for llx_model_load(): what the file says */
};

/* What contexts keep keys and values in. */
enum llx_cache_type {
	LLX_CACHE_F16,
	LLX_CACHE_Q8_0, /* 34 bytes for 32 values: little more than half */
	LLX_N_CACHE_TYPES,
};

/* "f16", "q8_0" */
extern const char *const llx_cache_type_names[LLX_N_CACHE_TYPES];

struct llx_prefixes; /* engine/prefix.h */

/* "plain", "chatml"... */
extern const char *const llx_prompt_format_names[LLX_N_PROMPT_FORMATS];

struct llx_model {
	struct llx_hparams hparams;
	const struct llx_kernels *kernels;
	struct llx_matrix token_embd; /* (n_vocab, n_embd) */
	struct llx_layer *layers;     /* (n_layer) */
	llx_f32 *output_norm;	      /* (n_embd) */
	struct llx_matrix output;     /* tied: same tiles as token_embd */
	llx_f32 *rope_table;	      /* (n_ctx, n_rot / 2, 2) cos, sin */
	struct llx_tokenizer *tokenizer;
	enum llx_prompt_format prompt_format;
	u32 rank_temperature_milli; /* llamux.rank_temperature_milli, or the default */
	char name[LLX_MODEL_NAME];	   /* general.name, printable, cut */
	char quantisation[LLX_MODEL_NAME]; /* type with the most values */
	u32 n_tensors;
	u64 n_params;
	u64 file_bytes;
	u64 weight_bytes; /* allocated for tiles, norms and tables */
	struct llx_arena arena; /* holds tiles, norms and tables */
	enum llx_cache_type cache_type;
	struct llx_prefixes *prefixes; /* of its contexts; NULL: none kept */
};

/**
 * llx_model_load - read, check and pack a GGUF file
 * @model: out; owned by the caller, llx_model_free()
 * @reader: the file
 * @kernels: the instruction set to run on; kept
 * @exec: runs what needs the FPU (the RoPE table, checks of floats). Packing
 *	moves bits only: the caller's thread does it, outside FPU sections
 * @n_ctx_max: upper bound on the context, 0 for the file's own
 * @format: how prompts are written; LLX_PROMPT_BY_FILE: as llamux.prompt_format
 *	or else tokenizer.chat_template say, where a template that is not known
 *	is an error
 * @err: zeroed by the caller; says what is wrong
 *
 * May sleep. Return: 0; -ENOEXEC not a GGUF file or a version, architecture,
 * type, tokenizer or chat template that is not known; -EINVAL damaged; -ENOMEM; -EINTR; what
 * the reader returned.
 */
int llx_model_load(struct llx_model **model, const struct llx_reader *reader,
		   const struct llx_kernels *kernels, struct llx_exec *exec,
		   u32 n_ctx_max, enum llx_prompt_format format,
		   struct llx_error *err);

/*
 * What its contexts shall keep keys and values in, f16 unless this is called,
 * before the first of them. Return: 0; -EINVAL heads are no multiple of LLX_QK
 * values.
 */
int llx_model_set_cache(struct llx_model *model, enum llx_cache_type type);

void llx_model_free(struct llx_model *model);

#endif
