/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The commands of /dev/llamux (include/uapi/llamux.h): every check of what a
 * caller hands in that needs to look at nothing else. Pure, so that it can be
 * fuzzed; the module copies, and asks here before it uses what it copied.
 */
#ifndef LLX_COMMAND_H
#define LLX_COMMAND_H

#include "port.h"

/* Bytes that a caller's struct may claim to have. */
#define LLX_COMMAND_STRUCT_MAX 65536u

/**
 * llx_command_find - which command a number means
 * @number: as ioctl(2) got it; a later version's struct, which is longer, gives
 *	its number another size
 *
 * Any context. Return: a LLAMUX_IOC_*, whose _IOC_SIZE() is that of the struct;
 * 0: not one of ours.
 */
u32 llx_command_find(u32 number);

/**
 * llx_command_check_size - may a caller's struct be this long?
 * @size: bytes of the struct here
 * @claimed: bytes of the caller's; those beyond @size must be zero, which is
 *	left to whoever copies
 *
 * Any context. Return: 0; -EINVAL smaller than ours; -E2BIG.
 */
int llx_command_check_size(size_t size, u32 claimed);

/**
 * llx_command_check_text - may a text be this long?
 *
 * Any context. Return: 0; -EINVAL empty; -E2BIG more than @max.
 */
int llx_command_check_text(u64 bytes, u32 max);

/**
 * llx_command_check - is the struct of a command what the ABI allows?
 * @command: what llx_command_find() returned
 * @argument: (_IOC_SIZE(@command)), any content; NULL if that is 0
 *
 * Pointers in it are not followed. Any context. Return: 0; -EINVAL; -E2BIG a
 * text is too long.
 */
int llx_command_check(u32 command, const void *argument);

/**
 * llx_command_check_phrases - are these the phrases of a struct llamux_score?
 * @phrases: (@bytes), any content
 * @n: as many as there must be
 *
 * Any context. Return: 0; -EINVAL: not exactly @n texts, each ended by a NUL, none
 * empty, each with its NUL at most LLAMUX_PHRASE_MAX bytes.
 */
int llx_command_check_phrases(const char *phrases, u32 bytes, u32 n);

#endif
