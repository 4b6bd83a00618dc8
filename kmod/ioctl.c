// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ioctls of /dev/llamux: decodes them, checks what they hand in, copies in
 * and out. include/uapi/llamux.h is the contract.
 */
#include "ioctl.h"
#include "advice.h"
#include "engine/model.h"
#include "engine/score.h"
#include "evaluate.h"
#include "model_file.h"
#include "session.h"
#include "stats.h"
#include "telemetry.h"

#include <linux/capability.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <llamux/telemetry.h>
#include <uapi/llamux.h>

#define STRUCT_MAX SZ_64K /* bytes a caller's struct may claim to have */
#define ADVICE_PROMPT_MAX SZ_64K

/* ---- copying ---------------------------------------------------------------- */

/*
 * Copies a struct that starts with its size: not smaller than ours, and zero
 * beyond it.
 */
static int copy_in(void *dst, size_t size, const void __user *src)
{
	u32 user_size;
	int err;

	if (get_user(user_size, (const u32 __user *)src))
		return -EFAULT;
	if (user_size < size)
		return -EINVAL;
	if (user_size > STRUCT_MAX)
		return -E2BIG;
	err = copy_struct_from_user(dst, size, src, user_size);
	if (err)
		return err;
	*(u32 *)dst = user_size; /* it may have changed meanwhile */
	return 0;
}

static int copy_out(void __user *dst, const void *src, size_t size)
{
	return copy_to_user(dst, src, size) ? -EFAULT : 0;
}

char *llx_copy_text(u64 address, u32 bytes, u32 max)
{
	char *text;

	if (!bytes)
		return ERR_PTR(-EINVAL);
	if (bytes > max)
		return ERR_PTR(-E2BIG);
	text = kvmalloc(bytes + 1, GFP_KERNEL_ACCOUNT);
	if (!text)
		return ERR_PTR(-ENOMEM);
	if (copy_from_user(text, u64_to_user_ptr(address), bytes)) {
		kvfree(text);
		return ERR_PTR(-EFAULT);
	}
	text[bytes] = '\0';
	return text;
}

/* ---- version, model, parameters, statistics ---------------------------------- */

static int ioctl_version(struct llx_session *session, void __user *user)
{
	struct llamux_version version;
	int err = copy_in(&version, sizeof(version), user);

	if (err)
		return err;
	if (version.reserved)
		return -EINVAL;
	version.abi = LLAMUX_ABI_VERSION;
	version.telemetry_schema = LLAMUX_TELEMETRY_SCHEMA;
	return copy_out(user, &version, sizeof(version));
}

static int load_from_fd(int fd, u32 chat_template, struct llx_error *error)
{
	struct file *file = fget(fd);
	int status = -EBADF;

	if (!file)
		return status;
	if (file->f_mode & FMODE_READ)
		status = llx_model_file_load(file, chat_template, error);
	fput(file);
	return status;
}

static int ioctl_load(struct llx_session *session, void __user *user)
{
	struct llamux_load load;
	struct llx_error error = {};
	int status;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	status = copy_in(&load, sizeof(load), user);
	if (status)
		return status;
	if (load.flags || load.chat_template >= LLAMUX_N_TEMPLATES)
		return -EINVAL;
	status = load_from_fd(load.fd, load.chat_template, &error);
	memset(load.error, 0, sizeof(load.error));
	strscpy(load.error, error.text, sizeof(load.error));
	if (copy_out(user, &load, sizeof(load)))
		return -EFAULT;
	return status;
}

static int ioctl_model_info(struct llx_session *session, void __user *user)
{
	struct llamux_model_info info;
	struct llx_loaded *loaded;
	u32 size;
	int err = copy_in(&info, sizeof(info), user);

	if (err)
		return err;
	loaded = llx_model_get();
	if (!loaded)
		return -ENODATA;
	size = info.size;
	memset(&info, 0, sizeof(info));
	info.size = size;
	llx_model_file_info(loaded, &info);
	llx_model_put(loaded);
	return copy_out(user, &info, sizeof(info));
}

static int ioctl_get_params(struct llx_session *session, void __user *user)
{
	struct llamux_params params;
	u32 size;
	int err = copy_in(&params, sizeof(params), user);

	if (err)
		return err;
	size = params.size;
	params = session->params;
	params.size = size;
	return copy_out(user, &params, sizeof(params));
}

static int ioctl_set_params(struct llx_session *session, void __user *user)
{
	struct llamux_params params;
	int err = copy_in(&params, sizeof(params), user);

	if (!err)
		err = llx_session_check_params(&params);
	if (!err)
		session->params = params;
	return err;
}

static int ioctl_stats(struct llx_session *session, void __user *user)
{
	struct llamux_stats stats;
	int err = copy_in(&stats, sizeof(stats), user);

	if (err)
		return err;
	llx_stats_read(&stats);
	return copy_out(user, &stats, sizeof(stats));
}

/* ---- telemetry ---------------------------------------------------------------- */

static int ioctl_bind(struct llx_session *session, void __user *user)
{
	struct llamux_bind bind;
	int err;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	err = copy_in(&bind, sizeof(bind), user);
	if (err)
		return err;
	if (bind.reserved)
		return -EINVAL;
	return llx_telemetry_bind(&bind);
}

/* Copies signals (if any) in, takes a snapshot, copies it out (if wanted). */
static int take_snapshot(struct llx_session *session, u64 signals_address,
			 u64 snapshot_address, u64 snapshot_size)
{
	struct llamux_signals *signals = NULL;
	const struct llamux_snapshot *snapshot;
	int err = 0;

	if (snapshot_address && snapshot_size != sizeof(*snapshot))
		return -EINVAL;
	if (signals_address) {
		signals = kvmalloc(sizeof(*signals), GFP_KERNEL_ACCOUNT);
		if (!signals)
			return -ENOMEM;
		err = copy_in(signals, sizeof(*signals),
			      u64_to_user_ptr(signals_address));
		if (err)
			goto out;
		signals->size = sizeof(*signals);
	}
	snapshot = llx_advice_snapshot(session, signals);
	if (IS_ERR(snapshot))
		err = PTR_ERR(snapshot);
	else if (snapshot_address)
		err = copy_out(u64_to_user_ptr(snapshot_address), snapshot,
			       sizeof(*snapshot));
out:
	kvfree(signals);
	return err;
}

static int ioctl_snapshot(struct llx_session *session, void __user *user)
{
	struct llamux_snapshot_request request;
	int err;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	err = copy_in(&request, sizeof(request), user);
	if (err)
		return err;
	if (request.flags)
		return -EINVAL;
	return take_snapshot(session, request.signals, request.snapshot,
			     request.snapshot_size);
}

static int last_snapshot(struct llx_session *session, u64 signals_address,
			 u64 snapshot_address, u64 snapshot_size)
{
	const struct llamux_snapshot *snapshot;

	snapshot = llx_advice_last_snapshot(session);
	if (signals_address ||
	    (snapshot_address && snapshot_size != sizeof(*snapshot)))
		return -EINVAL;
	if (!snapshot)
		return -ENODATA;
	if (!snapshot_address)
		return 0;
	return copy_out(u64_to_user_ptr(snapshot_address), snapshot,
			sizeof(*snapshot));
}

static int advise(struct llx_session *session, const struct llamux_advice *in,
		  struct llamux_advice *advice, char *text, u32 text_size)
{
	int err;

	if (in->flags & LLAMUX_ADVISE_LAST_SNAPSHOT)
		err = last_snapshot(session, in->signals, in->snapshot,
				    in->snapshot_size);
	else
		err = take_snapshot(session, in->signals, in->snapshot,
				    in->snapshot_size);
	if (!err)
		err = llx_advice_give(session, in->flags, advice, text,
				      text_size);
	if (err)
		return err;
	advice->size = in->size;
	advice->flags = in->flags;
	advice->signals = in->signals;
	advice->snapshot = in->snapshot;
	advice->snapshot_size = in->snapshot_size;
	advice->prompt = in->prompt;
	advice->prompt_size = in->prompt_size;
	return 0;
}

static int ioctl_advise(struct llx_session *session, void __user *user)
{
	const u32 flags = LLAMUX_ADVISE_RULES_ONLY | LLAMUX_ADVISE_LAST_SNAPSHOT;
	struct llamux_advice *advice; /* [0] as given, [1] as answered */
	char *text = NULL;
	u32 text_size;
	int err = -ENOMEM;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	advice = kcalloc(2, sizeof(*advice), GFP_KERNEL_ACCOUNT);
	if (!advice)
		return -ENOMEM;
	err = copy_in(&advice[0], sizeof(*advice), user);
	if (err)
		goto out;
	err = -EINVAL;
	if (advice->flags & ~flags || (advice->prompt && !advice->prompt_size))
		goto out;
	text_size = advice->prompt ?
		    min_t(u64, advice->prompt_size, ADVICE_PROMPT_MAX) : 1;
	err = -ENOMEM;
	text = kvzalloc(text_size, GFP_KERNEL_ACCOUNT);
	if (!text)
		goto out;
	err = advise(session, &advice[0], &advice[1], text, text_size);
	if (!err && advice->prompt)
		err = copy_out(u64_to_user_ptr(advice->prompt), text,
			       strlen(text) + 1);
	if (!err)
		err = copy_out(user, &advice[1], sizeof(*advice));
out:
	kvfree(text);
	kfree(advice);
	return err;
}

/* ---- direct use of the model --------------------------------------------------- */

/* Exactly @n texts, each NUL ended, none too long. */
static bool phrases_are_valid(const char *phrases, u32 bytes, u32 n)
{
	while (n && bytes) {
		size_t length = strnlen(phrases, bytes);

		if (length == bytes || !length || length >= LLAMUX_PHRASE_MAX)
			return false;
		phrases += length + 1;
		bytes -= length + 1;
		n--;
	}
	return !n && !bytes;
}

static int score(struct llx_session *session, struct llamux_score *score,
		 const char *prompt, const char *phrases,
		 struct llx_phrase *results)
{
	struct llx_loaded *loaded = llx_model_get();
	u32 i;
	int err;

	if (!loaded)
		return -EAGAIN;
	err = llx_evaluate_phrases(session, loaded, prompt, score->prompt_bytes,
				   phrases, score->n_phrases, results);
	llx_model_put(loaded);
	if (err)
		return err;
	memset(score->logprob_micro_nats, 0, sizeof(score->logprob_micro_nats));
	memset(score->n_tokens, 0, sizeof(score->n_tokens));
	for (i = 0; i < score->n_phrases; i++) {
		score->logprob_micro_nats[i] = results[i].logprob_micro_nats;
		score->n_tokens[i] = results[i].n_tokens;
	}
	return 0;
}

static int ioctl_score(struct llx_session *session, void __user *user)
{
	const u32 phrases_max = LLAMUX_MAX_CANDIDATES * LLAMUX_PHRASE_MAX;
	struct llx_phrase *results = NULL;
	struct llamux_score request;
	char *phrases = NULL;
	char *prompt;
	int err = copy_in(&request, sizeof(request), user);

	if (err)
		return err;
	if (request.flags || request.reserved || !request.n_phrases ||
	    request.n_phrases > LLAMUX_MAX_CANDIDATES)
		return -EINVAL;
	prompt = llx_copy_text(request.prompt, request.prompt_bytes,
			       LLAMUX_PROMPT_MAX);
	if (IS_ERR(prompt))
		return PTR_ERR(prompt);
	phrases = llx_copy_text(request.phrases, request.phrases_bytes, phrases_max);
	if (IS_ERR(phrases)) {
		kvfree(prompt);
		return PTR_ERR(phrases);
	}
	err = -EINVAL;
	if (!phrases_are_valid(phrases, request.phrases_bytes,
			       request.n_phrases))
		goto out;
	results = kcalloc(request.n_phrases, sizeof(*results),
			  GFP_KERNEL_ACCOUNT);
	err = -ENOMEM;
	if (!results)
		goto out;
	err = score(session, &request, prompt, phrases, results);
	if (!err)
		err = copy_out(user, &request, sizeof(request));
out:
	kfree(results);
	kvfree(phrases);
	kvfree(prompt);
	return err;
}

static int eval_on(struct llx_session *session, struct llx_loaded *loaded,
		   struct llamux_eval *request, const char *prompt)
{
	const struct llx_hparams *hparams = &loaded->model->hparams;
	struct llx_evaluation evaluation = {
		.max_tokens = hparams->n_ctx,
	};
	int err = -ENOMEM;

	if (request->n_logits != hparams->n_vocab)
		return -EINVAL;
	evaluation.tokens = kvmalloc_array(hparams->n_ctx, sizeof(s32),
					   GFP_KERNEL_ACCOUNT);
	evaluation.logits = kvmalloc_array(hparams->n_vocab, sizeof(u32),
					   GFP_KERNEL_ACCOUNT);
	if (!evaluation.tokens || !evaluation.logits)
		goto out;
	err = llx_evaluate_logits(session, loaded, prompt,
				  request->prompt_bytes, &evaluation);
	if (err)
		goto out;
	err = -E2BIG;
	if (request->tokens && evaluation.n_tokens > request->n_tokens)
		goto out;
	request->n_tokens = evaluation.n_tokens;
	err = copy_out(u64_to_user_ptr(request->logits), evaluation.logits,
		       hparams->n_vocab * sizeof(u32));
	if (!err && request->tokens)
		err = copy_out(u64_to_user_ptr(request->tokens),
			       evaluation.tokens,
			       evaluation.n_tokens * sizeof(s32));
out:
	kvfree(evaluation.logits);
	kvfree(evaluation.tokens);
	return err;
}

static int ioctl_eval(struct llx_session *session, void __user *user)
{
	struct llamux_eval request;
	struct llx_loaded *loaded;
	char *prompt;
	int err = copy_in(&request, sizeof(request), user);

	if (err)
		return err;
	if (request.flags || request.reserved)
		return -EINVAL;
	prompt = llx_copy_text(request.prompt, request.prompt_bytes,
			       LLAMUX_PROMPT_MAX);
	if (IS_ERR(prompt))
		return PTR_ERR(prompt);
	loaded = llx_model_get();
	err = loaded ? eval_on(session, loaded, &request, prompt) : -EAGAIN;
	if (loaded)
		llx_model_put(loaded);
	if (!err)
		err = copy_out(user, &request, sizeof(request));
	kvfree(prompt);
	return err;
}

struct command {
	unsigned int number;
	int (*handle)(struct llx_session *session, void __user *user);
	bool locked; /* with the session's lock held */
};

static const struct command commands[] = {
	{ LLAMUX_IOC_VERSION, ioctl_version },
	{ LLAMUX_IOC_LOAD, ioctl_load },
	{ LLAMUX_IOC_MODEL_INFO, ioctl_model_info },
	{ LLAMUX_IOC_GET_PARAMS, ioctl_get_params, true },
	{ LLAMUX_IOC_SET_PARAMS, ioctl_set_params, true },
	{ LLAMUX_IOC_STATS, ioctl_stats },
	{ LLAMUX_IOC_BIND, ioctl_bind },
	{ LLAMUX_IOC_SNAPSHOT, ioctl_snapshot, true },
	{ LLAMUX_IOC_ADVISE, ioctl_advise, true },
	{ LLAMUX_IOC_SCORE, ioctl_score, true },
	{ LLAMUX_IOC_EVAL, ioctl_eval, true },
};

/* A longer struct of a later version has another size in its number. */
static unsigned int without_size(unsigned int number)
{
	return number & ~(_IOC_SIZEMASK << _IOC_SIZESHIFT);
}

int llx_ioctl(struct llx_session *session, unsigned int number,
	      void __user *user)
{
	const struct command *command;
	int err;

	if (number == LLAMUX_IOC_CANCEL) {
		llx_session_cancel(session);
		return 0;
	}
	for (command = commands; command < commands + ARRAY_SIZE(commands);
	     command++) {
		if (without_size(command->number) == without_size(number))
			goto found;
	}
	return -ENOTTY;
found:
	if (command->locked && mutex_lock_interruptible(&session->lock))
		return -EINTR;
	err = command->handle(session, user);
	if (command->locked)
		mutex_unlock(&session->lock);
	return err;
}
