// SPDX-License-Identifier: GPL-2.0-only
/*
 * The engine's memory: weights, caches, scratch.
 *
 * What is large comes from vmalloc_huge(), which maps it with 2 MiB pages, so
 * that streaming through the weights does not miss the TLB on every page.
 * Each block is preceded by one cache line that says how long it is.
 */
#include "reserve.h"
#include "engine/port.h"

#include <linux/atomic.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#define BLOCK_ALIGN 64

struct block {
	size_t bytes; /* as asked for */
} __aligned(BLOCK_ALIGN);

static atomic64_t bytes_in_use;

/*
 * Refused where it could only be had from others: a model that is too large
 * should fail to load, not make the kernel kill something.
 */
static void *alloc_large(size_t bytes)
{
	long available = si_mem_available();

	if (available < 0 || bytes >> PAGE_SHIFT > available)
		return NULL;
	return vmalloc_huge(bytes, GFP_KERNEL | __GFP_ZERO |
				   __GFP_RETRY_MAYFAIL | __GFP_NOWARN);
}

/**
 * llx_alloc() - zeroed memory, aligned to 64 bytes
 * @bytes: more than 0
 *
 * Context: process, may sleep.
 * Return: memory for llx_free(); NULL: there is none, or @bytes is 0. Never
 * warns: the size may come from a file.
 */
void *llx_alloc(size_t bytes)
{
	struct block *block;
	size_t total;

	if (!bytes || check_add_overflow(bytes, sizeof(*block), &total))
		return NULL;
	if (total >= PMD_SIZE)
		block = alloc_large(total);
	else if (total > PAGE_SIZE)
		block = kvzalloc(total, GFP_KERNEL | __GFP_NOWARN);
	else /* kmalloc aligns powers of two to their size */
		block = kzalloc(roundup_pow_of_two(total), GFP_KERNEL);
	if (!block)
		return NULL;
	block->bytes = bytes;
	atomic64_add(bytes, &bytes_in_use);
	return block + 1;
}

/**
 * llx_free() - undo llx_alloc()
 * @pointer: what llx_alloc() returned; NULL is fine
 *
 * Context: process, may sleep.
 */
void llx_free(const void *pointer)
{
	const struct block *block = pointer;

	if (!block)
		return;
	block--;
	atomic64_sub(block->bytes, &bytes_in_use);
	kvfree(block);
}

u64 llx_reserve_bytes(void)
{
	return atomic64_read(&bytes_in_use);
}
