/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What kind of character a code point is, as far as tokenizers care.
 */
#ifndef LLX_UNICODE_H
#define LLX_UNICODE_H

#include "port.h"

/* The numbers are those of the table. */
enum llx_char_class {
	LLX_CHAR_OTHER = 0, /* marks, symbols, controls, not assigned */
	LLX_CHAR_LETTER = 1, /* L */
	LLX_CHAR_NUMBER = 2, /* N */
	LLX_CHAR_SPACE = 3, /* White_Space */
	LLX_CHAR_PUNCTUATION = 4, /* P */
	LLX_CHAR_NONE, /* the text is over */
};

/* Class of a code point; above U+10FFFF: other. Any context. */
enum llx_char_class llx_unicode_class(u32 point);

#endif
