// SPDX-License-Identifier: GPL-2.0-only
/*
 * Checks UTF-8. Knows nothing of tokens.
 */
#include "utf8.h"

/* RFC 3629, section 4: what may follow each first byte. */
static const struct {
	u8 first_min;
	u8 first_max;
	u8 second_min;
	u8 second_max;
	u8 length;
} forms[] = {
	{ 0x00, 0x7f, 0x00, 0x00, 1 }, { 0xc2, 0xdf, 0x80, 0xbf, 2 },
	{ 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
	{ 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
	{ 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 },
	{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
};

static int sequence_of_form(const u8 *p, size_t bytes, u32 form)
{
	u32 i;

	if (bytes > 1 && forms[form].length > 1 &&
	    (p[1] < forms[form].second_min || p[1] > forms[form].second_max))
		return -EILSEQ;
	for (i = 2; i < forms[form].length && i < bytes; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return -EILSEQ;
	}
	return bytes < forms[form].length ? 0 : forms[form].length;
}

int llx_utf8_sequence(const char *text, size_t bytes)
{
	const u8 *p = (const u8 *)text;
	u32 form;

	for (form = 0; form < ARRAY_SIZE(forms); form++) {
		if (p[0] >= forms[form].first_min &&
		    p[0] <= forms[form].first_max)
			return sequence_of_form(p, bytes, form);
	}
	return -EILSEQ;
}

u32 llx_utf8_point(const char *text, u32 length)
{
	static const u8 first_bits[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	u32 point = (u8)text[0] & first_bits[length];
	u32 i;

	for (i = 1; i < length; i++)
		point = point << 6 | ((u8)text[i] & 0x3f);
	return point;
}

bool llx_utf8_is_valid(const char *text, size_t bytes)
{
	while (bytes) {
		int length = llx_utf8_sequence(text, bytes);

		if (length <= 0)
			return false;
		text += length;
		bytes -= length;
	}
	return true;
}
