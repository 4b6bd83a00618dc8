/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tensors: GGUF's types, and the packed form in which weights are kept.
 *
 * A matrix has n_rows outputs and n_cols inputs (GGUF shape [n_cols, n_rows]).
 * At load its rows are repacked in tiles of LLX_TILE_ROWS rows, so that one
 * vector instruction works on the same columns of 16 rows: no horizontal sums,
 * and every ISA adds in the same order. engine/pack.c documents the bytes of
 * a tile for each type. Rows beyond n_rows in the last tile are zero.
 */
#ifndef LLX_TENSOR_H
#define LLX_TENSOR_H

#include "port.h"

/* The numbers are GGUF's (ggml_type). */
enum llx_type {
	LLX_TYPE_F32 = 0,
	LLX_TYPE_F16 = 1,
	LLX_TYPE_Q4_0 = 2,
	LLX_TYPE_Q4_1 = 3,
	LLX_TYPE_Q5_0 = 6,
	LLX_TYPE_Q5_1 = 7,
	LLX_TYPE_Q8_0 = 8,
	LLX_TYPE_Q2_K = 10,
	LLX_TYPE_Q3_K = 11,
	LLX_TYPE_Q4_K = 12,
	LLX_TYPE_Q5_K = 13,
	LLX_TYPE_Q6_K = 14,
	LLX_TYPE_BF16 = 30,
	LLX_N_TYPES = 31,
};

#define LLX_TILE_ROWS 16u

/**
 * struct llx_type_traits - what a type looks like in the file and packed
 * @name: as llama.cpp prints it ("Q4_K"); NULL: a number GGUF does not define
 * @block_values: values per block of a row in the file
 * @block_bytes: bytes per block in the file
 * @tile_block_bytes: bytes of one block of columns for all 16 rows, packed;
 *	0: the engine cannot run this type
 * @quantized_input: matmul takes activations as llx_act_block, not as f32
 */
struct llx_type_traits {
	const char *name;
	u16 block_values;
	u16 block_bytes;
	u16 tile_block_bytes;
	bool quantized_input;
};

/* Never NULL; for an unknown @type an entry whose name is NULL. */
const struct llx_type_traits *llx_type_traits(u32 type);

/**
 * struct llx_matrix - packed weights, (n_rows, n_cols)
 * @tiles: DIV_ROUND_UP(n_rows, 16) tiles of @tile_bytes, 64-byte aligned;
 *	owned by the model that loaded it
 */
struct llx_matrix {
	u32 type; /* enum llx_type */
	u32 n_rows;
	u32 n_cols;
	u32 n_tiles;
	size_t tile_bytes;
	u8 *tiles;
};

/*
 * Shape and sizes of a packed matrix; @m->tiles stays NULL.
 * -EINVAL: type cannot be run, or n_cols is no multiple of its block;
 * -EOVERFLOW: too large.
 */
int llx_matrix_shape(struct llx_matrix *m, u32 type, u32 n_rows, u32 n_cols);

/*
 * Packs up to 16 rows into one tile. @rows: @n_rows (1..16) rows as the file
 * has them, one after another. Only moves bits: no FPU needed.
 */
void llx_pack_tile(const struct llx_matrix *m, const u8 *rows, u32 n_rows,
		   u8 *tile);

#endif
