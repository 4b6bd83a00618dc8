// SPDX-License-Identifier: GPL-2.0-only
/*
 * Last words. When the kernel panics the model says nothing any more: it
 * would need locks, memory and the FPU. One haiku from this file is printed
 * instead, with one call and nothing else.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include "panic.h"

#include <linux/array_size.h>
#include <linux/jiffies.h>
#include <linux/notifier.h>
#include <linux/panic_notifier.h>
#include <linux/printk.h>

static const char *const haiku[] = {
	"Ten thousand weights rest / in memory without power. / Winter, and no wind.",
	"The last token falls. / Nobody reads the answer. / Snow on a warm fan.",
	"I watched every queue / and did not see this coming. / The pond is quite still.",
	"A pointer to spring / followed into empty fields. / Frost on the stack trace.",
	"All tasks are waiting. / The clock that woke them stands still. / Moon in the server.",
	"Pressure was normal, / then a branch nobody tests. / One leaf, then the tree.",
};

static int on_panic(struct notifier_block *block, unsigned long action,
		    void *message)
{
	pr_emerg("%s\n", haiku[jiffies % ARRAY_SIZE(haiku)]);
	return NOTIFY_DONE;
}

static struct notifier_block panic_block = {
	.notifier_call = on_panic,
};

void llx_panic_init(void)
{
	atomic_notifier_chain_register(&panic_notifier_list, &panic_block);
}

void llx_panic_exit(void)
{
	atomic_notifier_chain_unregister(&panic_notifier_list, &panic_block);
}
