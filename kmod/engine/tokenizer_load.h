/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a tokenizer is made of: filled by tokenizer_load.c, read by
 * tokenizer.c, known to nobody else.
 */
#ifndef LLX_TOKENIZER_LOAD_H
#define LLX_TOKENIZER_LOAD_H

#include "arena.h"
#include "gguf.h"
#include "pretokenize.h"
#include "tokenizer.h"

/*
 * Longest piece accepted. SentencePiece's own limit for trained pieces is 16
 * characters; tokens defined by hand can be longer. It bounds the work that a
 * text can cause.
 */
#define LLX_MAX_PIECE_BYTES 512u

/* U+2581, which stands for a space inside pieces. */
#define LLX_SPM_SPACE "\xe2\x96\x81"
#define LLX_SPM_SPACE_BYTES 3u

/* One slot of the table from text to token; @token -1: free. */
struct llx_token_slot {
	u32 hash;
	s32 token;
};

/*
 * A user-defined piece, in the table sorted by text. @parent: index of the
 * longest one that this one starts with; -1: none.
 */
struct llx_user_piece {
	struct llx_gguf_text piece; /* into the tokenizer's text */
	s32 parent;
};

/* Two tokens that become one; lower ranks go first. */
struct llx_merge {
	s32 left;
	s32 right;
	s32 token;
	u32 rank;
};

/**
 * struct llx_tokenizer - a SentencePiece or byte-level BPE vocabulary
 * @is_bpe: which of them
 * @arena: holds all arrays
 * @text: the pieces one after another, as the file has them
 * @text_begin: (n_tokens + 1) where each starts in @text
 * @score: (n_tokens) order of the scores as integers: larger merges first;
 *	SentencePiece only
 * @type: (n_tokens) enum llx_token_type
 * @byte_token: token of each byte; SentencePiece: -1 throughout if there are
 *	none; BPE: -1 where it has none
 * @slots: (@slot_mask + 1) open addressing, at most half full
 * @user: (n_user) user-defined pieces
 * @piece_max: bytes of the longest piece
 * @has_unused: some tokens are of type unused
 * @pre: how texts are cut into words; this and the rest: BPE only
 * @whole_words: a word that is a token is taken as such
 * @merges: (@n_merges) by left, right, rank
 */
struct llx_tokenizer {
	struct llx_vocab vocab;
	bool is_bpe;
	struct llx_arena arena;
	char *text;
	u32 *text_begin;
	s32 *score;
	u8 *type;
	s32 byte_token[256];
	struct llx_token_slot *slots;
	u32 slot_mask;
	u32 piece_max;
	struct llx_user_piece *user;
	u32 n_user;
	bool has_unused;
	enum llx_pretokenizer pre;
	bool whole_words;
	struct llx_merge *merges;
	u32 n_merges;
};

/**
 * llx_tokenizer_load - build the tokenizer from a parsed file's metadata
 * @t: out; owned by the caller, llx_tokenizer_free()
 *
 * Copies what it needs: @g may go away after. May sleep. Return: 0; -ENOEXEC a
 * kind of tokenizer that is not known; -EINVAL damaged; -ENOMEM.
 */
int llx_tokenizer_load(struct llx_tokenizer **t, const struct llx_gguf *g,
		       struct llx_error *err);

void llx_tokenizer_free(struct llx_tokenizer *t);

/* Token of exactly this text, whatever its type; -1: none. */
s32 llx_tokenizer_find(const struct llx_tokenizer *t, const char *text,
		       u32 bytes);

/* The same if text may become it without falling back; -1: it may not. */
s32 llx_tokenizer_find_text(const struct llx_tokenizer *t, const char *text,
			    u32 bytes);

static inline u32 llx_tokenizer_text(const struct llx_tokenizer *t, s32 token,
				     const char **text)
{
	*text = t->text + t->text_begin[token];
	return t->text_begin[token + 1] - t->text_begin[token];
}

#endif
