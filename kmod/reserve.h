/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LLX_RESERVE_H
#define LLX_RESERVE_H

#include <linux/types.h>

/* llx_alloc() and llx_free() are declared in engine/port_kernel.h. */

/* Bytes that llx_alloc() has given out and not got back. Any context. */
u64 llx_reserve_bytes(void);

#endif
