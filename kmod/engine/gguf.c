// SPDX-License-Identifier: GPL-2.0-only
/*
 * Parser for GGUF files (ggml, docs/gguf.md); see gguf.h. Everything read here
 * is hostile: cursor.h does all steps, counts are bounded before they are used,
 * and after llx_gguf_parse() succeeded every tensor lies inside the file and
 * touches no other. gguf_value.c reads the values of keys.
 */
#include "cursor.h"
#include "gguf.h"
#include "tensor.h"

#define GGUF_MAGIC 0x46554747u /* "GGUF" */
#define HEADER_BYTES 24u

/* Fewest bytes that an entry takes: a name of one byte, one dimension. */
#define MIN_KEY_BYTES (8u + 1u + 4u + 1u)
#define MIN_TENSOR_BYTES (8u + 1u + 4u + 8u + 4u + 8u)

/* 0: a value has no fixed size. */
static const u8 value_bytes[LLX_GGUF_N_VALUE_TYPES] = {
	[LLX_GGUF_U8] = 1,  [LLX_GGUF_S8] = 1,	[LLX_GGUF_U16] = 2,
	[LLX_GGUF_S16] = 2, [LLX_GGUF_U32] = 4, [LLX_GGUF_S32] = 4,
	[LLX_GGUF_F32] = 4, [LLX_GGUF_BOOL] = 1, [LLX_GGUF_U64] = 8,
	[LLX_GGUF_S64] = 8, [LLX_GGUF_F64] = 8,
};

/* Keys and tensors both start with their name. */
static int compare_names(const void *a, const void *b)
{
	return llx_gguf_text_compare(*(const struct llx_gguf_text *)a,
				     *(const struct llx_gguf_text *)b);
}

static_assert(offsetof(struct llx_gguf_key, name) == 0, "compare_names()");
static_assert(offsetof(struct llx_gguf_tensor, name) == 0, "compare_names()");

static int compare_starts(const void *a, const void *b)
{
	const struct llx_gguf_tensor *x = a;
	const struct llx_gguf_tensor *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static int parse_header(struct llx_gguf *g, struct llx_cursor *c,
			struct llx_error *err)
{
	u32 magic = 0;
	u64 n_tensors;
	u64 n_keys;
	int ret;

	ret = llx_cursor_u32(c, &magic);
	if (ret == -EAGAIN)
		return ret;
	if (ret || magic != GGUF_MAGIC)
		return llx_fail(err, -ENOEXEC, 0,
				"not a GGUF file: it does not start with GGUF");
	ret = llx_cursor_u32(c, &g->version);
	if (!ret)
		ret = llx_cursor_u64(c, &n_tensors);
	if (!ret)
		ret = llx_cursor_u64(c, &n_keys);
	if (ret == -EAGAIN)
		return ret;
	if (ret)
		return llx_fail(err, -EINVAL, c->pos,
				"the file ends inside the GGUF header");
	if (g->version && !(g->version & 0xffff))
		return llx_fail(err, -ENOEXEC, 4,
				"a big-endian GGUF file: convert it to little-endian");
	if (g->version != 2 && g->version != 3)
		return llx_fail(err, -ENOEXEC, 4,
				"GGUF version %u is not known: 2 and 3 are",
				g->version);
	if (n_tensors > LLX_GGUF_MAX_TENSORS)
		return llx_fail(err, -EINVAL, 8,
				"%llu tensors: at most %u are accepted",
				n_tensors, LLX_GGUF_MAX_TENSORS);
	if (n_keys > LLX_GGUF_MAX_KEYS)
		return llx_fail(err, -EINVAL, 16,
				"%llu metadata keys: at most %u are accepted",
				n_keys, LLX_GGUF_MAX_KEYS);
	if (n_keys * MIN_KEY_BYTES + n_tensors * MIN_TENSOR_BYTES >
	    g->file_bytes - HEADER_BYTES)
		return llx_fail(err, -EINVAL, 8,
				"%llu bytes are too few for %llu metadata keys and %llu tensors",
				g->file_bytes, n_keys, n_tensors);

	if (n_keys) {
		g->keys = llx_alloc(n_keys * sizeof(*g->keys));
		if (!g->keys)
			goto err_memory;
	}
	if (n_tensors) {
		g->tensors = llx_alloc(n_tensors * sizeof(*g->tensors));
		if (!g->tensors)
			goto err_memory;
	}
	g->n_keys = n_keys;
	g->n_tensors = n_tensors;
	return 0;

err_memory:
	return llx_fail(err, -ENOMEM, 0,
			"no memory for %llu metadata keys and %llu tensors",
			n_keys, n_tensors);
}

/* What is wrong with a value, beside its end being missing. */
struct value_fault {
	const char *what;
	u32 number;
};

static int skip_value(struct llx_cursor *c, u32 type, u32 depth,
		      struct value_fault *fault);

static int unknown_type(u32 type, struct value_fault *fault)
{
	fault->what = "unknown value type";
	fault->number = type;
	return -EINVAL;
}

static int skip_bools(struct llx_cursor *c, u64 n, struct value_fault *fault)
{
	const u8 *at;
	u64 i;
	int ret = llx_cursor_take(c, n, &at);

	if (ret)
		return ret;
	for (i = 0; i < n; i++) {
		if (at[i] > 1) {
			fault->what = "a bool of value";
			fault->number = at[i];
			return -EINVAL;
		}
	}
	return 0;
}

static int skip_array(struct llx_cursor *c, u32 depth,
		      struct value_fault *fault)
{
	u32 type;
	u64 n;
	u64 i;
	int ret;

	if (depth == LLX_GGUF_MAX_NESTING) {
		fault->what = "arrays in arrays, nested deeper than";
		fault->number = LLX_GGUF_MAX_NESTING;
		return -EINVAL;
	}
	ret = llx_cursor_u32(c, &type);
	if (!ret)
		ret = llx_cursor_u64(c, &n);
	if (ret)
		return ret;
	if (type >= LLX_GGUF_N_VALUE_TYPES)
		return unknown_type(type, fault);
	if (type == LLX_GGUF_BOOL)
		return skip_bools(c, n, fault);
	if (value_bytes[type])
		return llx_cursor_skip(c, n, value_bytes[type]);
	/* Each round takes bytes from the file, so n need not be bounded. */
	for (i = 0; i < n && !ret; i++)
		ret = skip_value(c, type, depth + 1, fault);
	return ret;
}

/* Recursion ends at LLX_GGUF_MAX_NESTING. */
static int skip_value(struct llx_cursor *c, u32 type, u32 depth,
		      struct value_fault *fault)
{
	const char *text;
	u64 bytes;

	if (type >= LLX_GGUF_N_VALUE_TYPES)
		return unknown_type(type, fault);
	if (type == LLX_GGUF_BOOL)
		return skip_bools(c, 1, fault);
	if (type == LLX_GGUF_STRING)
		return llx_cursor_string(c, &text, &bytes);
	if (type == LLX_GGUF_ARRAY)
		return skip_array(c, depth, fault);
	return llx_cursor_skip(c, 1, value_bytes[type]);
}

static int parse_key(struct llx_gguf *g, struct llx_cursor *c,
		     struct llx_error *err)
{
	struct llx_gguf_key *key = &g->keys[g->n_keys_parsed];
	struct value_fault fault = {};
	char shown[LLX_GGUF_SHOWN];
	u64 bytes = 0;
	int ret;

	key->offset = c->pos;
	ret = llx_cursor_string(c, &key->name.text, &bytes);
	if ((!ret && !bytes) || bytes > LLX_GGUF_MAX_KEY_BYTES)
		return llx_fail(err, -EINVAL, key->offset,
				"metadata key %u: a name of %llu bytes",
				g->n_keys_parsed, bytes);
	key->name.bytes = bytes;
	if (!ret)
		ret = llx_cursor_u32(c, &key->type);
	key->value = c->pos;
	if (!ret)
		ret = skip_value(c, key->type, 0, &fault);
	if (ret == -EAGAIN)
		return ret;
	if (ret == -ENODATA)
		return llx_fail(err, -EINVAL, key->offset,
				"the file ends inside metadata key %u of %u",
				g->n_keys_parsed, g->n_keys);
	if (ret)
		return llx_fail(err, ret, key->value,
				"metadata key %s: %s %u",
				llx_gguf_show(key->name, shown), fault.what,
				fault.number);
	g->n_keys_parsed++;
	return 0;
}

/* All keys are there: sorts them and reads what the rest depends on. */
static int finish_keys(struct llx_gguf *g, struct llx_error *err)
{
	const struct llx_gguf_key *key;
	char shown[LLX_GGUF_SHOWN];
	u32 alignment = 32;
	u32 i;
	int ret;

	sort(g->keys, g->n_keys, sizeof(*g->keys), compare_names, NULL);
	for (i = 1; i < g->n_keys; i++) {
		key = &g->keys[i];
		if (!compare_names(key - 1, key))
			return llx_fail(err, -EINVAL,
					max(key[-1].offset, key->offset),
					"metadata key %s comes twice",
					llx_gguf_show(key->name, shown));
	}
	ret = llx_gguf_read_u32(g, "general.alignment", &alignment, err);
	if (ret && ret != -ENOENT)
		return ret;
	if (!alignment || (alignment & (alignment - 1)) ||
	    alignment > LLX_GGUF_MAX_ALIGNMENT)
		return llx_fail(err, -EINVAL,
				llx_gguf_find_key(g, "general.alignment")->value,
				"general.alignment is %u: it must be a power of two up to %u",
				alignment, LLX_GGUF_MAX_ALIGNMENT);
	g->alignment = alignment;
	return 0;
}

/* Bytes and values of a tensor, from its shape and type. */
static int size_tensor(struct llx_gguf_tensor *t, struct llx_error *err)
{
	const struct llx_type_traits *traits = llx_type_traits(t->type);
	char shown[LLX_GGUF_SHOWN];
	u32 i;

	llx_gguf_show(t->name, shown);
	t->n_values = 1;
	for (i = 0; i < t->n_dims; i++) {
		if (!t->dims[i])
			return llx_fail(err, -EINVAL, t->offset,
					"tensor %s: dimension %u is 0", shown,
					i);
		if (check_mul_overflow(t->n_values, t->dims[i], &t->n_values))
			return llx_fail(err, -EINVAL, t->offset,
					"tensor %s: its shape overflows",
					shown);
	}
	if (!traits->name || !traits->block_values)
		return llx_fail(err, -ENOEXEC, t->offset,
				"tensor %s: type %s (%u) is not known", shown,
				traits->name ?: "?", t->type);
	if (t->dims[0] % traits->block_values)
		return llx_fail(err, -EINVAL, t->offset,
				"tensor %s: rows of %llu values are no whole %s blocks of %u",
				shown, t->dims[0], traits->name,
				traits->block_values);
	if (check_mul_overflow(t->n_values / traits->block_values,
			       (u64)traits->block_bytes, &t->bytes))
		return llx_fail(err, -EINVAL, t->offset,
				"tensor %s: its shape overflows", shown);
	return 0;
}

static int parse_tensor(struct llx_gguf *g, struct llx_cursor *c,
			struct llx_error *err)
{
	struct llx_gguf_tensor *t = &g->tensors[g->n_tensors_parsed];
	char shown[LLX_GGUF_SHOWN];
	u64 bytes = 0;
	u32 i;
	int ret;

	t->offset = c->pos;
	ret = llx_cursor_string(c, &t->name.text, &bytes);
	if ((!ret && !bytes) || bytes > LLX_GGUF_MAX_NAME_BYTES)
		return llx_fail(err, -EINVAL, t->offset,
				"tensor %u: a name of %llu bytes",
				g->n_tensors_parsed, bytes);
	t->name.bytes = bytes;
	if (!ret)
		ret = llx_cursor_u32(c, &t->n_dims);
	if (!ret && (!t->n_dims || t->n_dims > LLX_GGUF_MAX_DIMS))
		return llx_fail(err, -EINVAL, t->offset,
				"tensor %s: %u dimensions, 1 to %u are accepted",
				llx_gguf_show(t->name, shown), t->n_dims,
				LLX_GGUF_MAX_DIMS);
	for (i = 0; !ret && i < t->n_dims; i++)
		ret = llx_cursor_u64(c, &t->dims[i]);
	if (!ret)
		ret = llx_cursor_u32(c, &t->type);
	if (!ret)
		ret = llx_cursor_u64(c, &t->start);
	if (ret == -EAGAIN)
		return ret;
	if (ret)
		return llx_fail(err, -EINVAL, t->offset,
				"the file ends inside the entry of tensor %u of %u",
				g->n_tensors_parsed, g->n_tensors);
	if (t->start % g->alignment)
		return llx_fail(err, -EINVAL, t->offset,
				"tensor %s: offset %llu is no multiple of %u",
				llx_gguf_show(t->name, shown), t->start,
				g->alignment);
	ret = size_tensor(t, err);
	if (ret)
		return ret;
	g->n_tensors_parsed++;
	return 0;
}

/* From offsets in the data section to offsets in the file. */
static int place_tensors(struct llx_gguf *g, struct llx_error *err)
{
	struct llx_gguf_tensor *t;
	char shown[LLX_GGUF_SHOWN];
	u64 end;
	u32 i;

	g->tensor_data = ALIGN(g->pos, (u64)g->alignment);
	for (i = 0; i < g->n_tensors; i++) {
		t = &g->tensors[i];
		if (check_add_overflow(g->tensor_data, t->start, &t->start) ||
		    check_add_overflow(t->start, t->bytes, &end))
			return llx_fail(err, -EINVAL, t->offset,
					"tensor %s: its offset overflows",
					llx_gguf_show(t->name, shown));
		if (end > g->file_bytes)
			return llx_fail(err, -EINVAL, t->offset,
					"tensor %s ends at byte %llu but the file has only %llu",
					llx_gguf_show(t->name, shown), end,
					g->file_bytes);
	}
	return 0;
}

/* All tensors are there: none may touch another or have its name. */
static int finish_tensors(struct llx_gguf *g, struct llx_error *err)
{
	struct llx_gguf_tensor *t = g->tensors;
	char shown[2][LLX_GGUF_SHOWN];
	u32 i;
	int ret;

	ret = place_tensors(g, err);
	if (ret)
		return ret;
	sort(t, g->n_tensors, sizeof(*t), compare_starts, NULL);
	for (i = 1; i < g->n_tensors; i++) {
		if (t[i - 1].start + t[i - 1].bytes > t[i].start)
			return llx_fail(err, -EINVAL, t[i].offset,
					"tensors %s and %s overlap",
					llx_gguf_show(t[i - 1].name, shown[0]),
					llx_gguf_show(t[i].name, shown[1]));
	}
	sort(t, g->n_tensors, sizeof(*t), compare_names, NULL);
	for (i = 1; i < g->n_tensors; i++) {
		if (!compare_names(&t[i - 1], &t[i]))
			return llx_fail(err, -EINVAL,
					max(t[i - 1].offset, t[i].offset),
					"tensor %s comes twice",
					llx_gguf_show(t[i].name, shown[0]));
	}
	return 0;
}

/* The buffer moved: an entry starts with its name, after 8 bytes of length. */
static void rebase_names(struct llx_gguf *g)
{
	u32 i;

	for (i = 0; i < g->n_keys_parsed; i++)
		g->keys[i].name.text =
			(const char *)g->bytes + g->keys[i].offset + 8;
	for (i = 0; i < g->n_tensors_parsed; i++)
		g->tensors[i].name.text =
			(const char *)g->bytes + g->tensors[i].offset + 8;
}

int llx_gguf_parse(struct llx_gguf *g, const u8 *bytes, u64 available,
		   u64 file_bytes, struct llx_error *err)
{
	struct llx_cursor c = {
		.bytes = bytes,
		.available = available,
		.file_bytes = file_bytes,
		.pos = g->pos,
	};
	int ret = 0;

	g->bytes = bytes;
	g->available = available;
	g->file_bytes = file_bytes;
	rebase_names(g);
	if (!g->pos)
		ret = parse_header(g, &c, err);
	if (!ret)
		g->pos = c.pos;
	while (!ret && g->n_keys_parsed < g->n_keys) {
		ret = parse_key(g, &c, err);
		if (!ret)
			g->pos = c.pos;
	}
	if (!ret && !g->alignment)
		ret = finish_keys(g, err);
	while (!ret && g->n_tensors_parsed < g->n_tensors) {
		ret = parse_tensor(g, &c, err);
		if (!ret)
			g->pos = c.pos;
	}
	if (!ret)
		ret = finish_tensors(g, err);
	g->needed = c.needed;
	return ret;
}

void llx_gguf_destroy(struct llx_gguf *g)
{
	llx_free(g->tensors);
	llx_free(g->keys);
	*g = (struct llx_gguf){};
}

/* Binary search in a table sorted by name, whose entries start with it. */
static void *find(const void *table, u32 n, size_t stride, const char *name)
{
	const struct llx_gguf_text wanted = { name, strlen(name) };
	u32 begin = 0;
	u32 end = n;

	while (begin < end) {
		u32 middle = begin + (end - begin) / 2;
		const u8 *entry = (const u8 *)table + middle * stride;
		int order = compare_names(&wanted, entry);

		if (!order)
			return (void *)entry;
		if (order < 0)
			end = middle;
		else
			begin = middle + 1;
	}
	return NULL;
}

const struct llx_gguf_key *llx_gguf_find_key(const struct llx_gguf *g,
					     const char *name)
{
	return find(g->keys, g->n_keys_parsed, sizeof(*g->keys), name);
}

struct llx_gguf_tensor *llx_gguf_find_tensor(const struct llx_gguf *g,
					     const char *name)
{
	return find(g->tensors, g->n_tensors_parsed, sizeof(*g->tensors), name);
}
