// SPDX-License-Identifier: GPL-2.0-only
/*
 * Text to tokens and back, as SentencePiece's byte-pair model does it
 * (bpe_model.cc, SampleEncode with alpha 0, after the identity normalisation
 * of normalizer.cc): the two neighbours whose union has the best score become
 * one, the leftmost first among equals, until none is left. User-defined
 * pieces are taken whole before; control tokens never come out of text.
 *
 * One difference, on purpose: SentencePiece replaces each byte that is no
 * UTF-8 by U+FFFD; here it becomes its byte token, so that nothing is lost.
 */
#include "tokenizer_load.h"
#include "utf8.h"

/* A prompt is 64 KiB at most; this keeps all sizes here within 32 bits. */
#define MAX_TEXT_BYTES (64u << 20)

#define NONE ((u32)-1)

/* A run of the text that may still grow; @bytes 0: merged into another. */
struct symbol {
	u32 begin;
	u32 prev;
	u32 next;
	u16 bytes;
	bool frozen; /* a user-defined piece, or a byte that is no UTF-8 */
};

/*
 * Symbol @left and its right neighbour are a piece of @bytes together. Out of
 * date once their sizes do not add up to that.
 */
struct pair {
	s32 score;
	u32 left;
	u32 bytes;
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

/* A token that text can become without falling back; -1: none. */
static s32 find_piece(const struct llx_tokenizer *t, const char *text,
		      u32 bytes)
{
	s32 token = llx_tokenizer_find(t, text, bytes);

	switch (llx_tokenizer_type(t, token)) {
	case LLX_TOKEN_NORMAL:
	case LLX_TOKEN_USER_DEFINED:
	case LLX_TOKEN_UNUSED:
		return token;
	default:
		return -1;
	}
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

static void maybe_push(struct encoder *e, u32 left, u32 right)
{
	const struct symbol *a;
	const struct symbol *b;
	u32 bytes;
	s32 token;

	if (left == NONE || right == NONE)
		return;
	a = &e->symbols[left];
	b = &e->symbols[right];
	if (a->frozen || b->frozen)
		return;
	bytes = a->bytes + b->bytes;
	token = find_piece(e->t, e->text + a->begin, bytes);
	if (token < 0)
		return;
	if (e->t->type[token] == LLX_TOKEN_UNUSED)
		e->split[token] = a->bytes;
	heap_push(e, (struct pair){ e->t->score[token], left, bytes });
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

/* The text as a list of characters and user-defined pieces. */
static void split_characters(struct encoder *e)
{
	u32 pos = 0;

	while (pos < e->text_bytes) {
		const char *at = e->text + pos;
		u32 left = e->text_bytes - pos;
		struct symbol *s = &e->symbols[e->n_symbols];
		int bytes = match_user_defined(e->t, at, left);

		s->frozen = bytes;
		if (!bytes)
			bytes = llx_utf8_sequence(at, left);
		if (bytes <= 0) {
			s->frozen = true;
			bytes = 1;
		}
		s->begin = pos;
		s->bytes = bytes;
		pos += bytes;
		s->prev = e->n_symbols ? e->n_symbols - 1 : NONE;
		s->next = pos < e->text_bytes ? e->n_symbols + 1 : NONE;
		e->n_symbols++;
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
		token = find_piece(e->t, e->text + begin, bytes);
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
	if (t->has_unused) {
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
	bool after_unknown = false;
	u32 n_spaces = prefix;
	u32 i;
	int ret;

	*n_tokens = 0;
	if (!bytes)
		return 0;
	if (bytes > MAX_TEXT_BYTES)
		return -E2BIG;
	for (i = 0; i < bytes; i++)
		n_spaces += text[i] == ' ';
	e.text_bytes = bytes + prefix + n_spaces * (LLX_SPM_SPACE_BYTES - 1);
	lay_out(&e, &arena);
	ret = llx_arena_commit(&arena);
	if (ret)
		return -ENOMEM;
	lay_out(&e, &arena);

	normalize(&e, text, bytes, prefix);
	split_characters(&e);
	merge(&e);
	for (i = 0; i != NONE; i = e.symbols[i].next)
		after_unknown = resegment(&e, &e.symbols[i], after_unknown);
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
	for (i = 0; i < bytes; used++) {
		bool space = bytes - i >= LLX_SPM_SPACE_BYTES &&
			     !memcmp(text + i, LLX_SPM_SPACE,
				     LLX_SPM_SPACE_BYTES);

		if (used == size)
			return -ENOSPC;
		out[used] = space ? ' ' : text[i];
		i += space ? LLX_SPM_SPACE_BYTES : 1;
	}
	return used;
}
