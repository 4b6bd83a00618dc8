/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The seam: everything that engine, math and simd need from outside.
 *
 * The same sources are the kernel module and a user-space library; this header
 * is the only place that knows which. Both halves provide:
 *
 *   types	u8 u16 u32 u64 s8 s16 s32 s64 bool size_t, NULL
 *   errors	the errno constants
 *   memory	memcpy memmove memset memcmp strlen strcmp; llx_alloc(bytes):
 *		zeroed, 64-byte aligned, NULL on failure, never for 0 bytes;
 *		llx_free(pointer): NULL is fine. May sleep: never inside
 *		an FPU section
 *   text	scnprintf vscnprintf (never a %f)
 *   sizes	check_add_overflow check_mul_overflow check_sub_overflow
 *   helpers	min max min_t max_t clamp ARRAY_SIZE ALIGN DIV_ROUND_UP BIT
 *		swap sort (heapsort, no recursion)
 *   bytes	get_unaligned_le16 le32 le64
 *   checks	static_assert; LLX_BUG_ON(cond): a mistake of our own, true when
 *		it happened; never for input
 */
#ifndef LLX_PORT_H
#define LLX_PORT_H

#ifdef __KERNEL__
#include "port_kernel.h"
#else
#include "port_user.h"
#endif

/* A binary32 in memory. Only math/ and simd/ look inside. */
typedef struct {
	u32 bits;
} llx_f32;

#define LLX_ERROR_TEXT 192

/*
 * What went wrong, for a person: one line without a newline. It ends with the
 * place in the file, if there is one (offset is 0 when there is none).
 */
struct llx_error {
	int code;
	u64 offset;
	char text[LLX_ERROR_TEXT];
};

/*
 * Records the first error and returns @code (a negative errno), so that a
 * caller can write: return llx_fail(err, -EINVAL, offset, "...").
 */
int llx_fail(struct llx_error *err, int code, u64 offset, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#endif
