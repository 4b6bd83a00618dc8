/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * GPT-2's byte-level BPE: what a vocabulary of that kind has beyond a
 * SentencePiece one. Its tokens are written with one character for each byte
 * (its encoder.py, bytes_to_unicode): printable ones stand for themselves, the
 * others got U+0100 and up.
 */
#ifndef LLX_BPE_H
#define LLX_BPE_H

#include "tokenizer_load.h"

/* Llama 3 has 280147. */
#define LLX_MAX_MERGES (1u << 20)

/* UTF-8 of the character for a byte. Return: its length, 1 or 2. */
u32 llx_bpe_encode_byte(u8 byte, char out[2]);

/**
 * llx_bpe_decode - the bytes that a token's text stands for
 * @text: (@bytes); characters that stand for no byte are kept as they are
 * @out: (@size), at most @bytes are written
 *
 * Any context. Return: bytes written; -ENOSPC.
 */
int llx_bpe_decode(const char *text, u32 bytes, char *out, size_t size);

/* The first merge of these two tokens, or NULL. O(log n), any context. */
const struct llx_merge *llx_bpe_find_merge(const struct llx_tokenizer *t,
					   s32 left, s32 right);

/*
 * Opens the merges and finds the pre-tokeniser. Return: 0; -ENOEXEC a
 * pre-tokeniser that is not known; -EINVAL damaged.
 */
int llx_bpe_open(struct llx_tokenizer *t, const struct llx_gguf *g,
		 struct llx_gguf_array *merges, struct llx_error *err);

/* Fills what llx_bpe_open() has counted; the tokens are all there. */
int llx_bpe_read(struct llx_tokenizer *t, const struct llx_gguf *g,
		 struct llx_gguf_array merges, struct llx_error *err);

#endif
