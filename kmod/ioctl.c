// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ioctls of /dev/llamux: copies their structs in, has them checked
 * (engine/command.c), does what they ask for and copies out.
 * include/uapi/llamux.h is the contract.
 */
#include "ioctl.h"
#include "advice.h"
#include "engine/command.h"
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
	err = llx_command_check_size(size, user_size);
	if (!err)
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

char *llx_copy_text(u64 address, u32 bytes)
{
	char *text = kvmalloc(bytes + 1, GFP_KERNEL_ACCOUNT);

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

static int ioctl_version(struct llx_session *session, void *argument)
{
	struct llamux_version *version = argument;

	version->abi = LLAMUX_ABI_VERSION;
	version->telemetry_schema = LLAMUX_TELEMETRY_SCHEMA;
	return 0;
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

static int ioctl_load(struct llx_session *session, void *argument)
{
	struct llamux_load *load = argument;
	struct llx_error error = {};
	int status;

	status = load_from_fd(load->fd, load->chat_template, &error);
	memset(load->error, 0, sizeof(load->error));
	strscpy(load->error, error.text, sizeof(load->error));
	return status;
}

static int ioctl_model_info(struct llx_session *session, void *argument)
{
	struct llamux_model_info *info = argument;
	struct llx_loaded *loaded = llx_model_get();
	u32 size = info->size;

	if (!loaded)
		return -ENODATA;
	memset(info, 0, sizeof(*info));
	info->size = size;
	llx_model_file_info(loaded, info);
	llx_model_put(loaded);
	return 0;
}

static int ioctl_get_params(struct llx_session *session, void *argument)
{
	struct llamux_params *params = argument;
	u32 size = params->size;

	*params = session->params;
	params->size = size;
	return 0;
}

static int ioctl_set_params(struct llx_session *session, void *argument)
{
	const struct llamux_params *params = argument;

	session->params = *params;
	return 0;
}

static int ioctl_stats(struct llx_session *session, void *argument)
{
	llx_stats_read(argument);
	return 0;
}

/* ---- telemetry ---------------------------------------------------------------- */

static int ioctl_bind(struct llx_session *session, void *argument)
{
	return llx_telemetry_bind(argument);
}

/* Copies signals (if any) in, takes a snapshot, copies it out (if wanted). */
static int take_snapshot(struct llx_session *session, u64 signals_address,
			 u64 snapshot_address)
{
	struct llamux_signals *signals = NULL;
	const struct llamux_snapshot *snapshot;
	int err = 0;

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

static int ioctl_snapshot(struct llx_session *session, void *argument)
{
	const struct llamux_snapshot_request *request = argument;

	return take_snapshot(session, request->signals, request->snapshot);
}

static int last_snapshot(struct llx_session *session, u64 snapshot_address)
{
	const struct llamux_snapshot *snapshot;

	snapshot = llx_advice_last_snapshot(session);
	if (!snapshot)
		return -ENODATA;
	if (!snapshot_address)
		return 0;
	return copy_out(u64_to_user_ptr(snapshot_address), snapshot,
			sizeof(*snapshot));
}

static int advise(struct llx_session *session,
		  const struct llamux_advice *request,
		  struct llamux_advice *answer, char *text, u32 text_size)
{
	int err;

	if (request->flags & LLAMUX_ADVISE_LAST_SNAPSHOT)
		err = last_snapshot(session, request->snapshot);
	else
		err = take_snapshot(session, request->signals,
				    request->snapshot);
	if (!err)
		err = llx_advice_give(session, request->flags, answer, text,
				      text_size);
	if (!err && request->prompt)
		err = copy_out(u64_to_user_ptr(request->prompt), text,
			       strlen(text) + 1);
	return err;
}

static int ioctl_advise(struct llx_session *session, void *argument)
{
	const size_t n_in = offsetof(struct llamux_advice, ranked_by);
	struct llamux_advice *request = argument;
	struct llamux_advice *answer;
	u32 text_size = 1;
	int err = -ENOMEM;
	char *text;

	if (request->prompt)
		text_size = min_t(u64, request->prompt_size, ADVICE_PROMPT_MAX);
	text = kvzalloc(text_size, GFP_KERNEL_ACCOUNT);
	answer = kzalloc(sizeof(*answer), GFP_KERNEL_ACCOUNT);
	if (text && answer)
		err = advise(session, request, answer, text, text_size);
	if (!err) {
		memcpy(answer, request, n_in);
		*request = *answer;
	}
	kfree(answer);
	kvfree(text);
	return err;
}

/* ---- direct use of the model --------------------------------------------------- */

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

static int score_text(struct llx_session *session, struct llamux_score *request,
		      const char *prompt, const char *phrases)
{
	struct llx_phrase *results;
	int err;

	err = llx_command_check_phrases(phrases, request->phrases_bytes,
					request->n_phrases);
	if (err)
		return err;
	results = kcalloc(request->n_phrases, sizeof(*results),
			  GFP_KERNEL_ACCOUNT);
	if (!results)
		return -ENOMEM;
	err = score(session, request, prompt, phrases, results);
	kfree(results);
	return err;
}

static int ioctl_score(struct llx_session *session, void *argument)
{
	struct llamux_score *request = argument;
	char *phrases;
	char *prompt;
	int err;

	prompt = llx_copy_text(request->prompt, request->prompt_bytes);
	if (IS_ERR(prompt))
		return PTR_ERR(prompt);
	phrases = llx_copy_text(request->phrases, request->phrases_bytes);
	if (IS_ERR(phrases)) {
		kvfree(prompt);
		return PTR_ERR(phrases);
	}
	err = score_text(session, request, prompt, phrases);
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

static int ioctl_eval(struct llx_session *session, void *argument)
{
	struct llamux_eval *request = argument;
	struct llx_loaded *loaded;
	char *prompt;
	int err = -EAGAIN;

	prompt = llx_copy_text(request->prompt, request->prompt_bytes);
	if (IS_ERR(prompt))
		return PTR_ERR(prompt);
	loaded = llx_model_get();
	if (loaded) {
		err = eval_on(session, loaded, request, prompt);
		llx_model_put(loaded);
	}
	kvfree(prompt);
	return err;
}

/* ---- dispatch ------------------------------------------------------------------- */

/* @handle gets the struct, checked; what it leaves in it is copied out. */
struct command {
	unsigned int number;
	int (*handle)(struct llx_session *session, void *argument);
	bool locked;	   /* with the session's lock held */
	bool is_admin;	   /* needs CAP_SYS_ADMIN */
	bool tells_errors; /* copied out after a failure, too */
};

static const struct command commands[] = {
	{ LLAMUX_IOC_VERSION, ioctl_version },
	{ LLAMUX_IOC_LOAD, ioctl_load, .is_admin = true, .tells_errors = true },
	{ LLAMUX_IOC_MODEL_INFO, ioctl_model_info },
	{ LLAMUX_IOC_GET_PARAMS, ioctl_get_params, .locked = true },
	{ LLAMUX_IOC_SET_PARAMS, ioctl_set_params, .locked = true },
	{ LLAMUX_IOC_STATS, ioctl_stats },
	{ LLAMUX_IOC_BIND, ioctl_bind, .is_admin = true },
	{ LLAMUX_IOC_SNAPSHOT, ioctl_snapshot, .locked = true, .is_admin = true },
	{ LLAMUX_IOC_ADVISE, ioctl_advise, .locked = true, .is_admin = true },
	{ LLAMUX_IOC_SCORE, ioctl_score, .locked = true },
	{ LLAMUX_IOC_EVAL, ioctl_eval, .locked = true },
};

static const struct command *find_command(unsigned int number)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (commands[i].number == number)
			return &commands[i];
	return NULL;
}

static int run(const struct command *command, struct llx_session *session,
	       void *argument, void __user *user)
{
	const size_t size = _IOC_SIZE(command->number);
	int err = copy_in(argument, size, user);

	if (!err)
		err = llx_command_check(command->number, argument);
	if (err)
		return err;
	err = command->handle(session, argument);
	if (_IOC_DIR(command->number) & _IOC_READ &&
	    (!err || command->tells_errors) && copy_out(user, argument, size))
		return -EFAULT;
	return err;
}

int llx_ioctl(struct llx_session *session, unsigned int number,
	      void __user *user)
{
	const struct command *command;
	void *argument;
	int err;

	number = llx_command_find(number);
	if (number == LLAMUX_IOC_CANCEL) {
		llx_session_cancel(session);
		return 0;
	}
	command = find_command(number);
	if (!command)
		return -ENOTTY;
	if (command->is_admin && !capable(CAP_SYS_ADMIN))
		return -EPERM;
	argument = kzalloc(_IOC_SIZE(number), GFP_KERNEL_ACCOUNT);
	if (!argument)
		return -ENOMEM;
	err = -EINTR;
	if (!command->locked || !mutex_lock_interruptible(&session->lock)) {
		err = run(command, session, argument, user);
		if (command->locked)
			mutex_unlock(&session->lock);
	}
	kfree(argument);
	return err;
}
