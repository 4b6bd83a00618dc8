/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Cuts a text into words that a byte-level BPE vocabulary does not merge
 * across. Each way to do so is one regular expression or a few, under the name
 * that llama.cpp gives it (tokenizer.ggml.pre); here they are written out, so
 * that time is linear in the text, whatever it is.
 */
#ifndef LLX_PRETOKENIZE_H
#define LLX_PRETOKENIZE_H

#include "port.h"

enum llx_pretokenizer {
	LLX_PRE_DEFAULT,
	LLX_PRE_GPT2,
	LLX_PRE_SMOLLM,
	LLX_PRE_LLAMA3,
	LLX_PRE_QWEN2,
};

/**
 * llx_pretokenize_word - the first word of a text
 * @text: (@bytes), @bytes > 0; a byte that is no UTF-8 counts as a character
 *	that is neither letter, number nor space
 *
 * What comes before @text does not matter: the next word starts where this one
 * ends. Takes time in proportion to the word and the one after it. Any
 * context. Return: its bytes, at least 1.
 */
u32 llx_pretokenize_word(enum llx_pretokenizer kind, const char *text,
			 u32 bytes);

#endif
