// SPDX-License-Identifier: GPL-2.0-only
/*
 * Builds a tokenizer from the tokenizer.ggml.* keys of a GGUF file, with the
 * checks that SentencePiece makes of a model (model_interface.cc,
 * InitializePieces) and those that bound what a text can cost later. Scores
 * are floats in the file; only their order matters, so it is kept as integers.
 */
#include "bpe.h"
#include "cursor.h"
#include "model.h"
#include "tokenizer_load.h"

#define KEY "tokenizer.ggml."

/*
 * A table at most half full with a good hash stays far below this many steps
 * (measured: 22 for 524288 pieces); a file made to collide does not, and
 * would make load and search quadratic.
 */
#define MAX_PROBES 256u

/* Multiply and fold over 8 bytes at a time (the idea of wyhash). */
static u32 hash_text(const char *text, u32 bytes)
{
	u64 h = bytes * 0x9e3779b97f4a7c15ull;
	u32 i;

	for (i = 0; i < bytes; i += 8) {
		u64 word = 0;

		memcpy(&word, text + i, min(bytes - i, 8u));
		h = (h ^ word) * 0xd6e8feb86659fd93ull;
		h ^= h >> 32;
	}
	h *= 0xd6e8feb86659fd93ull;
	return h >> 32;
}

s32 llx_tokenizer_find(const struct llx_tokenizer *t, const char *text,
		       u32 bytes)
{
	const struct llx_token_slot *slot;
	const char *piece;
	u32 hash;
	u32 i;

	if (!bytes || bytes > t->piece_max)
		return -1;
	hash = hash_text(text, bytes);
	for (i = hash;; i++) {
		slot = &t->slots[i & t->slot_mask];
		if (slot->token < 0)
			return -1;
		if (slot->hash == hash &&
		    llx_tokenizer_text(t, slot->token, &piece) == bytes &&
		    !memcmp(piece, text, bytes))
			return slot->token;
	}
}

s32 llx_tokenizer_find_text(const struct llx_tokenizer *t, const char *text,
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

/*
 * Order of two floats as integers: flips the magnitude of negative ones.
 * -0 and 0 are equal. Returns false for a NaN.
 */
static bool order_of_f32(u32 bits, s32 *order)
{
	u32 magnitude = bits & 0x7fffffffu;

	if (magnitude > 0x7f800000u)
		return false;
	*order = bits == magnitude ? (s32)magnitude : -(s32)magnitude;
	return true;
}

/* The arrays of the file that make a vocabulary; of scores or merges one. */
struct pieces {
	struct llx_gguf_array tokens;
	struct llx_gguf_array scores;
	struct llx_gguf_array merges;
	struct llx_gguf_array types;
};

static u32 type_of(const struct pieces *p, u32 id)
{
	return get_unaligned_le32(p->types.elements + 4ull * id);
}

static int open_array(const struct llx_gguf *g, const char *name, u32 type,
		      struct llx_gguf_array *array, struct llx_error *err)
{
	int ret = llx_gguf_read_array(g, name, type, array, err);

	if (ret == -ENOENT)
		return llx_fail(err, -EINVAL, 0, "%s is missing", name);
	return ret;
}

static int read_kind(struct llx_tokenizer *t, const struct llx_gguf *g,
		     struct llx_error *err)
{
	struct llx_gguf_text model = { "", 0 };
	char shown[LLX_GGUF_SHOWN];
	int ret;

	ret = llx_gguf_read_string(g, KEY "model", &model, err);
	if (ret == -ENOENT)
		return llx_fail(err, -EINVAL, 0, KEY "model is missing");
	if (ret)
		return ret;
	t->is_bpe = llx_gguf_text_is(model, "gpt2");
	if (!t->is_bpe && !llx_gguf_text_is(model, "llama"))
		return llx_fail(err, -ENOEXEC,
				llx_gguf_find_key(g, KEY "model")->value,
				"tokenizer %s is not known: llama and gpt2 are",
				llx_gguf_show(model, shown));
	return 0;
}

static int open_pieces(struct llx_tokenizer *t, const struct llx_gguf *g,
		       struct pieces *p, struct llx_error *err)
{
	int ret;

	ret = open_array(g, KEY "tokens", LLX_GGUF_STRING, &p->tokens, err);
	if (ret)
		return ret;
	if (t->is_bpe)
		ret = llx_bpe_open(t, g, &p->merges, err);
	else
		ret = open_array(g, KEY "scores", LLX_GGUF_F32, &p->scores, err);
	if (ret)
		return ret;
	/* Without types, control tokens could be written in a prompt. */
	ret = open_array(g, KEY "token_type", LLX_GGUF_S32, &p->types, err);
	if (ret)
		return ret;
	if (!p->tokens.n || p->tokens.n > LLX_MAX_VOCAB)
		return llx_fail(err, -EINVAL,
				llx_gguf_find_key(g, KEY "tokens")->value,
				"a vocabulary of %llu tokens: 1 to %u are accepted",
				p->tokens.n, LLX_MAX_VOCAB);
	if (!t->is_bpe && p->scores.n != p->tokens.n)
		return llx_fail(err, -EINVAL,
				llx_gguf_find_key(g, KEY "tokens")->value,
				"%llu tokens and %llu scores: they must be as many",
				p->tokens.n, p->scores.n);
	if (p->types.n != p->tokens.n)
		return llx_fail(err, -EINVAL,
				llx_gguf_find_key(g, KEY "tokens")->value,
				"%llu tokens and %llu types: they must be as many",
				p->tokens.n, p->types.n);
	t->vocab.n_tokens = p->tokens.n;
	return 0;
}

/* Runs twice, see arena.h. */
static void lay_out(struct llx_tokenizer *t, u64 text_bytes)
{
	u32 n = t->vocab.n_tokens;

	t->text_begin = llx_arena_take(&t->arena, n + 1, sizeof(u32));
	t->score = llx_arena_take(&t->arena, t->is_bpe ? 0 : n, sizeof(s32));
	t->merges = llx_arena_take(&t->arena, t->n_merges,
				   sizeof(*t->merges));
	t->slots = llx_arena_take(&t->arena, t->slot_mask + 1,
				  sizeof(*t->slots));
	t->user = llx_arena_take(&t->arena, t->n_user, sizeof(*t->user));
	t->type = llx_arena_take(&t->arena, n, 1);
	/* One more, so that an empty vocabulary's text exists too. */
	t->text = llx_arena_take(&t->arena, text_bytes + 1, 1);
}

static int allocate(struct llx_tokenizer *t, const struct llx_gguf *g,
		    struct pieces p, struct llx_error *err)
{
	struct llx_gguf_text piece;
	u64 text_bytes = 0;
	u32 i;
	int ret;

	for (i = 0; i < t->vocab.n_tokens; i++) {
		piece = llx_gguf_next_string(g, &p.tokens);
		if (piece.bytes > LLX_MAX_PIECE_BYTES)
			return llx_fail(err, -EINVAL,
					p.tokens.next - piece.bytes,
					"token %u has %u bytes: at most %u are accepted",
					i, piece.bytes, LLX_MAX_PIECE_BYTES);
		text_bytes += piece.bytes;
		t->piece_max = max(t->piece_max, piece.bytes);
		t->n_user += type_of(&p, i) == LLX_TOKEN_USER_DEFINED;
	}
	t->slot_mask = 15;
	while (t->slot_mask < 2 * t->vocab.n_tokens)
		t->slot_mask = 2 * t->slot_mask + 1;
	lay_out(t, text_bytes);
	ret = llx_arena_commit(&t->arena);
	if (ret)
		return llx_fail(err, ret, 0,
				"no memory for a vocabulary of %u tokens",
				t->vocab.n_tokens);
	lay_out(t, text_bytes);
	return 0;
}

/* "<0x0A>" to 10; -1: something else. */
static int byte_of_piece(const char *text, u32 bytes)
{
	int value = 0;
	u32 i;

	if (bytes != 6 || memcmp(text, "<0x", 3) || text[5] != '>')
		return -1;
	for (i = 3; i < 5; i++) {
		char c = text[i];

		if (c >= '0' && c <= '9')
			value = 16 * value + c - '0';
		else if (c >= 'A' && c <= 'F')
			value = 16 * value + c - 'A' + 10;
		else
			return -1;
	}
	return value;
}

/* Enters token @id into the table. */
static int insert(struct llx_tokenizer *t, u32 id, u64 offset,
		  struct llx_error *err)
{
	struct llx_token_slot *slot;
	char shown[LLX_GGUF_SHOWN];
	const char *text;
	u32 bytes = llx_tokenizer_text(t, id, &text);
	u32 hash = hash_text(text, bytes);
	s32 other = llx_tokenizer_find(t, text, bytes);
	u32 i;

	if (other >= 0)
		return llx_fail(err, -EINVAL, offset,
				"tokens %d and %u are both %s", other, id,
				llx_gguf_show((struct llx_gguf_text){ text, bytes },
					      shown));
	for (i = 0; i < MAX_PROBES; i++) {
		slot = &t->slots[(hash + i) & t->slot_mask];
		if (slot->token < 0) {
			slot->hash = hash;
			slot->token = id;
			return 0;
		}
	}
	return llx_fail(err, -EINVAL, offset,
			"token %u: the vocabulary was made to collide", id);
}

/* What the type of token @id asks for. @n_user: user-defined ones so far. */
static int note_type(struct llx_tokenizer *t, u32 id, u64 offset, u32 *n_user,
		     struct llx_error *err)
{
	char shown[LLX_GGUF_SHOWN];
	const char *text;
	u32 bytes = llx_tokenizer_text(t, id, &text);
	int byte;

	switch (t->type[id]) {
	case LLX_TOKEN_USER_DEFINED:
		t->user[(*n_user)++].piece =
			(struct llx_gguf_text){ text, bytes };
		return 0;
	case LLX_TOKEN_UNUSED:
		t->has_unused = true;
		return 0;
	case LLX_TOKEN_BYTE:
		if (t->is_bpe)
			return llx_fail(err, -EINVAL, offset,
					"token %u is a byte token: a gpt2 vocabulary has none",
					id);
		byte = byte_of_piece(text, bytes);
		if (byte < 0)
			return llx_fail(err, -EINVAL, offset,
					"byte token %u is %s, not <0x00> to <0xFF>",
					id,
					llx_gguf_show((struct llx_gguf_text){
						text, bytes }, shown));
		t->byte_token[byte] = id;
		return 0;
	default:
		return 0;
	}
}

static int read_piece(struct llx_tokenizer *t, u32 id, struct pieces *p,
		      struct llx_gguf_text piece, u32 *n_user,
		      struct llx_error *err)
{
	u64 offset = p->tokens.next - piece.bytes;
	u32 begin = t->text_begin[id];
	u32 type = type_of(p, id);
	int ret;

	memcpy(t->text + begin, piece.text, piece.bytes);
	t->text_begin[id + 1] = begin + piece.bytes;
	if (type < LLX_TOKEN_NORMAL || type > LLX_TOKEN_BYTE)
		return llx_fail(err, -EINVAL, offset,
				"token %u is of unknown type %u", id, type);
	t->type[id] = type;
	if (!t->is_bpe &&
	    !order_of_f32(get_unaligned_le32(p->scores.elements + 4ull * id),
			  &t->score[id]))
		return llx_fail(err, -EINVAL, offset,
				"token %u: its score is not a number", id);
	ret = note_type(t, id, offset, n_user, err);
	/* Some files are padded with empty pieces: they match nothing. */
	if (ret || !piece.bytes)
		return ret;
	return insert(t, id, offset, err);
}

static int compare_user(const void *a, const void *b)
{
	const struct llx_user_piece *x = a;
	const struct llx_user_piece *y = b;

	return llx_gguf_text_compare(x->piece, y->piece);
}

static bool starts_with(struct llx_gguf_text text, struct llx_gguf_text start)
{
	return start.bytes <= text.bytes &&
	       !memcmp(text.text, start.text, start.bytes);
}

/* In sorted order a piece's parent is the one before it or above that one. */
static void sort_user(struct llx_tokenizer *t)
{
	u32 i;

	sort(t->user, t->n_user, sizeof(*t->user), compare_user, NULL);
	for (i = 0; i < t->n_user; i++) {
		s32 parent = (s32)i - 1;

		while (parent >= 0 && !starts_with(t->user[i].piece,
						   t->user[parent].piece))
			parent = t->user[parent].parent;
		t->user[i].parent = parent;
	}
}

static int read_pieces(struct llx_tokenizer *t, const struct llx_gguf *g,
		       struct pieces *p, struct llx_error *err)
{
	struct llx_gguf_text piece;
	u32 n_user = 0;
	u32 i;
	int ret;

	for (i = 0; i <= t->slot_mask; i++)
		t->slots[i].token = -1;
	for (i = 0; i < 256; i++)
		t->byte_token[i] = -1;
	for (i = 0; i < t->vocab.n_tokens; i++) {
		piece = llx_gguf_next_string(g, &p->tokens);
		ret = read_piece(t, i, p, piece, &n_user, err);
		if (ret)
			return ret;
	}
	sort_user(t);
	return t->is_bpe ? llx_bpe_read(t, g, p->merges, err) : 0;
}

/*
 * A token that the file names, or else llama.cpp's default for SentencePiece
 * if it is of the right type. BPE vocabularies agree on no number.
 */
static int special_token(const struct llx_tokenizer *t,
			 const struct llx_gguf *g, const char *name,
			 u32 usual, u32 type, s32 *token,
			 struct llx_error *err)
{
	u32 id;
	int ret = llx_gguf_read_u32(g, name, &id, err);

	*token = -1;
	if (!ret && id >= t->vocab.n_tokens)
		return llx_fail(err, -EINVAL, llx_gguf_find_key(g, name)->value,
				"%s is %u but there are only %u tokens", name,
				id, t->vocab.n_tokens);
	if (!ret)
		*token = id;
	else if (ret == -ENOENT && !t->is_bpe &&
		 llx_tokenizer_type(t, usual) == type)
		*token = usual;
	return ret == -ENOENT ? 0 : ret;
}

static int read_flag(const struct llx_gguf *g, const char *name, bool usual,
		     bool *value, struct llx_error *err)
{
	int ret;

	*value = usual;
	ret = llx_gguf_read_bool(g, name, value, err);
	return ret == -ENOENT ? 0 : ret;
}

static int read_vocab(struct llx_tokenizer *t, const struct llx_gguf *g,
		      struct llx_error *err)
{
	struct llx_vocab *v = &t->vocab;
	int ret;

	ret = special_token(t, g, KEY "bos_token_id", 1, LLX_TOKEN_CONTROL,
			    &v->bos, err);
	if (!ret)
		ret = special_token(t, g, KEY "eos_token_id", 2,
				    LLX_TOKEN_CONTROL, &v->eos, err);
	if (!ret)
		ret = special_token(t, g, KEY "unknown_token_id", 0,
				    LLX_TOKEN_UNKNOWN, &v->unk, err);
	if (!ret)
		ret = read_flag(g, KEY "add_bos_token",
				!t->is_bpe || v->add_bos, &v->add_bos, err);
	if (!ret)
		ret = read_flag(g, KEY "add_eos_token", false, &v->add_eos, err);
	if (!ret)
		ret = read_flag(g, KEY "add_space_prefix", true,
				&v->add_space_prefix, err);
	if (ret)
		return ret;
	/* Some files have the key, but no byte-level vocabulary the prefix. */
	v->add_space_prefix &= !t->is_bpe;
	if ((v->add_bos && v->bos < 0) || (v->add_eos && v->eos < 0))
		return llx_fail(err, -EINVAL, 0,
				"texts are to start or end with a token that is missing");
	return 0;
}

/*
 * Every text must have tokens. A BPE vocabulary may lack bytes that its texts
 * never had (SmolLM2: 21 of them); they are left out, as everywhere.
 */
static int check_fallback(const struct llx_tokenizer *t, struct llx_error *err)
{
	u32 n = 0;
	u32 i;

	for (i = 0; i < 256; i++)
		n += t->byte_token[i] >= 0;
	if (t->is_bpe)
		return n ? 0 : llx_fail(err, -EINVAL, 0,
					"the vocabulary has no token for any byte");
	if (n && n < 256)
		return llx_fail(err, -EINVAL, 0,
				"the vocabulary has %u of 256 byte tokens", n);
	if (!n && t->vocab.unk < 0)
		return llx_fail(err, -EINVAL, 0,
				"the vocabulary has neither byte tokens nor an unknown token");
	return 0;
}

int llx_tokenizer_load(struct llx_tokenizer **out, const struct llx_gguf *g,
		       struct llx_error *err)
{
	struct llx_tokenizer *t;
	struct pieces p = {};
	int ret;

	*out = NULL;
	t = llx_alloc(sizeof(*t));
	if (!t)
		return llx_fail(err, -ENOMEM, 0, "no memory for a tokenizer");
	ret = read_kind(t, g, err);
	if (!ret)
		ret = open_pieces(t, g, &p, err);
	if (!ret)
		ret = allocate(t, g, p, err);
	if (!ret)
		ret = read_pieces(t, g, &p, err);
	if (!ret)
		ret = read_vocab(t, g, err);
	if (!ret)
		ret = check_fallback(t, err);
	if (ret) {
		llx_tokenizer_free(t);
		return ret;
	}
	*out = t;
	return 0;
}

void llx_tokenizer_free(struct llx_tokenizer *t)
{
	if (!t)
		return;
	llx_arena_destroy(&t->arena);
	llx_free(t);
}
