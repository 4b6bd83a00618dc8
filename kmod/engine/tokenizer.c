// SPDX-License-Identifier: GPL-2.0-only
/*
 * Text to tokens and back, as SentencePiece's byte-pair model does it
 * (bpe_model.cc, SampleEncode with alpha 0, after the identity normalisation
 * of normalizer.cc): the two neighbours whose union has the best score become
 * one, the leftmost first among equals, until none is left. User-defined
 * pieces are taken whole before; control tokens never come out of text.
 *
 * Byte-level BPE (GPT-2's encoder.py) does the same within words, from bytes
 * instead of characters and by the ranks of its merges instead of scores.
 *
 * One difference, on purpose: the others replace each byte that is no UTF-8 by
 * U+FFFD; here it becomes its byte token, so that nothing is lost.
 */
#include "bpe.h"
#include "utf8.h"

/* A prompt is 64 KiB at most; this keeps all sizes here within 32 bits. */
#define MAX_TEXT_BYTES (64u << 20)

#define NONE ((u32)-1)

/* A run of the text that may still grow; @bytes 0: merged into another. */
struct symbol {
	u32 begin;
	u32 prev;
	u32 next;
	s32 token; /* BPE only; -1: a byte without one */
	u16 bytes;
	bool frozen; /* a user-defined piece, or a byte without a character */
	bool word_begins; /* BPE only: it never merges with the one before */
};

/*
 * Symbol @left and its right neighbour are a piece of @bytes together. Out of
 * date once their sizes do not add up to that.
 */
struct pair {
	s32 score;
	u32 left;
	u32 bytes;
	s32 token;
};

struct encoder {
	const struct llx_tokenizer *t;
	void *scratch;
	char *text; /* spaces replaced */
	u32 text_bytes;
	struct symbol *symbols;
	u32 n_symbols;
	struct pair *heap;
	u32 n_pairs;
	char *word; /* (piece_max), only with whole words */
	u16 *split; /* (n_tokens), only with unused tokens: see resegment() */
	u32 *stack; /* (2 * LLX_MAX_PIECE_BYTES), likewise */
	s32 *tokens;
	u32 max;
	u32 n_tokens;
};

const struct llx_vocab *llx_tokenizer_vocab(const struct llx_tokenizer *t)
{
	return &t->vocab;
}

u32 llx_tokenizer_type(const struct llx_tokenizer *t, s32 token)
{
	if (token < 0 || (u32)token >= t->vocab.n_tokens)
		return 0;
	return t->type[token];
}

s32 llx_tokenizer_control(const struct llx_tokenizer *t, const char *text)
{
	size_t bytes = strlen(text);
	s32 token;

	if (bytes > LLX_MAX_PIECE_BYTES)
		return -1;
	token = llx_tokenizer_find(t, text, bytes);
	return llx_tokenizer_type(t, token) == LLX_TOKEN_CONTROL ? token : -1;
}

static u32 common_bytes(struct llx_gguf_text a, struct llx_gguf_text b)
{
	u32 n = min(a.bytes, b.bytes);
	u32 i;

	for (i = 0; i < n && a.text[i] == b.text[i]; i++)
		;
	return i;
}

/*
 * Bytes of the longest user-defined piece at @text; 0: none. The last piece
 * not after the text in sorted order starts with every piece that the text
 * starts with, so the answer is it or above it.
 */
static u32 match_user_defined(const struct llx_tokenizer *t, const char *text,
			      u32 available)
{
	const struct llx_gguf_text here = { text, available };
	u32 common;
	u32 begin = 0;
	u32 end = t->n_user;
	s32 i;

	while (begin < end) {
		u32 middle = begin + (end - begin) / 2;

		if (llx_gguf_text_compare(t->user[middle].piece, here) > 0)
			end = middle;
		else
			begin = middle + 1;
	}
	i = (s32)begin - 1;
	if (i < 0)
		return 0;
	common = common_bytes(t->user[i].piece, here);
	while (i >= 0 && t->user[i].piece.bytes > common)
		i = t->user[i].parent;
	return i < 0 ? 0 : t->user[i].piece.bytes;
}

static bool before(const struct pair *a, const struct pair *b)
{
	return a->score > b->score ||
	       (a->score == b->score && a->left < b->left);
}

static void heap_push(struct encoder *e, struct pair pair)
{
	u32 i = e->n_pairs++;

	while (i && before(&pair, &e->heap[(i - 1) / 2])) {
		e->heap[i] = e->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	e->heap[i] = pair;
}

static struct pair heap_pop(struct encoder *e)
{
	struct pair top = e->heap[0];
	struct pair last = e->heap[--e->n_pairs];
	u32 i = 0;
	u32 child;

	while ((child = 2 * i + 1) < e->n_pairs) {
		if (child + 1 < e->n_pairs &&
		    before(&e->heap[child + 1], &e->heap[child]))
			child++;
		if (!before(&e->heap[child], &last))
			break;
		e->heap[i] = e->heap[child];
		i = child;
	}
	e->heap[i] = last;
	return top;
}

/* What two symbols become, and how soon; false: nothing. */
static bool find_pair(struct encoder *e, const struct symbol *a,
		      const struct symbol *b, struct pair *pair)
{
	const struct llx_tokenizer *t = e->t;
	const struct llx_merge *merge;

	if (a->frozen || b->frozen || b->word_begins)
		return false;
	pair->bytes = a->bytes + b->bytes;
	if (t->is_bpe) {
		merge = llx_bpe_find_merge(t, a->token, b->token);
		if (!merge)
			return false;
		pair->token = merge->token;
		pair->score = -(s32)merge->rank;
		return true;
	}
	pair->token = llx_tokenizer_find_text(t, e->text + a->begin,
					      pair->bytes);
	if (pair->token < 0)
		return false;
	if (t->type[pair->token] == LLX_TOKEN_UNUSED)
		e->split[pair->token] = a->bytes;
	pair->score = t->score[pair->token];
	return true;
}

static void maybe_push(struct encoder *e, u32 left, u32 right)
{
	struct pair pair = { .left = left };

	if (left != NONE && right != NONE &&
	    find_pair(e, &e->symbols[left], &e->symbols[right], &pair))
		heap_push(e, pair);
}

/* Text with its spaces replaced, the prefix first. */
static void normalize(struct encoder *e, const char *text, u32 bytes,
		      bool prefix)
{
	char *out = e->text;
	u32 i;

	if (prefix) {
		memcpy(out, LLX_SPM_SPACE, LLX_SPM_SPACE_BYTES);
		out += LLX_SPM_SPACE_BYTES;
	}
	for (i = 0; i < bytes; i++) {
		if (text[i] == ' ') {
			memcpy(out, LLX_SPM_SPACE, LLX_SPM_SPACE_BYTES);
			out += LLX_SPM_SPACE_BYTES;
		} else {
			*out++ = text[i];
		}
	}
	e->text_bytes = out - e->text;
}

static void put_symbol(struct encoder *e, u32 begin, u32 bytes, s32 token,
		       bool frozen)
{
	struct symbol *s = &e->symbols[e->n_symbols];

	s->begin = begin;
	s->bytes = bytes;
	s->token = token;
	s->frozen = frozen;
	s->prev = e->n_symbols ? e->n_symbols - 1 : NONE;
	s->next = begin + bytes < e->text_bytes ? e->n_symbols + 1 : NONE;
	e->n_symbols++;
}

/* The text as a list of characters and user-defined pieces. */
static void split_characters(struct encoder *e)
{
	u32 pos = 0;

	while (pos < e->text_bytes) {
		const char *at = e->text + pos;
		u32 left = e->text_bytes - pos;
		int bytes = match_user_defined(e->t, at, left);
		bool frozen = bytes;

		if (!bytes)
			bytes = llx_utf8_sequence(at, left);
		if (bytes <= 0) {
			frozen = true;
			bytes = 1;
		}
		put_symbol(e, pos, bytes, -1, frozen);
		pos += bytes;
	}
}

/* The token that is this word; -1: none, or words are always made of merges. */
static s32 find_word(struct encoder *e, u32 begin, u32 bytes)
{
	const struct llx_tokenizer *t = e->t;
	u32 n = 0;
	u32 i;

	if (!t->whole_words)
		return -1;
	for (i = 0; i < bytes; i++) {
		char text[2];
		u32 length = llx_bpe_encode_byte(e->text[begin + i], text);

		if (length > t->piece_max - n)
			return -1;
		memcpy(e->word + n, text, length);
		n += length;
	}
	return llx_tokenizer_find_text(t, e->word, n);
}

static void split_word(struct encoder *e, u32 begin, u32 bytes)
{
	s32 token = find_word(e, begin, bytes);
	u32 i;

	if (token >= 0) {
		put_symbol(e, begin, bytes, token, true);
		return;
	}
	e->symbols[e->n_symbols].word_begins = true;
	for (i = 0; i < bytes; i++) {
		token = e->t->byte_token[(u8)e->text[begin + i]];
		put_symbol(e, begin + i, 1, token, token < 0);
	}
}

/* The text as a list of bytes and user-defined pieces. */
static void split_words(struct encoder *e)
{
	u32 pos = 0;

	while (pos < e->text_bytes) {
		u32 left = e->text_bytes - pos;
		u32 bytes = match_user_defined(e->t, e->text + pos, left);
		u32 end;

		if (bytes) {
			put_symbol(e, pos, bytes,
				   llx_tokenizer_find(e->t, e->text + pos, bytes),
				   true);
			pos += bytes;
			continue;
		}
		for (end = pos + 1; end < e->text_bytes; end++) {
			if (match_user_defined(e->t, e->text + end,
					       e->text_bytes - end))
				break;
		}
		while (pos < end) {
			bytes = llx_pretokenize_word(e->t->pre, e->text + pos,
						     end - pos);
			split_word(e, pos, bytes);
			pos += bytes;
		}
	}
}

static void merge(struct encoder *e)
{
	u32 i;

	for (i = 1; i < e->n_symbols; i++)
		maybe_push(e, i - 1, i);
	while (e->n_pairs) {
		struct pair top = heap_pop(e);
		struct symbol *left = &e->symbols[top.left];
		struct symbol *right;

		if (!left->bytes || left->next == NONE)
			continue;
		right = &e->symbols[left->next];
		if (left->bytes + right->bytes != top.bytes)
			continue;
		left->bytes = top.bytes;
		left->token = top.token;
		right->bytes = 0;
		left->next = right->next;
		if (left->next != NONE)
			e->symbols[left->next].prev = top.left;
		maybe_push(e, left->prev, top.left);
		maybe_push(e, top.left, left->next);
	}
}

static void put_token(struct encoder *e, s32 token)
{
	if (e->n_tokens < e->max)
		e->tokens[e->n_tokens] = token;
	e->n_tokens++;
}

/* @begin is no piece: its bytes, or one unknown token for a whole run. */
static void fall_back(struct encoder *e, u32 begin, u32 bytes,
		      bool after_unknown)
{
	u32 i;

	if (e->t->byte_token[0] < 0) {
		if (!after_unknown)
			put_token(e, e->t->vocab.unk);
		return;
	}
	for (i = 0; i < bytes; i++)
		put_token(e, e->t->byte_token[(u8)e->text[begin + i]]);
}

/*
 * Tokens of one symbol. An unused piece only helps merging: it is taken apart
 * into the two parts from which it was last seen to come.
 */
static bool resegment(struct encoder *e, const struct symbol *s,
		      bool after_unknown)
{
	u32 begin = s->begin;
	u32 bytes = s->bytes;
	u32 depth = 0;
	s32 token;

	for (;;) {
		token = llx_tokenizer_find_text(e->t, e->text + begin, bytes);
		if (token >= 0 && e->t->type[token] == LLX_TOKEN_UNUSED &&
		    e->split[token]) {
			e->stack[depth++] = begin + e->split[token];
			e->stack[depth++] = bytes - e->split[token];
			bytes = e->split[token];
			continue;
		}
		if (token >= 0)
			put_token(e, token);
		else
			fall_back(e, begin, bytes, after_unknown);
		after_unknown = token < 0;
		if (!depth)
			return after_unknown;
		bytes = e->stack[--depth];
		begin = e->stack[--depth];
	}
}

/* Tokens of all symbols. */
static void put_symbols(struct encoder *e)
{
	bool after_unknown = false;
	u32 i;

	for (i = 0; i != NONE; i = e->symbols[i].next) {
		const struct symbol *s = &e->symbols[i];

		if (!e->t->is_bpe)
			after_unknown = resegment(e, s, after_unknown);
		else if (s->token >= 0)
			put_token(e, s->token);
	}
}

/*
 * Sizes of the scratch memory, and then the memory; see arena.h. A symbol may
 * be a single byte: user-defined pieces can cut characters.
 */
static void lay_out(struct encoder *e, struct llx_arena *arena)
{
	const struct llx_tokenizer *t = e->t;
	u32 n_symbols = e->text_bytes;

	/* Each merge takes one pair out and puts at most two in. */
	e->heap = llx_arena_take(arena, 2ull * n_symbols, sizeof(*e->heap));
	e->symbols = llx_arena_take(arena, n_symbols, sizeof(*e->symbols));
	if (t->whole_words)
		e->word = llx_arena_take(arena, t->piece_max, 1);
	if (t->has_unused && !t->is_bpe) {
		e->split = llx_arena_take(arena, t->vocab.n_tokens,
					  sizeof(*e->split));
		e->stack = llx_arena_take(arena, 2 * LLX_MAX_PIECE_BYTES,
					  sizeof(*e->stack));
	}
	e->text = llx_arena_take(arena, e->text_bytes, 1);
}

int llx_tokenizer_encode(const struct llx_tokenizer *t, const char *text,
			 size_t bytes, bool start, s32 *tokens, u32 max,
			 u32 *n_tokens)
{
	struct encoder e = { .t = t, .tokens = tokens, .max = max };
	bool prefix = start && t->vocab.add_space_prefix;
	struct llx_arena arena = {};
	u32 n_spaces = prefix;
	u32 i;
	int ret;

	*n_tokens = 0;
	if (!bytes)
		return 0;
	if (bytes > MAX_TEXT_BYTES)
		return -E2BIG;
	for (i = 0; i < bytes && !t->is_bpe; i++)
		n_spaces += text[i] == ' ';
	e.text_bytes = bytes + prefix + n_spaces * (LLX_SPM_SPACE_BYTES - 1);
	lay_out(&e, &arena);
	ret = llx_arena_commit(&arena);
	if (ret)
		return -ENOMEM;
	lay_out(&e, &arena);

	if (t->is_bpe) {
		memcpy(e.text, text, bytes);
		split_words(&e);
	} else {
		normalize(&e, text, bytes, prefix);
		split_characters(&e);
	}
	merge(&e);
	put_symbols(&e);
	llx_arena_destroy(&arena);
	if (e.n_tokens > max)
		return -E2BIG;
	*n_tokens = e.n_tokens;
	return 0;
}

int llx_tokenizer_piece(const struct llx_tokenizer *t, s32 token, char *out,
			size_t size)
{
	const char *text;
	size_t used = 0;
	u32 bytes;
	u32 i;

	switch (llx_tokenizer_type(t, token)) {
	case 0:
		return -EINVAL;
	case LLX_TOKEN_CONTROL:
	case LLX_TOKEN_UNKNOWN:
		return 0;
	case LLX_TOKEN_BYTE:
		if (!size)
			return -ENOSPC;
		/* <0x0A>: checked at load, so this always finds it. */
		for (i = 0; i < 255 && t->byte_token[i] != token; i++)
			;
		out[0] = i;
		return 1;
	default:
		break;
	}
	bytes = llx_tokenizer_text(t, token, &text);
	if (t->is_bpe && t->type[token] != LLX_TOKEN_USER_DEFINED)
		return llx_bpe_decode(text, bytes, out, size);
	for (i = 0; i < bytes; used++) {
		bool space = !t->is_bpe && bytes - i >= LLX_SPM_SPACE_BYTES &&
			     !memcmp(text + i, LLX_SPM_SPACE,
				     LLX_SPM_SPACE_BYTES);

		if (used == size)
			return -ENOSPC;
		out[used] = space ? ' ' : text[i];
		i += space ? LLX_SPM_SPACE_BYTES : 1;
	}
	return used;
}
