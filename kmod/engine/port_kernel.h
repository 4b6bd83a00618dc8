/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel half of port.h. */
#ifndef LLX_PORT_KERNEL_H
#define LLX_PORT_KERNEL_H

#include <linux/align.h>
#include <linux/bits.h>
#include <linux/bug.h>
#include <linux/build_bug.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/minmax.h>
#include <linux/overflow.h>
#include <linux/sort.h>
#include <linux/stdarg.h>
#include <linux/string.h>
#include <linux/types.h>
#include <linux/version.h>
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
#include <linux/unaligned.h>
#else
#include <asm/unaligned.h>
#endif

#define LLX_BUG_ON(cond) WARN_ON_ONCE(cond)

/* kmod/reserve.c */
void *llx_alloc(size_t bytes);
void llx_free(const void *pointer);

#endif
