/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tokenizers from GGUF metadata. Llama's SentencePiece: characters are merged
 * by the best score first, what is left over falls back to byte tokens.
 * GPT-2's byte-level BPE: the text is cut into words, in which bytes are merged
 * by the lowest rank first. Control tokens (<s>, </s>) never come out of text;
 * callers that mean them append their ids.
 */
#ifndef LLX_TOKENIZER_H
#define LLX_TOKENIZER_H

#include "port.h"

struct llx_tokenizer; /* built by tokenizer_load.c from the metadata */

enum llx_token_type {
	LLX_TOKEN_NORMAL = 1,
	LLX_TOKEN_UNKNOWN = 2,
	LLX_TOKEN_CONTROL = 3,
	LLX_TOKEN_USER_DEFINED = 4,
	LLX_TOKEN_UNUSED = 5,
	LLX_TOKEN_BYTE = 6,
};

/**
 * struct llx_vocab - what callers may know about a vocabulary
 * @bos, @eos, @unk: token ids; -1: none
 * @add_bos: a text starts with @bos
 * @add_space_prefix: a text starts with a space
 */
struct llx_vocab {
	u32 n_tokens;
	s32 bos;
	s32 eos;
	s32 unk;
	bool add_bos;
	bool add_eos;
	bool add_space_prefix;
};

const struct llx_vocab *llx_tokenizer_vocab(const struct llx_tokenizer *t);

/**
 * llx_tokenizer_encode - text to tokens, without bos or eos
 * @text: (@bytes) UTF-8; invalid bytes become byte tokens. Bytes for which a
 *	BPE vocabulary has no token are left out
 * @start: the text starts a line of its own: the space prefix is added if
 *	the vocabulary wants one
 * @tokens: out, (@max)
 * @n_tokens: out
 *
 * May sleep (allocates scratch of about 53 bytes per byte of text, where a
 * space counts as three in SentencePiece); no FPU. O(n log n). Return: 0; -E2BIG more than
 * @max tokens; -ENOMEM.
 */
int llx_tokenizer_encode(const struct llx_tokenizer *t, const char *text,
			 size_t bytes, bool start, s32 *tokens, u32 max,
			 u32 *n_tokens);

/**
 * llx_tokenizer_piece - the bytes a token stands for
 * @out: (@size) bytes, not NUL ended
 *
 * Byte tokens give their byte, control and unknown tokens nothing; the
 * SentencePiece space becomes ' ', BPE's characters the bytes they stand for.
 * The space prefix of the first token of an answer is the caller's to drop.
 * Return: bytes; -EINVAL: no such token; -ENOSPC. Any context.
 */
int llx_tokenizer_piece(const struct llx_tokenizer *t, s32 token, char *out,
			size_t size);

/* Control token of that exact text ("</s>"), or -1. Any context. */
s32 llx_tokenizer_control(const struct llx_tokenizer *t, const char *text);

/* enum llx_token_type, 0 for a number out of range. Any context. */
u32 llx_tokenizer_type(const struct llx_tokenizer *t, s32 token);

#endif
