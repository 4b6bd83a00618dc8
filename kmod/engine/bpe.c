// SPDX-License-Identifier: GPL-2.0-only
/*
 * Merges of a byte-level BPE vocabulary; see bpe.h. A merge names two tokens
 * and makes a third, so the tables hold tokens and no text.
 */
#include "bpe.h"
#include "utf8.h"

#define KEY_MERGES "tokenizer.ggml.merges"
#define KEY_PRE "tokenizer.ggml.pre"

/*
 * llama.cpp's names that occur with llama-architecture models. A word that is
 * a token is not made of merges where @whole_words is set.
 */
static const struct {
	const char *name;
	enum llx_pretokenizer pre;
	bool whole_words;
	bool add_bos;
} pretokenizers[] = {
	{ "default", LLX_PRE_DEFAULT, false, false },
	{ "gpt-2", LLX_PRE_GPT2, false, false },
	{ "trillion", LLX_PRE_GPT2, false, false },
	{ "smollm", LLX_PRE_SMOLLM, false, false },
	{ "minerva-7b", LLX_PRE_SMOLLM, false, false },
	{ "llama-bpe", LLX_PRE_LLAMA3, true, true },
	{ "llama3", LLX_PRE_LLAMA3, true, true },
	{ "llama-v3", LLX_PRE_LLAMA3, true, true },
	{ "falcon3", LLX_PRE_LLAMA3, true, true },
	{ "smaug-bpe", LLX_PRE_LLAMA3, false, false },
	{ "qwen2", LLX_PRE_QWEN2, false, false },
	{ "megrez", LLX_PRE_QWEN2, false, false },
};

static bool is_printable(u32 byte)
{
	return (byte > 0x20 && byte < 0x7f) ||
	       (byte > 0xa0 && byte < 0x100 && byte != 0xad);
}

/* The others in order: 0x00..0x20, 0x7f..0xa0, 0xad. */
static u32 point_of_byte(u8 byte)
{
	if (is_printable(byte))
		return byte;
	if (byte <= 0x20)
		return 0x100 + byte;
	return byte == 0xad ? 0x143 : 0x121 + byte - 0x7f;
}

static int byte_of_point(u32 point)
{
	if (is_printable(point))
		return point;
	if (point < 0x100 || point > 0x143)
		return -1;
	if (point <= 0x120)
		return point - 0x100;
	return point == 0x143 ? 0xad : 0x7f + point - 0x121;
}

u32 llx_bpe_encode_byte(u8 byte, char out[2])
{
	u32 point = point_of_byte(byte);

	if (point < 0x80) {
		out[0] = point;
		return 1;
	}
	out[0] = 0xc0 | point >> 6;
	out[1] = 0x80 | (point & 0x3f);
	return 2;
}

int llx_bpe_decode(const char *text, u32 bytes, char *out, size_t size)
{
	size_t used = 0;
	u32 i = 0;

	while (i < bytes) {
		int length = llx_utf8_sequence(text + i, bytes - i);
		int byte = -1;

		if (length > 0)
			byte = byte_of_point(llx_utf8_point(text + i, length));
		if (byte < 0)
			length = 1;
		if (used == size)
			return -ENOSPC;
		out[used++] = byte < 0 ? text[i] : byte;
		i += length;
	}
	return used;
}

static int compare_pairs(const struct llx_merge *a, s32 left, s32 right)
{
	if (a->left != left)
		return a->left < left ? -1 : 1;
	if (a->right != right)
		return a->right < right ? -1 : 1;
	return 0;
}

const struct llx_merge *llx_bpe_find_merge(const struct llx_tokenizer *t,
					   s32 left, s32 right)
{
	u32 begin = 0;
	u32 end = t->n_merges;

	while (begin < end) {
		u32 middle = begin + (end - begin) / 2;

		if (compare_pairs(&t->merges[middle], left, right) < 0)
			begin = middle + 1;
		else
			end = middle;
	}
	if (begin == t->n_merges ||
	    compare_pairs(&t->merges[begin], left, right))
		return NULL;
	return &t->merges[begin];
}

static int read_pretokenizer(struct llx_tokenizer *t, const struct llx_gguf *g,
			     struct llx_error *err)
{
	/* Files from before the key was invented. */
	struct llx_gguf_text pre = { "default", 7 };
	char shown[LLX_GGUF_SHOWN];
	u32 i;
	int ret;

	ret = llx_gguf_read_string(g, KEY_PRE, &pre, err);
	if (ret && ret != -ENOENT)
		return ret;
	for (i = 0; i < ARRAY_SIZE(pretokenizers); i++) {
		if (!llx_gguf_text_is(pre, pretokenizers[i].name))
			continue;
		t->pre = pretokenizers[i].pre;
		t->whole_words = pretokenizers[i].whole_words;
		t->vocab.add_bos = pretokenizers[i].add_bos;
		return 0;
	}
	return llx_fail(err, -ENOEXEC, llx_gguf_find_key(g, KEY_PRE)->value,
			"pre-tokeniser %s is not known: default, gpt-2, smollm, llama-bpe and qwen2 are",
			llx_gguf_show(pre, shown));
}

int llx_bpe_open(struct llx_tokenizer *t, const struct llx_gguf *g,
		 struct llx_gguf_array *merges, struct llx_error *err)
{
	int ret;

	ret = read_pretokenizer(t, g, err);
	if (ret)
		return ret;
	ret = llx_gguf_read_array(g, KEY_MERGES, LLX_GGUF_STRING, merges, err);
	if (ret == -ENOENT)
		return llx_fail(err, -EINVAL, 0, KEY_MERGES " is missing");
	if (ret)
		return ret;
	if (merges->n > LLX_MAX_MERGES)
		return llx_fail(err, -EINVAL,
				llx_gguf_find_key(g, KEY_MERGES)->value,
				"%llu merges: at most %u are accepted",
				merges->n, LLX_MAX_MERGES);
	t->n_merges = merges->n;
	return 0;
}

/* "Ġt he": the tokens "Ġt" and "he", which become "Ġthe". */
static int read_merge(struct llx_tokenizer *t, struct llx_gguf_text text,
		      struct llx_merge *merge)
{
	char whole[LLX_MAX_PIECE_BYTES];
	u32 left;

	/* The first may be a space itself in some files. */
	for (left = 1; left < text.bytes && text.text[left] != ' '; left++)
		;
	if (left >= text.bytes || text.bytes - 1 > sizeof(whole))
		return -EINVAL;
	memcpy(whole, text.text, left);
	memcpy(whole + left, text.text + left + 1, text.bytes - left - 1);
	merge->left = llx_tokenizer_find(t, whole, left);
	merge->right = llx_tokenizer_find(t, whole + left,
					  text.bytes - left - 1);
	/* Never a control token. */
	merge->token = llx_tokenizer_find_text(t, whole, text.bytes - 1);
	if (merge->left < 0 || merge->right < 0 || merge->token < 0)
		return -EINVAL;
	return 0;
}

static int compare_merges(const void *a, const void *b)
{
	const struct llx_merge *x = a;
	const struct llx_merge *y = b;
	int order = compare_pairs(x, y->left, y->right);

	if (order)
		return order;
	return x->rank < y->rank ? -1 : x->rank > y->rank;
}

int llx_bpe_read(struct llx_tokenizer *t, const struct llx_gguf *g,
		 struct llx_gguf_array merges, struct llx_error *err)
{
	char shown[LLX_GGUF_SHOWN];
	char text[2];
	u32 i;

	for (i = 0; i < 256; i++) {
		u32 bytes = llx_bpe_encode_byte(i, text);

		t->byte_token[i] = llx_tokenizer_find_text(t, text, bytes);
	}
	for (i = 0; i < t->n_merges; i++) {
		struct llx_gguf_text merge = llx_gguf_next_string(g, &merges);

		t->merges[i].rank = i;
		if (read_merge(t, merge, &t->merges[i]))
			return llx_fail(err, -EINVAL,
					merges.next - merge.bytes,
					"merge %u is %s: both parts and the whole must be tokens of text",
					i, llx_gguf_show(merge, shown));
	}
	sort(t->merges, t->n_merges, sizeof(*t->merges), compare_merges, NULL);
	return 0;
}
