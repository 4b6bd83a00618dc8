/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The user-space half of port.h: tests, fuzzers, benchmarks and the training
 * tools build the engine with it. engine/port_user.c has the functions.
 */
#ifndef LLX_PORT_USER_H
#define LLX_PORT_USER_H

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef unsigned long long u64; /* as the kernel has it: prints with %llu */
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef long long s64;

#define check_add_overflow(a, b, d) __builtin_add_overflow(a, b, d)
#define check_sub_overflow(a, b, d) __builtin_sub_overflow(a, b, d)
#define check_mul_overflow(a, b, d) __builtin_mul_overflow(a, b, d)

#ifndef __cplusplus
#define min(a, b)                          \
	({                                 \
		__typeof__(a) min_a_ = (a); \
		__typeof__(b) min_b_ = (b); \
		min_a_ < min_b_ ? min_a_ : min_b_; \
	})
#define max(a, b)                          \
	({                                 \
		__typeof__(a) max_a_ = (a); \
		__typeof__(b) max_b_ = (b); \
		max_a_ > max_b_ ? max_a_ : max_b_; \
	})
#define min_t(t, a, b) min((t)(a), (t)(b))
#define max_t(t, a, b) max((t)(a), (t)(b))
#define clamp(v, lo, hi) min(max(v, lo), hi)
#define swap(a, b)                          \
	do {                                \
		__typeof__(a) swap_ = (a);  \
		(a) = (b);                  \
		(b) = swap_;                \
	} while (0)
#define ALIGN(x, a) (((x) + ((__typeof__(x))(a) - 1)) & ~((__typeof__(x))(a) - 1))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define BIT(n) (1UL << (n))
#define DIV_ROUND_UP(n, d) (((n) + (d) - 1) / (d))
/* As the kernel has it: the message may be left out. */
#undef static_assert
#define static_assert(expr, ...) static_assert_(expr, ##__VA_ARGS__, #expr)
#define static_assert_(expr, text, ...) _Static_assert(expr, text)
#define noinline __attribute__((__noinline__))
#endif

static inline u16 get_unaligned_le16(const void *p)
{
	u16 v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline u32 get_unaligned_le32(const void *p)
{
	u32 v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline u64 get_unaligned_le64(const void *p)
{
	u64 v;

	memcpy(&v, p, sizeof(v));
	return v;
}

int vscnprintf(char *buf, size_t size, const char *fmt, va_list args)
	__attribute__((format(printf, 3, 0)));
int scnprintf(char *buf, size_t size, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void sort(void *base, size_t num, size_t size,
	  int (*cmp)(const void *, const void *),
	  void (*swap_func)(void *, void *, int));

/* Aborts: the mistake is ours, and a test should see it. */
bool llx_bug(const char *expression, const char *file, int line);
#define LLX_BUG_ON(cond) ((cond) ? llx_bug(#cond, __FILE__, __LINE__) : 0)

void *llx_alloc(size_t bytes);
void llx_free(const void *pointer);

/*
 * For tests: the @nth allocation of this thread from now on fails (1: the next
 * one; 0: none does), once. Returns how many have been asked for since the
 * call before.
 */
u64 llx_alloc_fail_nth(u64 nth);

/* For tests: how many allocations this thread made and did not free. */
u64 llx_alloc_blocks(void);

#ifdef __cplusplus
}
#endif

#endif
