// SPDX-License-Identifier: GPL-2.0-only
/*
 * The expressions (llama.cpp, llama-vocab.cpp; L letters, N numbers, P
 * punctuation). Several: each cuts what the one before left over or matched.
 *
 * gpt-2	's|'t|'re|'ve|'m|'ll|'d| ?L+| ?N+| ?[^\s L N]+|\s+(?!\S)|\s+
 * smollm	N, then gpt-2's
 * default	[P$+<=>^~|]+, then gpt-2's, then N+, then [0-9][0-9][0-9]
 * llama-bpe	(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n L N]?L+|N{1,3}|
 *		 ?[^\s L N]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
 * qwen2	the same with N instead of N{1,3}
 */
#include "pretokenize.h"
#include "unicode.h"
#include "utf8.h"

struct scan {
	enum llx_pretokenizer kind;
	const char *text;
	u32 bytes;
};

/* Where smollm and default cut first, what is around it cannot be seen. */
static bool ends_part(const struct scan *s, enum llx_char_class class)
{
	return class == LLX_CHAR_NONE ||
	       (s->kind == LLX_PRE_SMOLLM && class == LLX_CHAR_NUMBER) ||
	       (s->kind == LLX_PRE_DEFAULT && class == LLX_CHAR_PUNCTUATION);
}

static bool is_default_punctuation(char c)
{
	return c == '$' || c == '+' || c == '<' || c == '=' || c == '>' ||
	       c == '^' || c == '~' || c == '|';
}

/* The character at @pos and its @length; the others have no punctuation. */
static enum llx_char_class class_at(const struct scan *s, u32 pos, u32 *length)
{
	enum llx_char_class class = LLX_CHAR_OTHER;
	int bytes;

	*length = 0;
	if (pos >= s->bytes)
		return LLX_CHAR_NONE;
	bytes = llx_utf8_sequence(s->text + pos, s->bytes - pos);
	*length = max(bytes, 1);
	if (bytes > 0)
		class = llx_unicode_class(llx_utf8_point(s->text + pos, bytes));
	if (s->kind != LLX_PRE_DEFAULT)
		return class == LLX_CHAR_PUNCTUATION ? LLX_CHAR_OTHER : class;
	return is_default_punctuation(s->text[pos]) ? LLX_CHAR_PUNCTUATION :
						      class;
}

/* Where characters of @class, at most @most of them, end. */
static u32 end_of_run(const struct scan *s, u32 pos, enum llx_char_class class,
		      u32 most)
{
	u32 length;

	while (most && class_at(s, pos, &length) == class) {
		pos += length;
		most--;
	}
	return pos;
}

static bool is_newline(const struct scan *s, u32 pos)
{
	return pos < s->bytes && (s->text[pos] == '\r' || s->text[pos] == '\n');
}

/* Bytes of 's, 're and so on at the start; 0: none. */
static u32 contraction(const struct scan *s, bool any_case)
{
	static const char *const endings[] = { "s",  "t",  "re", "ve",
					       "m",  "ll", "d" };
	const char lower = any_case ? 'a' - 'A' : 0;
	u32 i;
	u32 j;

	if (s->text[0] != '\'')
		return 0;
	for (i = 0; i < ARRAY_SIZE(endings); i++) {
		u32 n = strlen(endings[i]);

		for (j = 0; j < n && j + 1 < s->bytes; j++) {
			if ((s->text[j + 1] | lower) != endings[i][j])
				break;
		}
		if (j == n)
			return n + 1;
	}
	return 0;
}

/*
 * \s+(?!\S)|\s+: a run of spaces, but the last one goes with what follows.
 */
static u32 spaces(const struct scan *s)
{
	enum llx_char_class class;
	u32 before_last = 0;
	u32 end = 0;
	u32 length;

	while ((class = class_at(s, end, &length)) == LLX_CHAR_SPACE) {
		before_last = end;
		end += length;
	}
	return ends_part(s, class) || !before_last ? end : before_last;
}

/* Numbers for default: three digits, or all up to the next three. */
static u32 numbers_by_three(const struct scan *s)
{
	u32 digits = 0;
	u32 pos = 0;
	u32 length;

	while (class_at(s, pos, &length) == LLX_CHAR_NUMBER) {
		pos += length;
		digits = length == 1 ? digits + 1 : 0;
		if (digits == 3)
			return pos == 3 ? 3 : pos - 3;
	}
	return pos;
}

static u32 word_gpt2(const struct scan *s)
{
	u32 first;
	enum llx_char_class class = class_at(s, 0, &first);
	u32 begin = s->text[0] == ' ' ? 1 : 0;
	u32 length;

	if (s->kind != LLX_PRE_DEFAULT) {
		length = contraction(s, false);
		if (length)
			return length;
	}
	if (class == LLX_CHAR_NUMBER && s->kind == LLX_PRE_SMOLLM)
		return first;
	if (class == LLX_CHAR_NUMBER && s->kind == LLX_PRE_DEFAULT)
		return numbers_by_three(s);
	if (begin)
		class = class_at(s, begin, &length);
	if (class == LLX_CHAR_SPACE || (begin && ends_part(s, class)))
		return spaces(s);
	/* N+ takes its numbers out of " ?N+" */
	if (begin && class == LLX_CHAR_NUMBER && s->kind == LLX_PRE_DEFAULT)
		return begin;
	return end_of_run(s, begin, class, s->bytes);
}

/* \s*[\r\n]+: up to the last newline among the spaces; 0: there is none. */
static u32 newlines(const struct scan *s)
{
	u32 end = 0;
	u32 pos = 0;
	u32 length;

	while (class_at(s, pos, &length) == LLX_CHAR_SPACE) {
		if (is_newline(s, pos))
			end = pos + 1;
		pos += length;
	}
	return end;
}

static u32 word_llama3(const struct scan *s)
{
	u32 first;
	enum llx_char_class class = class_at(s, 0, &first);
	u32 begin = s->text[0] == ' ' ? 1 : 0;
	u32 length = contraction(s, true);
	u32 pos;

	if (length)
		return length;
	if (class == LLX_CHAR_NUMBER)
		return end_of_run(s, 0, class, s->kind == LLX_PRE_QWEN2 ? 1 : 3);
	if (class == LLX_CHAR_LETTER ||
	    (!is_newline(s, 0) &&
	     class_at(s, first, &length) == LLX_CHAR_LETTER))
		return end_of_run(s, first, LLX_CHAR_LETTER, s->bytes);
	pos = end_of_run(s, begin, LLX_CHAR_OTHER, s->bytes);
	if (pos > begin) {
		while (is_newline(s, pos))
			pos++;
		return pos;
	}
	length = newlines(s);
	return length ? length : spaces(s);
}

u32 llx_pretokenize_word(enum llx_pretokenizer kind, const char *text,
			 u32 bytes)
{
	const struct scan s = { kind, text, bytes };

	if (kind == LLX_PRE_LLAMA3 || kind == LLX_PRE_QWEN2)
		return word_llama3(&s);
	return word_gpt2(&s);
}
