// SPDX-License-Identifier: GPL-2.0-only
/*
 * Values of metadata keys of a parsed GGUF file; see gguf.h. The parser has
 * walked over each value, so the cursor cannot fail here; it is asked anyway.
 */
#include "cursor.h"
#include "gguf.h"

static const char *const type_names[LLX_GGUF_N_VALUE_TYPES] = {
	[LLX_GGUF_U8] = "u8",	    [LLX_GGUF_S8] = "i8",
	[LLX_GGUF_U16] = "u16",	    [LLX_GGUF_S16] = "i16",
	[LLX_GGUF_U32] = "u32",	    [LLX_GGUF_S32] = "i32",
	[LLX_GGUF_F32] = "f32",	    [LLX_GGUF_BOOL] = "bool",
	[LLX_GGUF_STRING] = "string", [LLX_GGUF_ARRAY] = "array",
	[LLX_GGUF_U64] = "u64",	    [LLX_GGUF_S64] = "i64",
	[LLX_GGUF_F64] = "f64",
};

static struct llx_cursor cursor_at(const struct llx_gguf *g, u64 pos)
{
	return (struct llx_cursor){
		.bytes = g->bytes,
		.available = g->available,
		.file_bytes = g->file_bytes,
		.pos = min(pos, g->available),
	};
}

/* The key @name and a cursor at its value, if it is of @type. */
static int open_value(const struct llx_gguf *g, const char *name, u32 type,
		      struct llx_cursor *c, struct llx_error *err)
{
	const struct llx_gguf_key *key = llx_gguf_find_key(g, name);

	if (!key)
		return -ENOENT;
	if (key->type != type)
		return llx_fail(err, -EINVAL, key->offset, "%s is of type %s, not %s",
				name, type_names[key->type], type_names[type]);
	*c = cursor_at(g, key->value);
	return 0;
}

static int read_bytes(struct llx_cursor *c, void *value, size_t bytes)
{
	const u8 *at = NULL;

	if (LLX_BUG_ON(llx_cursor_take(c, bytes, &at)))
		return -EINVAL;
	memcpy(value, at, bytes);
	return 0;
}

/* Any integer type, sign extended; -EINVAL: another type. */
static int read_integer(struct llx_cursor *c, u32 type, s64 *value)
{
	/* Bytes of the type; negative: signed. */
	static const s8 widths[LLX_GGUF_N_VALUE_TYPES] = {
		[LLX_GGUF_U8] = 1,  [LLX_GGUF_S8] = -1,
		[LLX_GGUF_U16] = 2, [LLX_GGUF_S16] = -2,
		[LLX_GGUF_U32] = 4, [LLX_GGUF_S32] = -4,
		[LLX_GGUF_U64] = 8, [LLX_GGUF_S64] = -8,
	};
	u32 bytes = widths[type] < 0 ? -widths[type] : widths[type];
	u64 raw = 0;
	int ret;

	if (!bytes)
		return -EINVAL;
	ret = read_bytes(c, &raw, bytes);
	if (ret)
		return ret;
	/* A u64 above 2^63 comes out negative, so it fits nowhere. */
	*value = raw << (64 - 8 * bytes);
	*value = widths[type] < 0 ? *value >> (64 - 8 * bytes) : (s64)raw;
	return 0;
}

int llx_gguf_read_u32(const struct llx_gguf *g, const char *name, u32 *value,
		      struct llx_error *err)
{
	const struct llx_gguf_key *key = llx_gguf_find_key(g, name);
	struct llx_cursor c;
	s64 wide;

	if (!key)
		return -ENOENT;
	c = cursor_at(g, key->value);
	if (read_integer(&c, key->type, &wide))
		return llx_fail(err, -EINVAL, key->offset,
				"%s is of type %s, not an integer", name,
				type_names[key->type]);
	if (wide < 0 || wide > (s64)(u32)-1)
		return llx_fail(err, -EINVAL, key->offset,
				"%s is negative or larger than 4294967295",
				name);
	*value = wide;
	return 0;
}

int llx_gguf_read_f32(const struct llx_gguf *g, const char *name, llx_f32 *value,
		      struct llx_error *err)
{
	struct llx_cursor c;
	int ret;

	ret = open_value(g, name, LLX_GGUF_F32, &c, err);
	return ret ? ret : read_bytes(&c, &value->bits, sizeof(value->bits));
}

int llx_gguf_read_bool(const struct llx_gguf *g, const char *name, bool *value,
		       struct llx_error *err)
{
	struct llx_cursor c;
	u8 byte = 0;
	int ret;

	ret = open_value(g, name, LLX_GGUF_BOOL, &c, err);
	if (!ret)
		ret = read_bytes(&c, &byte, 1);
	if (!ret)
		*value = byte;
	return ret;
}

static struct llx_gguf_text read_string(struct llx_cursor *c)
{
	struct llx_gguf_text text = { "", 0 };
	u64 bytes = 0;

	/* At most LLX_MAX_METADATA_BYTES, so it fits in 32 bits. */
	if (!LLX_BUG_ON(llx_cursor_string(c, &text.text, &bytes)))
		text.bytes = bytes;
	return text;
}

int llx_gguf_read_string(const struct llx_gguf *g, const char *name,
			 struct llx_gguf_text *value, struct llx_error *err)
{
	struct llx_cursor c;
	int ret;

	ret = open_value(g, name, LLX_GGUF_STRING, &c, err);
	if (!ret)
		*value = read_string(&c);
	return ret;
}

int llx_gguf_read_array(const struct llx_gguf *g, const char *name, u32 type,
			struct llx_gguf_array *array, struct llx_error *err)
{
	struct llx_cursor c;
	int ret;

	ret = open_value(g, name, LLX_GGUF_ARRAY, &c, err);
	if (ret)
		return ret;
	if (LLX_BUG_ON(llx_cursor_u32(&c, &array->type) ||
		       llx_cursor_u64(&c, &array->n)))
		return -EINVAL;
	if (array->type != type)
		return llx_fail(err, -EINVAL, llx_gguf_find_key(g, name)->offset,
				"%s has elements of type %s, not %s", name,
				array->type < LLX_GGUF_N_VALUE_TYPES ?
					type_names[array->type] : "?",
				type_names[type]);
	array->next = c.pos;
	array->elements = g->bytes + c.pos;
	return 0;
}

struct llx_gguf_text llx_gguf_next_string(const struct llx_gguf *g,
					  struct llx_gguf_array *array)
{
	struct llx_cursor c = cursor_at(g, array->next);
	struct llx_gguf_text text = read_string(&c);

	array->next = c.pos;
	return text;
}

const char *llx_gguf_show(struct llx_gguf_text name, char out[LLX_GGUF_SHOWN])
{
	u32 n = min_t(u32, name.bytes, LLX_GGUF_MAX_NAME_BYTES);
	u32 i;

	for (i = 0; i < n; i++)
		out[i] = name.text[i] >= 0x20 && name.text[i] < 0x7f ?
				 name.text[i] : '?';
	scnprintf(out + n, LLX_GGUF_SHOWN - n, "%s", name.bytes > n ? "..." : "");
	return out;
}

int llx_gguf_text_compare(struct llx_gguf_text a, struct llx_gguf_text b)
{
	int order = memcmp(a.text, b.text, min(a.bytes, b.bytes));

	if (order)
		return order;
	return a.bytes < b.bytes ? -1 : a.bytes > b.bytes;
}

bool llx_gguf_text_is(struct llx_gguf_text text, const char *s)
{
	return text.bytes == strlen(s) && !memcmp(text.text, s, text.bytes);
}

bool llx_gguf_text_has(struct llx_gguf_text text, const char *s)
{
	size_t n = strlen(s);
	size_t i;

	for (i = 0; i + n <= text.bytes; i++) {
		if (!memcmp(text.text + i, s, n))
			return true;
	}
	return false;
}
