/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The model in use: read from a file, shared by all, replaced without a gap.
 */
#ifndef LLX_MODEL_FILE_H
#define LLX_MODEL_FILE_H

#include "engine/transformer.h"

#include <linux/refcount.h>
#include <linux/types.h>

struct file;
struct llamux_model_info;
struct llx_error;

/**
 * struct llx_loaded - a model and who holds it
 * @refs: one of the module while it is the model in use, one of each session
 *	with a context, one of each call
 * @generation: 1 for the first load, then 2...
 * @load_ns: how long loading took
 * @model: immutable
 * @scratch: for requests that leave nothing behind; the request thread's
 * @spare: for a session that looks after the machine
 * @spare_taken: by one
 *
 * Both contexts are made with the model, because a machine that is short of
 * memory is when they are needed: what ranks and what answers the
 * administrator must not have to allocate then.
 */
struct llx_loaded {
	refcount_t refs;
	u32 generation;
	u64 load_ns;
	struct llx_model *model;
	struct llx_context scratch;
	struct llx_context spare;
	atomic_t spare_taken;
};

/**
 * llx_model_file_init() - set what models are loaded with
 * @n_ctx_max: most positions a context may have; 0: as the file says
 * @kv_cache: what contexts keep keys and values in, by name; NULL: f16
 *
 * Return: 0; -EINVAL there is none of that name, which is logged.
 */
int llx_model_file_init(u32 n_ctx_max, const char *kv_cache);

/**
 * llx_model_file_load() - read a GGUF file and make it the model in use
 * @file: opened for reading, a regular file
 * @chat_template: enum llamux_chat_template
 * @err: zeroed; says what is wrong
 *
 * Context: process, sleeps; a fatal signal interrupts.
 * Return: 0; -EBUSY
 * another load is under way; -EINTR; -EINVAL, -ENOEXEC, -ENOMEM, -ETXTBSY...
 * with @err filled.
 */
int llx_model_file_load(struct file *file, u32 chat_template,
			struct llx_error *err);

/*
 * The same for a path, and a template's name ("chatml") or NULL; logs what is
 * wrong.
 */
int llx_model_file_load_path(const char *path, const char *chat_template);

/* A reference to the model in use, or NULL. Any context. */
struct llx_loaded *llx_model_get(void);

/* Gives a reference back; the last one frees the weights. May sleep. */
void llx_model_put(struct llx_loaded *loaded);

/*
 * The context set aside, empty, or NULL if somebody has it. Who has it holds a
 * reference to @loaded, too. Any context.
 */
struct llx_context *llx_model_take_spare(struct llx_loaded *loaded);
void llx_model_return_spare(struct llx_loaded *loaded);

/* Is @loaded (not NULL) still the model in use? A hint. Any context. */
bool llx_model_is_current(const struct llx_loaded *loaded);

/* Is a load under way? A hint. Any context. */
bool llx_model_file_loading(void);

/**
 * llx_model_file_info() - describe a model
 * @loaded: which
 * @info: out, all but @size
 */
void llx_model_file_info(const struct llx_loaded *loaded,
			 struct llamux_model_info *info);

/* Copies what the last failed load said, or "", to (@size) @text. May sleep. */
void llx_model_file_last_error(char *text, size_t size);

/*
 * Frees what still holds a replaced model, where no request is under way. The
 * request thread calls it after each request. Process context.
 */
void llx_model_file_sweep(void);

/* Lets go of the model in use. Process context. */
void llx_model_file_exit(void);

#endif
