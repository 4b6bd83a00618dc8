/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * GGUF files, versions 2 and 3: metadata keys and where the tensors are.
 *
 * Parses from memory and allocates only its two tables. The buffer may hold
 * just the beginning of the file: the parser says when it needs more and goes
 * on where it stopped. Nothing is known here about models or tokenizers.
 * Format: ggml's docs/gguf.md.
 */
#ifndef LLX_GGUF_H
#define LLX_GGUF_H

#include "port.h"

/* Bounds on what a file may ask for; models have some 40 keys. */
#define LLX_GGUF_MAX_KEYS 16384u
#define LLX_GGUF_MAX_TENSORS 65536u
#define LLX_GGUF_MAX_KEY_BYTES 65535u /* docs/gguf.md */
#define LLX_GGUF_MAX_NAME_BYTES 64u   /* docs/gguf.md, of a tensor */
#define LLX_GGUF_MAX_DIMS 4u
#define LLX_GGUF_MAX_NESTING 4u	      /* arrays in arrays */
#define LLX_GGUF_MAX_ALIGNMENT (1u << 20)

/* The numbers are the format's (gguf_metadata_value_type). */
enum llx_gguf_value_type {
	LLX_GGUF_U8 = 0,
	LLX_GGUF_S8 = 1,
	LLX_GGUF_U16 = 2,
	LLX_GGUF_S16 = 3,
	LLX_GGUF_U32 = 4,
	LLX_GGUF_S32 = 5,
	LLX_GGUF_F32 = 6,
	LLX_GGUF_BOOL = 7,
	LLX_GGUF_STRING = 8,
	LLX_GGUF_ARRAY = 9,
	LLX_GGUF_U64 = 10,
	LLX_GGUF_S64 = 11,
	LLX_GGUF_F64 = 12,
	LLX_GGUF_N_VALUE_TYPES = 13,
};

/* Bytes in the metadata buffer; not NUL ended. */
struct llx_gguf_text {
	const char *text;
	u32 bytes;
};

/**
 * struct llx_gguf_key - one metadata key
 * @offset: of the key's entry in the file
 * @value: of its value in the file; for an array of its element type
 */
struct llx_gguf_key {
	struct llx_gguf_text name;
	u32 type; /* enum llx_gguf_value_type */
	u64 offset;
	u64 value;
};

/**
 * struct llx_gguf_tensor - one tensor, checked against the file's size
 * @type: enum llx_type; its traits have a name and a block size
 * @offset: of its entry in the file
 * @start: of its data in the file
 * @bytes: of its data
 * @used: the loader's mark
 */
struct llx_gguf_tensor {
	struct llx_gguf_text name;
	u32 type;
	u32 n_dims;
	u64 dims[LLX_GGUF_MAX_DIMS];
	u64 n_values;
	u64 offset;
	u64 start;
	u64 bytes;
	bool used;
};

/**
 * struct llx_gguf - a parsed file; zero it before the first call
 * @bytes: (@available) beginning of the file, borrowed
 * @file_bytes: size of the whole file
 * @keys, @tensors: owned; sorted by name once parsed
 * @pos: where parsing goes on
 * @needed: after -EAGAIN: bytes that must be available
 */
struct llx_gguf {
	const u8 *bytes;
	u64 available;
	u64 file_bytes;
	u32 version;
	u32 alignment;
	u32 n_keys;
	u32 n_tensors;
	u64 tensor_data; /* offset of the data section */
	struct llx_gguf_key *keys;
	struct llx_gguf_tensor *tensors;
	u64 pos;
	u64 needed;
	u32 n_keys_parsed;
	u32 n_tensors_parsed;
};

/**
 * llx_gguf_parse - parse the metadata and check every tensor
 * @g: zeroed before the first call; llx_gguf_destroy() even after an error
 * @bytes: (@available) beginning of the file; must hold what earlier calls
 *	were given, and stay until @g is destroyed
 * @file_bytes: size of the whole file
 *
 * May sleep. Return: 0; -EAGAIN: call again with at least @g->needed bytes
 * (@err is untouched); -ENOEXEC not GGUF, or a version or tensor type that is
 * not known; -EINVAL damaged; -ENOMEM.
 */
int llx_gguf_parse(struct llx_gguf *g, const u8 *bytes, u64 available,
		   u64 file_bytes, struct llx_error *err);

void llx_gguf_destroy(struct llx_gguf *g);

/* NULL: there is no such key or tensor. Any context. */
const struct llx_gguf_key *llx_gguf_find_key(const struct llx_gguf *g,
					     const char *name);
struct llx_gguf_tensor *llx_gguf_find_tensor(const struct llx_gguf *g,
					     const char *name);

/*
 * Values of scalar keys. Any integer type will do where the number fits.
 * Return: 0; -ENOENT no such key (@err untouched, @value too); -EINVAL another
 * type, or a number that does not fit. Any context.
 */
int llx_gguf_read_u32(const struct llx_gguf *g, const char *name, u32 *value,
		      struct llx_error *err);
int llx_gguf_read_f32(const struct llx_gguf *g, const char *name, llx_f32 *value,
		      struct llx_error *err);
int llx_gguf_read_bool(const struct llx_gguf *g, const char *name, bool *value,
		       struct llx_error *err);
int llx_gguf_read_string(const struct llx_gguf *g, const char *name,
			 struct llx_gguf_text *value, struct llx_error *err);

/**
 * struct llx_gguf_array - elements of an array key
 * @type: of the elements
 * @n: elements
 * @next: offset of the next string, for llx_gguf_next_string()
 * @elements: first byte of the first element
 */
struct llx_gguf_array {
	u32 type;
	u64 n;
	u64 next;
	const u8 *elements;
};

/* As the scalars; -EINVAL also where the elements are not of @type. */
int llx_gguf_read_array(const struct llx_gguf *g, const char *name, u32 type,
			struct llx_gguf_array *array, struct llx_error *err);

/* The array's strings one after another, @array->n times. */
struct llx_gguf_text llx_gguf_next_string(const struct llx_gguf *g,
					  struct llx_gguf_array *array);

/*
 * A name as it may be shown to a person: cut, other than printable ASCII
 * replaced by '?'. Returns @out.
 */
#define LLX_GGUF_SHOWN 68
const char *llx_gguf_show(struct llx_gguf_text name, char out[LLX_GGUF_SHOWN]);

/* Order by bytes, a text before those that start with it. Any context. */
int llx_gguf_text_compare(struct llx_gguf_text a, struct llx_gguf_text b);

/* The text is @s; the text contains @s. Any context. */
bool llx_gguf_text_is(struct llx_gguf_text text, const char *s);
bool llx_gguf_text_has(struct llx_gguf_text text, const char *s);

#endif
