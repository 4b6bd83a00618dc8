// SPDX-License-Identifier: GPL-2.0-only
/*
 * Does wrong what defect= names, once, when it is inserted. With it
 * tests/vm/selftest.py proves that the checkers of the User Mode Linux see such
 * defects in a module, and that the harness sees their reports.
 */
#include <linux/bug.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

static char *defect = "";
module_param(defect, charp, 0);
MODULE_PARM_DESC(defect, "Which one");

static DEFINE_MUTEX(first);
static DEFINE_MUTEX(second);
static DEFINE_SPINLOCK(spin);

/* A parameter, so that the compiler cannot tell. */
static int n = 64;
module_param(n, int, 0);
MODULE_PARM_DESC(n, "Size of a block, first index behind it");

static void slab_out_of_bounds(void)
{
	char *block = kmalloc(n, GFP_KERNEL);

	if (block)
		WRITE_ONCE(block[n], 1);
	kfree(block);
}

static void use_after_free(void)
{
	char *block = kmalloc(n, GFP_KERNEL);

	kfree(block);
	if (block)
		READ_ONCE(block[n / 2]);
}

/* Weights and contexts are of this kind. */
static void vmalloc_out_of_bounds(void)
{
	char *block = vmalloc(n);

	if (block)
		READ_ONCE(block[n + 8]);
	vfree(block);
}

static void stack_out_of_bounds(void)
{
	char block[64];

	memset(block, 0, sizeof(block));
	READ_ONCE(block[n]);
}

static void shift_out_of_bounds(void)
{
	n = 1 << n;
}

static void lock_inversion(void)
{
	mutex_lock(&first);
	mutex_lock(&second);
	mutex_unlock(&second);
	mutex_unlock(&first);
	mutex_lock(&second);
	mutex_lock(&first);
	mutex_unlock(&first);
	mutex_unlock(&second);
}

static void sleep_in_atomic(void)
{
	spin_lock(&spin);
	kfree(kmalloc(n, GFP_KERNEL));
	spin_unlock(&spin);
}

static const struct {
	const char *name;
	void (*run)(void);
} defects[] = {
	{ "slab-out-of-bounds", slab_out_of_bounds },
	{ "use-after-free", use_after_free },
	{ "vmalloc-out-of-bounds", vmalloc_out_of_bounds },
	{ "stack-out-of-bounds", stack_out_of_bounds },
	{ "shift-out-of-bounds", shift_out_of_bounds },
	{ "lock-inversion", lock_inversion },
	{ "sleep-in-atomic", sleep_in_atomic },
};

static int __init llamux_defect_init(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(defects); i++) {
		if (!strcmp(defect, defects[i].name)) {
			defects[i].run();
			return 0;
		}
	}
	return -EINVAL;
}

static void __exit llamux_defect_exit(void)
{
}

module_init(llamux_defect_init);
module_exit(llamux_defect_exit);
MODULE_DESCRIPTION("Seeded defects for the tests of Llamux");
MODULE_LICENSE("GPL");
