/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LLX_DEVICE_H
#define LLX_DEVICE_H

/* Makes /dev/llamux appear. Process context. Return: 0 or -errno. */
int llx_device_init(void);

/* Undoes llx_device_init(). No file of it is open: they hold the module. */
void llx_device_exit(void);

#endif
