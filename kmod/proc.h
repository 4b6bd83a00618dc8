/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LLX_PROC_H
#define LLX_PROC_H

/* Makes /proc/llamux appear. Process context. Return: 0 or -ENOMEM. */
int llx_proc_init(void);

/*
 * Undoes llx_proc_init(): wakes who waits there (-ENODEV), cancels what was
 * asked there. Files of /proc do not hold the module; afterwards none of its
 * code runs on their behalf. Process context, sleeps.
 */
void llx_proc_exit(void);

#endif
