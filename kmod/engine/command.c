// SPDX-License-Identifier: GPL-2.0-only
/*
 * Numbers and structs of the ioctls, checked; see command.h. The order of the
 * checks is not part of the ABI, the errors are.
 */
#include "command.h"

#include "sampler.h"

#include <llamux/telemetry.h>
#include <uapi/llamux.h>

static int check_version(const void *argument)
{
	const struct llamux_version *version = argument;

	return version->reserved ? -EINVAL : 0;
}

static int check_load(const void *argument)
{
	const struct llamux_load *load = argument;

	if (load->flags || load->chat_template >= LLAMUX_N_TEMPLATES)
		return -EINVAL;
	return 0;
}

static int check_params(const void *argument)
{
	const struct llamux_params *params = argument;

	if (params->format > LLAMUX_FORMAT_ASK ||
	    params->temperature_milli > 5000 ||
	    params->top_p_milli < 1 || params->top_p_milli > 1000 ||
	    params->min_p_milli > 1000 ||
	    params->repeat_penalty_milli < 1000 ||
	    params->repeat_penalty_milli > 2000 ||
	    params->repeat_last_n > LLX_SAMPLER_HISTORY ||
	    params->flags & ~LLAMUX_PARAM_KEEP_CONTEXT || params->reserved)
		return -EINVAL;
	return 0;
}

/* Both maps, or none. */
static int check_bind(const void *argument)
{
	const struct llamux_bind *bind = argument;

	if (bind->reserved ||
	    (bind->cgroups_fd == -1) != (bind->system_fd == -1))
		return -EINVAL;
	return 0;
}

static bool snapshot_fits(u64 snapshot, u64 snapshot_size)
{
	return !snapshot || snapshot_size == sizeof(struct llamux_snapshot);
}

static int check_snapshot(const void *argument)
{
	const struct llamux_snapshot_request *request = argument;

	if (request->flags ||
	    !snapshot_fits(request->snapshot, request->snapshot_size))
		return -EINVAL;
	return 0;
}

static int check_advise(const void *argument)
{
	const u32 flags = LLAMUX_ADVISE_RULES_ONLY | LLAMUX_ADVISE_LAST_SNAPSHOT;
	const struct llamux_advice *advice = argument;

	if (advice->flags & ~flags ||
	    !snapshot_fits(advice->snapshot, advice->snapshot_size) ||
	    (advice->prompt && !advice->prompt_size) ||
	    (advice->flags & LLAMUX_ADVISE_LAST_SNAPSHOT && advice->signals))
		return -EINVAL;
	return 0;
}

static int check_score(const void *argument)
{
	const u32 phrases_max = LLAMUX_MAX_CANDIDATES * LLAMUX_PHRASE_MAX;
	const struct llamux_score *score = argument;
	int err;

	if (score->flags || score->reserved || !score->n_phrases ||
	    score->n_phrases > LLAMUX_MAX_CANDIDATES)
		return -EINVAL;
	err = llx_command_check_text(score->prompt_bytes, LLAMUX_PROMPT_MAX);
	if (err)
		return err;
	return llx_command_check_text(score->phrases_bytes, phrases_max);
}

static int check_eval(const void *argument)
{
	const struct llamux_eval *eval = argument;

	if (eval->flags || eval->reserved)
		return -EINVAL;
	return llx_command_check_text(eval->prompt_bytes, LLAMUX_PROMPT_MAX);
}

/* Without a check: only the size counts of what comes in. */
static const struct {
	u32 number;
	int (*check)(const void *argument);
} commands[] = {
	{ LLAMUX_IOC_VERSION, check_version },
	{ LLAMUX_IOC_LOAD, check_load },
	{ LLAMUX_IOC_MODEL_INFO, NULL },
	{ LLAMUX_IOC_GET_PARAMS, NULL },
	{ LLAMUX_IOC_SET_PARAMS, check_params },
	{ LLAMUX_IOC_STATS, NULL },
	{ LLAMUX_IOC_BIND, check_bind },
	{ LLAMUX_IOC_SNAPSHOT, check_snapshot },
	{ LLAMUX_IOC_ADVISE, check_advise },
	{ LLAMUX_IOC_SCORE, check_score },
	{ LLAMUX_IOC_EVAL, check_eval },
};

static u32 without_size(u32 number)
{
	return number & ~((u32)_IOC_SIZEMASK << _IOC_SIZESHIFT);
}

u32 llx_command_find(u32 number)
{
	u32 i;

	if (number == LLAMUX_IOC_CANCEL) /* has no struct that could grow */
		return number;
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (without_size(commands[i].number) == without_size(number))
			return commands[i].number;
	return 0;
}

int llx_command_check_size(size_t size, u32 claimed)
{
	if (claimed < size)
		return -EINVAL;
	return claimed > LLX_COMMAND_STRUCT_MAX ? -E2BIG : 0;
}

int llx_command_check_text(u64 bytes, u32 max)
{
	if (!bytes)
		return -EINVAL;
	return bytes > max ? -E2BIG : 0;
}

int llx_command_check(u32 command, const void *argument)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (commands[i].number == command && commands[i].check)
			return commands[i].check(argument);
	return 0;
}

int llx_command_check_phrases(const char *phrases, u32 bytes, u32 n)
{
	while (n && bytes) {
		u32 length = 0;

		while (length < bytes && phrases[length])
			length++;
		if (length == bytes || !length || length >= LLAMUX_PHRASE_MAX)
			return -EINVAL;
		phrases += length + 1;
		bytes -= length + 1;
		n--;
	}
	return n || bytes ? -EINVAL : 0;
}
