/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LLX_PANIC_H
#define LLX_PANIC_H

/* Be there when the kernel panics. Process context. */
void llx_panic_init(void);

/* Undoes llx_panic_init(). */
void llx_panic_exit(void);

#endif
