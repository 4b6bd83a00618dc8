/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LLX_IOCTL_H
#define LLX_IOCTL_H

#include <linux/compiler.h>
#include <linux/types.h>

struct llx_session;

/**
 * llx_ioctl() - one command of include/uapi/llamux.h
 * @session: of the open file
 * @number: the command
 * @user: its struct in user memory
 *
 * Context: process, in the caller's task; sleeps.
 * Return: 0 or -errno.
 */
int llx_ioctl(struct llx_session *session, unsigned int number,
	      void __user *user);

/**
 * llx_copy_text() - text out of user memory
 * @address: where
 * @bytes: how long: llx_command_check_text() accepts that
 *
 * Context: process, may sleep.
 * Return: a NUL-ended copy for kvfree(), or an
 * ERR_PTR: -EFAULT; -ENOMEM.
 */
char *llx_copy_text(u64 address, u32 bytes);

#endif
