// SPDX-License-Identifier: GPL-2.0-only
/*
 * The functions of port_user.h, over libc. Not part of the module.
 */
#include "port.h"

#include <stdio.h>
#include <stdlib.h>

int vscnprintf(char *buf, size_t size, const char *fmt, va_list args)
{
	int n = vsnprintf(buf, size, fmt, args);

	if (n < 0 || !size)
		return 0;
	return (size_t)n < size ? n : (int)size - 1;
}

int scnprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vscnprintf(buf, size, fmt, args);
	va_end(args);
	return n;
}

void sort(void *base, size_t num, size_t size,
	  int (*cmp)(const void *, const void *),
	  void (*swap_func)(void *, void *, int))
{
	(void)swap_func;
	if (num)
		qsort(base, num, size, cmp);
}

bool llx_bug(const char *expression, const char *file, int line)
{
	fprintf(stderr, "%s:%d: BUG: %s\n", file, line, expression);
	abort();
}

static _Thread_local u64 n_allocs;
static _Thread_local u64 failing_alloc;
static _Thread_local u64 n_blocks;

u64 llx_alloc_fail_nth(u64 nth)
{
	u64 asked = n_allocs;

	n_allocs = 0;
	failing_alloc = nth;
	return asked;
}

u64 llx_alloc_blocks(void)
{
	return n_blocks;
}

void *llx_alloc(size_t bytes)
{
	void *p;

	if (++n_allocs == failing_alloc)
		return NULL;
	if (!bytes || bytes > (size_t)-64)
		return NULL;
	p = aligned_alloc(64, ALIGN(bytes, 64));
	if (!p)
		return NULL;
	memset(p, 0, bytes);
	n_blocks++;
	return p;
}

void llx_free(const void *pointer)
{
	if (!pointer)
		return;
	n_blocks--;
	free((void *)pointer);
}
