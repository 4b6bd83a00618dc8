// SPDX-License-Identifier: GPL-2.0-only
/*
 * /proc/llamux: status and stats for people and scripts, and prompt, a way to
 * ask without any program:
 *
 *	echo "Hello AI" > /proc/llamux/prompt; cat /proc/llamux/prompt
 *
 * Every user has one prompt of their own there and sees no one else's; that
 * holds for root, too.
 */
#include "proc.h"
#include "cpu.h"
#include "engine/model.h"
#include "model_file.h"
#include "queue.h"
#include "reserve.h"
#include "session.h"
#include "simd/kernels.h"
#include "stats.h"
#include "worker.h"

#include <linux/err.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <uapi/llamux.h>

#define ASKERS_MAX 64 /* users whose last answer is kept */

/* Everyone may write: it is their own prompt and nobody else's. */
#define PROMPT_MODE 0666

/**
 * struct asker - a user's prompt and answer
 * @link: in the list, the latest to write first
 * @refs: under askers_lock: open files
 * @uid: whose
 * @session: theirs
 * @lock: protects what follows
 * @answer: complete, NUL ended; NULL: not collected yet
 * @answer_bytes: its length
 */
struct asker {
	struct list_head link;
	u32 refs;
	kuid_t uid;
	struct llx_session *session;
	struct mutex lock; /* see above */
	char *answer;
	size_t answer_bytes;
};

/* One open file: what was written through it so far is one prompt. */
struct prompt_file {
	struct asker *asker;
	struct mutex lock; /* Protects text and bytes. */
	char *text;
	size_t bytes;
};

static LIST_HEAD(askers);
static DEFINE_MUTEX(askers_lock); /* Protects askers, n_askers, refs. */
static u32 n_askers;
static bool leaving;
static struct proc_dir_entry *directory;

/* ---- askers ------------------------------------------------------------------ */

static void asker_free(struct asker *asker)
{
	llx_session_close(asker->session);
	kvfree(asker->answer);
	kfree(asker);
}

static struct asker *asker_new(kuid_t uid)
{
	struct llx_session *session;
	struct asker *asker;

	asker = kzalloc(sizeof(*asker), GFP_KERNEL_ACCOUNT);
	if (!asker)
		return ERR_PTR(-ENOMEM);
	session = llx_session_open(uid);
	if (IS_ERR(session)) {
		kfree(asker);
		return ERR_CAST(session);
	}
	mutex_init(&asker->lock);
	asker->uid = uid;
	asker->session = session;
	return asker;
}

/* Room for one more: the user who was here longest ago is forgotten. */
static struct asker *unlink_oldest(void)
{
	struct asker *asker;

	lockdep_assert_held(&askers_lock);
	if (n_askers < ASKERS_MAX)
		return NULL;
	list_for_each_entry_reverse(asker, &askers, link) {
		if (asker->refs)
			continue;
		list_del(&asker->link);
		n_askers--;
		return asker;
	}
	return NULL;
}

static struct asker *asker_get(kuid_t uid)
{
	struct asker *oldest = NULL;
	struct asker *asker;

	mutex_lock(&askers_lock);
	list_for_each_entry(asker, &askers, link) {
		if (uid_eq(asker->uid, uid))
			goto found;
	}
	oldest = unlink_oldest();
	asker = asker_new(uid);
	if (IS_ERR(asker))
		goto out;
	list_add(&asker->link, &askers);
	n_askers++;
found:
	asker->refs++;
	list_move(&asker->link, &askers);
out:
	mutex_unlock(&askers_lock);
	if (oldest)
		asker_free(oldest);
	return asker;
}

static void asker_put(struct asker *asker)
{
	mutex_lock(&askers_lock);
	asker->refs--;
	mutex_unlock(&askers_lock);
}

/* ---- prompt ------------------------------------------------------------------ */

static int prompt_open(struct inode *inode, struct file *file)
{
	struct prompt_file *prompt;

	prompt = kzalloc(sizeof(*prompt), GFP_KERNEL_ACCOUNT);
	if (!prompt)
		return -ENOMEM;
	mutex_init(&prompt->lock);
	prompt->asker = asker_get(file->f_cred->euid);
	if (IS_ERR(prompt->asker)) {
		int err = PTR_ERR(prompt->asker);

		kfree(prompt);
		return err;
	}
	file->private_data = prompt;
	return 0;
}

static int prompt_release(struct inode *inode, struct file *file)
{
	struct prompt_file *prompt = file->private_data;

	asker_put(prompt->asker);
	kvfree(prompt->text);
	kfree(prompt);
	return 0;
}

/* Adds to what was written before through the same file. */
static int append_text(struct prompt_file *prompt, const char __user *user,
		       size_t bytes)
{
	lockdep_assert_held(&prompt->lock);
	if (bytes > LLAMUX_PROMPT_MAX - prompt->bytes)
		return -E2BIG;
	if (!prompt->text)
		prompt->text = kvmalloc(LLAMUX_PROMPT_MAX, GFP_KERNEL_ACCOUNT);
	if (!prompt->text)
		return -ENOMEM;
	if (copy_from_user(prompt->text + prompt->bytes, user, bytes))
		return -EFAULT;
	prompt->bytes += bytes;
	return 0;
}

static int submit_text(struct prompt_file *prompt, bool nonblock)
{
	struct asker *asker = prompt->asker;
	size_t bytes = prompt->bytes;
	int err;

	lockdep_assert_held(&prompt->lock);
	while (bytes && prompt->text[bytes - 1] == '\n')
		bytes--;
	if (mutex_lock_interruptible(&asker->lock))
		return -ERESTARTSYS;
	kvfree(asker->answer);
	asker->answer = NULL;
	err = llx_session_prompt(asker->session, prompt->text, bytes, nonblock);
	mutex_unlock(&asker->lock);
	return err;
}

static ssize_t prompt_write(struct file *file, const char __user *user,
			    size_t bytes, loff_t *pos)
{
	struct prompt_file *prompt = file->private_data;
	int err;

	if (mutex_lock_interruptible(&prompt->lock))
		return -ERESTARTSYS;
	err = READ_ONCE(leaving) ? -ENODEV : append_text(prompt, user, bytes);
	if (!err)
		err = submit_text(prompt, file->f_flags & O_NONBLOCK);
	if (err == -ERESTARTSYS) /* the text was taken: not to be repeated */
		err = -EINTR;
	mutex_unlock(&prompt->lock);
	return err ? err : bytes;
}

/* Moves a complete answer out of the session, which gets its memory back. */
static int collect(struct asker *asker)
{
	struct llx_output *output = &asker->session->output;
	size_t size = llx_output_bytes(output) + 2;
	const char *text;
	size_t n;

	lockdep_assert_held(&asker->lock);
	asker->answer = kvmalloc(size, GFP_KERNEL_ACCOUNT);
	if (!asker->answer)
		return -ENOMEM;
	asker->answer_bytes = 0;
	mutex_lock(&output->reader);
	while ((text = llx_output_front(output, &n))) {
		memcpy(asker->answer + asker->answer_bytes, text, n);
		asker->answer_bytes += n;
		llx_output_consume(output, n);
	}
	mutex_unlock(&output->reader);
	if (asker->answer_bytes)
		asker->answer[asker->answer_bytes++] = '\n';
	asker->answer[asker->answer_bytes] = '\0';
	llx_session_forget_context(asker->session);
	return 0;
}

static int wait_for_end(struct asker *asker, bool nonblock)
{
	struct llx_session *session = asker->session;

	if (nonblock && llx_session_is_busy(session))
		return -EAGAIN;
	if (wait_event_interruptible(session->output.wait,
				     !llx_session_is_busy(session)))
		return -ERESTARTSYS;
	return READ_ONCE(leaving) ? -ENODEV : 0;
}

static ssize_t prompt_read(struct file *file, char __user *user, size_t bytes,
			   loff_t *pos)
{
	struct prompt_file *prompt = file->private_data;
	struct asker *asker = prompt->asker;
	ssize_t n;
	int err;

	err = wait_for_end(asker, file->f_flags & O_NONBLOCK);
	if (err)
		return err;
	if (mutex_lock_interruptible(&asker->lock))
		return -ERESTARTSYS;
	if (llx_session_is_busy(asker->session)) /* asked anew meanwhile */
		n = -EAGAIN;
	else if (asker->session->prompt.status)
		n = asker->session->prompt.status;
	else if (!asker->answer && collect(asker))
		n = -ENOMEM;
	else
		n = simple_read_from_buffer(user, bytes, pos, asker->answer,
					    asker->answer_bytes);
	mutex_unlock(&asker->lock);
	return n;
}

static const struct proc_ops prompt_ops = {
	.proc_open = prompt_open,
	.proc_release = prompt_release,
	.proc_read = prompt_read,
	.proc_write = prompt_write,
	.proc_lseek = noop_llseek,
};

/* ---- status, stats ----------------------------------------------------------- */

static void show_model(struct seq_file *m)
{
	struct llx_loaded *loaded = llx_model_get();
	struct llamux_model_info *info;

	seq_printf(m, "state: %s\n", llx_model_file_loading() ? "loading" :
		   !loaded ? "no model" :
		   llx_queue_is_running() ? "busy" : "idle");
	info = kzalloc(sizeof(*info), GFP_KERNEL);
	if (loaded && info) {
		llx_model_file_info(loaded, info);
		seq_printf(m, "model: %s\n", info->name);
		seq_printf(m, "quantisation: %s\n", info->quantisation);
		seq_printf(m, "prompt_format: %s\n", info->format);
		seq_printf(m, "parameters: %llu\n", info->n_params);
		seq_printf(m, "layers: %u\n", info->n_layer);
		seq_printf(m, "context_tokens: %u\n", info->n_ctx);
		seq_printf(m, "kv_cache: %s\n",
			   llx_cache_type_names[loaded->model->cache_type]);
		seq_printf(m, "vocabulary_tokens: %u\n", info->n_vocab);
		seq_printf(m, "generation: %u\n", info->generation);
		seq_printf(m, "weight_bytes: %llu\n", info->weight_bytes);
		seq_printf(m, "load_ns: %llu\n", info->load_ns);
	}
	kfree(info);
	if (loaded)
		llx_model_put(loaded);
}

static void show_speed(struct seq_file *m, const char *key, u64 milli)
{
	seq_printf(m, "%s: %llu.%03u\n", key, milli / 1000,
		   (u32)(milli % 1000));
}

static int status_show(struct seq_file *m, void *v)
{
	char error[LLAMUX_ERROR_MAX];
	struct llamux_stats stats;

	llx_stats_read(&stats);
	seq_printf(m, "version: %s\n", THIS_MODULE->version);
	seq_printf(m, "abi: %u\n", LLAMUX_ABI_VERSION);
	show_model(m);
	seq_printf(m, "isa: %s\n", llx_cpu_kernels()->name);
	seq_printf(m, "workers: %u\n", stats.n_workers);
	seq_printf(m, "sessions: %u\n", stats.n_sessions);
	seq_printf(m, "queued: %u\n", stats.n_queued);
	seq_printf(m, "memory_bytes: %llu\n", llx_reserve_bytes());
	seq_printf(m, "session_bytes: %llu\n", llx_sessions_context_bytes());
	show_speed(m, "prompt_tokens_per_second", llx_stats_prompt_speed());
	show_speed(m, "tokens_per_second", llx_stats_generate_speed());
	seq_printf(m, "fpu_longest_ns: %llu\n", stats.fpu_longest_ns);
	seq_printf(m, "range_cost: %u\n", llx_worker_exec()->range_cost);
	llx_model_file_last_error(error, sizeof(error));
	seq_printf(m, "last_error: %s\n", error);
	return 0;
}

static int stats_show(struct seq_file *m, void *v)
{
	struct llamux_stats stats;

	llx_stats_read(&stats);
	seq_printf(m, "requests_done: %llu\n", stats.requests_done);
	seq_printf(m, "requests_failed: %llu\n", stats.requests_failed);
	seq_printf(m, "requests_cancelled: %llu\n", stats.requests_cancelled);
	seq_printf(m, "prompt_tokens: %llu\n", stats.prompt_tokens);
	seq_printf(m, "prompt_ns: %llu\n", stats.prompt_ns);
	seq_printf(m, "generated_tokens: %llu\n", stats.generated_tokens);
	seq_printf(m, "generate_ns: %llu\n", stats.generate_ns);
	seq_printf(m, "fpu_sections: %llu\n", stats.fpu_sections);
	seq_printf(m, "fpu_longest_ns: %llu\n", stats.fpu_longest_ns);
	seq_printf(m, "cpu_ns: %llu\n", stats.cpu_ns);
	return 0;
}

/* ---- life ------------------------------------------------------------------- */

int llx_proc_init(void)
{
	directory = proc_mkdir("llamux", NULL);
	if (!directory)
		return -ENOMEM;
	if (proc_create_single("status", 0444, directory, status_show) &&
	    proc_create_single("stats", 0444, directory, stats_show) &&
	    proc_create("prompt", PROMPT_MODE, directory, &prompt_ops))
		return 0;
	proc_remove(directory);
	return -ENOMEM;
}

void llx_proc_exit(void)
{
	struct asker *asker;
	struct asker *next;

	WRITE_ONCE(leaving, true);
	llx_queue_close();
	proc_remove(directory);
	list_for_each_entry_safe(asker, next, &askers, link)
		asker_free(asker);
}
