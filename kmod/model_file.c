// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads a model file for the engine, and owns the model in use.
 *
 * The file is opened up by kernel_read_file(), so that the LSMs, LoadPin and IMA
 * treat a model as they treat firmware. Its bytes are not trusted any further:
 * the engine checks every one of them. Writers are kept out while it reads.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include "model_file.h"
#include "cpu.h"
#include "engine/model.h"
#include "queue.h"
#include "session.h"
#include "simd/kernels.h"
#include "worker.h"

#include <linux/fs.h>
#include <linux/kernel_read_file.h>
#include <linux/ktime.h>
#include <linux/mutex.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <uapi/llamux.h>

static DEFINE_MUTEX(load_lock); /* One load at a time. */
static DEFINE_MUTEX(error_lock); /* Protects last_error. */
static char last_error[LLAMUX_ERROR_MAX];
static DEFINE_SPINLOCK(current_lock); /* Protects the pointer below. */
static struct llx_loaded *current_model;
static DEFINE_MUTEX(sweep_lock); /* Serialises sweep(). */
static bool old_in_use; /* a replaced model may still be held */
static u32 n_loads; /* under load_lock */
static u32 n_ctx_max;
static enum llx_cache_type cache_type;

int llx_model_file_init(u32 n_ctx, const char *kv_cache)
{
	int type = 0;

	if (kv_cache)
		type = match_string(llx_cache_type_names, LLX_N_CACHE_TYPES,
				    kv_cache);
	if (type < 0) {
		pr_err("kv_cache %s is not known: f16 and q8_0 are\n", kv_cache);
		return -EINVAL;
	}
	cache_type = type;
	n_ctx_max = n_ctx;
	return 0;
}

/* What is being loaded. */
struct source {
	struct file *file;
	bool is_allowed; /* the security modules have seen it */
};

/*
 * The first read asks the security modules, for the whole file. Asking again
 * for each part makes IMA hash all of it again where the file system does not
 * number its changes (tmpfs before 6.6), hundreds of times. Nobody can write to
 * the file between two reads.
 */
static ssize_t read_part(struct source *source, u64 offset, void *buf,
			 size_t bytes)
{
	loff_t pos = offset;
	size_t file_size;
	ssize_t n;

	if (source->is_allowed)
		return kernel_read(source->file, buf, bytes, &pos);
	n = kernel_read_file(source->file, offset, &buf, bytes, &file_size,
			     READING_FIRMWARE);
	source->is_allowed = n > 0;
	return n;
}

/* A struct llx_reader's read(); @ctx is a struct source. */
static int read_exactly(void *ctx, u64 offset, void *buf, size_t bytes)
{
	size_t done = 0;
	ssize_t n;

	while (done < bytes) {
		if (fatal_signal_pending(current))
			return -EINTR;
		n = read_part(ctx, offset + done, buf + done,
			      min_t(size_t, bytes - done, SZ_1M));
		if (n < 0)
			return n;
		if (!n)
			return -EIO; /* truncated since its size was taken */
		done += n;
		cond_resched();
	}
	return 0;
}

static const enum llx_prompt_format formats[LLAMUX_N_TEMPLATES] = {
	[LLAMUX_TEMPLATE_BY_FILE] = LLX_PROMPT_BY_FILE,
	[LLAMUX_TEMPLATE_PLAIN] = LLX_PROMPT_PLAIN,
	[LLAMUX_TEMPLATE_ZEPHYR] = LLX_PROMPT_ZEPHYR,
	[LLAMUX_TEMPLATE_CHATML] = LLX_PROMPT_CHATML,
	[LLAMUX_TEMPLATE_LLAMA2] = LLX_PROMPT_LLAMA2,
	[LLAMUX_TEMPLATE_LLAMA3] = LLX_PROMPT_LLAMA3,
};

/* LLAMUX_N_TEMPLATES: there is none of that name. */
static u32 find_chat_template(const char *name)
{
	u32 i = LLAMUX_TEMPLATE_BY_FILE;

	if (!name)
		return i;
	do {
		i++;
	} while (i < LLAMUX_N_TEMPLATES &&
		 strcmp(name, llx_prompt_format_names[formats[i]]));
	return i;
}

static int load_model(struct file *file, u32 chat_template,
		      struct llx_model **model, struct llx_error *err)
{
	struct source source = { .file = file };
	struct llx_reader reader = {
		.ctx = &source,
		.size = i_size_read(file_inode(file)),
		.read = read_exactly,
	};
	int status;

	if (!S_ISREG(file_inode(file)->i_mode))
		return llx_fail(err, -EINVAL, 0, "not a regular file");
	/* Until the end, not only during one read. */
	if (deny_write_access(file))
		return llx_fail(err, -ETXTBSY, 0,
				"the file is open for writing");
	status = llx_model_load(model, &reader, llx_cpu_kernels(),
				&llx_worker_exec_caller, n_ctx_max,
				formats[chat_template], err);
	allow_write_access(file);
	if (status)
		return llx_fail(err, status, 0, "reading failed with error %d",
				-status);
	status = llx_model_set_cache(*model, cache_type);
	if (status) {
		llx_fail(err, status, 0,
			 "kv_cache=q8_0 needs heads of a multiple of 32 values, not of %u",
			 (*model)->hparams.head_dim);
		llx_model_free(*model);
		*model = NULL;
	}
	return status;
}

/*
 * Contexts of a replaced model keep its weights. They go when nothing uses
 * them: at once, or when the last request on them has ended. old_in_use is
 * set before looking, so that a request that ends meanwhile looks again.
 */
static void sweep(void)
{
	mutex_lock(&sweep_lock);
	WRITE_ONCE(old_in_use, true);
	if (llx_sessions_forget_old_model())
		WRITE_ONCE(old_in_use, false);
	mutex_unlock(&sweep_lock);
}

void llx_model_file_sweep(void)
{
	if (READ_ONCE(old_in_use))
		sweep();
}

static void publish(struct llx_loaded *loaded)
{
	struct llx_loaded *old;

	spin_lock(&current_lock);
	old = current_model;
	WRITE_ONCE(current_model, loaded);
	spin_unlock(&current_lock);
	wake_up_all(&llx_queue_room);
	sweep();
	if (old)
		llx_model_put(old);
}

static void remember_error(const struct llx_error *err)
{
	mutex_lock(&error_lock);
	strscpy(last_error, err->text, sizeof(last_error));
	mutex_unlock(&error_lock);
}

static int set_contexts_aside(struct llx_loaded *loaded, struct llx_error *err)
{
	const struct llx_model *model = loaded->model;
	u32 n_ctx = model->hparams.n_ctx;
	int status;

	status = llx_context_init(&loaded->scratch, model, llx_worker_exec(),
				  n_ctx);
	if (!status)
		status = llx_context_init(&loaded->spare, model,
					  llx_worker_exec(), n_ctx);
	if (status)
		return llx_fail(err, status, 0,
				"no memory for two contexts of %u tokens; n_ctx makes them shorter",
				n_ctx);
	return 0;
}

static void free_loaded(struct llx_loaded *loaded)
{
	llx_context_destroy(&loaded->spare);
	llx_context_destroy(&loaded->scratch);
	llx_model_free(loaded->model);
	kfree(loaded);
}

int llx_model_file_load(struct file *file, u32 chat_template,
			struct llx_error *err)
{
	struct llx_loaded *loaded;
	u64 begin_ns = ktime_get_ns();
	int status;

	if (!mutex_trylock(&load_lock))
		return llx_fail(err, -EBUSY, 0, "another load is under way");
	loaded = kzalloc(sizeof(*loaded), GFP_KERNEL);
	if (!loaded) {
		status = llx_fail(err, -ENOMEM, 0, "no memory");
		goto out;
	}
	status = load_model(file, chat_template, &loaded->model, err);
	if (!status)
		status = set_contexts_aside(loaded, err);
	if (status) {
		free_loaded(loaded);
		goto out;
	}
	refcount_set(&loaded->refs, 1);
	loaded->generation = ++n_loads;
	loaded->load_ns = ktime_get_ns() - begin_ns;
	publish(loaded);
out:
	remember_error(err);
	mutex_unlock(&load_lock);
	return status;
}

int llx_model_file_load_path(const char *path, const char *chat_template)
{
	u32 template = find_chat_template(chat_template);
	struct llx_error err = {};
	struct file *file;
	int status;

	if (template == LLAMUX_N_TEMPLATES) {
		pr_err("chat_template %s is not known: plain, zephyr, chatml, llama-2 and llama-3 are\n",
		       chat_template);
		return -EINVAL;
	}
	file = filp_open(path, O_RDONLY | O_LARGEFILE, 0);
	if (IS_ERR(file)) {
		pr_err("cannot open the model file: error %ld\n",
		       -PTR_ERR(file));
		return PTR_ERR(file);
	}
	status = llx_model_file_load(file, template, &err);
	if (status)
		pr_err("model refused: %s\n", err.text);
	filp_close(file, NULL);
	return status;
}

struct llx_loaded *llx_model_get(void)
{
	struct llx_loaded *loaded;

	spin_lock(&current_lock);
	loaded = current_model;
	if (loaded)
		refcount_inc(&loaded->refs);
	spin_unlock(&current_lock);
	return loaded;
}

void llx_model_put(struct llx_loaded *loaded)
{
	if (!refcount_dec_and_test(&loaded->refs))
		return;
	free_loaded(loaded);
}

struct llx_context *llx_model_take_spare(struct llx_loaded *loaded)
{
	if (atomic_cmpxchg(&loaded->spare_taken, 0, 1))
		return NULL;
	llx_context_truncate(&loaded->spare, 0);
	return &loaded->spare;
}

void llx_model_return_spare(struct llx_loaded *loaded)
{
	atomic_set_release(&loaded->spare_taken, 0);
}

bool llx_model_is_current(const struct llx_loaded *loaded)
{
	return READ_ONCE(current_model) == loaded;
}

bool llx_model_file_loading(void)
{
	return mutex_is_locked(&load_lock);
}

void llx_model_file_info(const struct llx_loaded *loaded,
			 struct llamux_model_info *info)
{
	const struct llx_model *model = loaded->model;
	const struct llx_hparams *h = &model->hparams;

	info->n_layer = h->n_layer;
	info->n_embd = h->n_embd;
	info->n_ff = h->n_ff;
	info->n_head = h->n_head;
	info->n_head_kv = h->n_head_kv;
	info->n_vocab = h->n_vocab;
	info->n_ctx = h->n_ctx;
	info->n_tensors = model->n_tensors;
	info->generation = loaded->generation;
	info->n_params = model->n_params;
	info->file_bytes = model->file_bytes;
	info->weight_bytes = model->weight_bytes;
	info->load_ns = loaded->load_ns;
	strscpy(info->name, model->name, sizeof(info->name));
	strscpy(info->quantisation, model->quantisation,
		sizeof(info->quantisation));
	strscpy(info->isa, model->kernels->name, sizeof(info->isa));
	strscpy(info->format, llx_prompt_format_names[model->prompt_format],
		sizeof(info->format));
}

void llx_model_file_last_error(char *text, size_t size)
{
	mutex_lock(&error_lock);
	strscpy(text, last_error, size);
	mutex_unlock(&error_lock);
}

void llx_model_file_exit(void)
{
	publish(NULL); /* nothing is under way: no context is left, either */
}
