/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above
 * U+10FFFF.
 */
#ifndef LLX_UTF8_H
#define LLX_UTF8_H

#include "port.h"

/**
 * llx_utf8_sequence() - the character at the start of some text
 * @text: (@bytes), @bytes > 0
 *
 * Any context. Return: its length, 1..4; 0: more bytes are needed to tell;
 * -EILSEQ: no character starts like this.
 */
int llx_utf8_sequence(const char *text, size_t bytes);

/* The code point of a character of @length bytes. Any context. */
u32 llx_utf8_point(const char *text, u32 length);

/* Is the whole text valid? Any context. */
bool llx_utf8_is_valid(const char *text, size_t bytes);

#endif
