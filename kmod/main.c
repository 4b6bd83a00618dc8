// SPDX-License-Identifier: GPL-2.0-only
/*
 * llamux.ko: a language model in the kernel. Module parameters, and the order
 * in which the parts come and go.
 */
#include "cpu.h"
#include "device.h"
#include "model_file.h"
#include "panic.h"
#include "proc.h"
#include "selftest.h"
#include "session.h"
#include "telemetry.h"
#include "worker.h"

#include <linux/cpumask.h>
#include <linux/module.h>

static char *model;
module_param(model, charp, 0444);
MODULE_PARM_DESC(model, "GGUF file to load at insertion (default: none)");

static char *chat_template;
module_param(chat_template, charp, 0444);
MODULE_PARM_DESC(chat_template, "how its prompts are written: plain, zephyr, chatml, llama-2, llama-3 (default: as the file says)");

static uint threads;
module_param(threads, uint, 0444);
MODULE_PARM_DESC(threads, "inference threads (default: one per online CPU)");

static uint n_ctx = 2048;
module_param(n_ctx, uint, 0444);
MODULE_PARM_DESC(n_ctx, "most tokens of one session (0: as the model says)");

static char *kv_cache;
module_param(kv_cache, charp, 0444);
MODULE_PARM_DESC(kv_cache, "what keys and values of sessions are kept in: f16 (default) or q8_0, little more than half of it");

static char *isa;
module_param(isa, charp, 0444);
MODULE_PARM_DESC(isa, "vector kernels: generic, avx2... (default: the best)");

static int nice = MAX_NICE;
module_param(nice, int, 0444); /* set_user_nice() ignores what is no nice value */
MODULE_PARM_DESC(nice, "nice value of the inference threads (default: 19)");

static int urgent_nice;
module_param(urgent_nice, int, 0444);
MODULE_PARM_DESC(urgent_nice, "the same while an administrator waits for advice (default: 0)");

static uint user_mib = 256;
module_param(user_mib, uint, 0444);
MODULE_PARM_DESC(user_mib, "MiB for the sessions of one user (default: 256)");

static bool selftest;
module_param(selftest, bool, 0444);
MODULE_PARM_DESC(selftest, "check the vector kernels first, refuse to load if they differ");

static int __init llamux_init(void)
{
	u32 n_workers = threads ?: num_online_cpus();
	int err;

	err = llx_cpu_kernels_init(isa);
	if (!err && selftest)
		err = llx_selftest_run();
	if (err)
		return err;
	err = llx_model_file_init(n_ctx, kv_cache);
	if (err)
		return err;
	llx_sessions_init((u64)user_mib << 20);
	err = llx_worker_init(min(n_workers, LLX_MAX_WORKERS), nice,
			      urgent_nice);
	if (err)
		return err;
	if (model)
		err = llx_model_file_load_path(model, chat_template);
	if (err)
		goto err_model;
	err = llx_proc_init();
	if (err)
		goto err_model;
	err = llx_device_init();
	if (err)
		goto err_proc;
	llx_panic_init();
	return 0;

err_proc:
	llx_proc_exit();
err_model:
	llx_worker_exit();
	llx_model_file_exit();
	return err;
}

static void __exit llamux_exit(void)
{
	llx_panic_exit();
	llx_device_exit();
	llx_proc_exit();
	llx_worker_exit();
	llx_telemetry_unbind();
	llx_model_file_exit();
}

module_init(llamux_init);
module_exit(llamux_exit);
MODULE_DESCRIPTION("A language model in the kernel");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1.0");
