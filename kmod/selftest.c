// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel twin of tests/simd: every table of vector kernels that this CPU
 * can run, against the generic one, on seeded numbers, bit by bit, with the
 * registers, the compiler and the FPU sections of this very kernel.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include "selftest.h"
#include "cpu.h"
#include "engine/tensor.h"
#include "fpu.h"
#include "simd/kernels.h"

#include <linux/printk.h>
#include <linux/sched.h>

#define N_MAX 288u    /* values of a row: all loop forms and their tails */
#define N_COLS 512u   /* of a matrix: two K-quant blocks */
#define N_ROWS 37u    /* two tiles and a part of one */
#define TOKENS_MAX 5u /* of a batch */
#define OUT_BYTES (N_COLS * TOKENS_MAX * sizeof(llx_f32))

struct input {
	llx_f32 x[N_COLS * TOKENS_MAX];
	llx_f32 y[N_MAX];
	llx_f32 scale;
	u16 half[N_MAX];
	struct llx_act_block q8[N_COLS / LLX_ACT_BLOCK * TOKENS_MAX];
	struct llx_matrix matrix;
};

/**
 * struct op - one entry of a table
 * @name: for the log
 * @step: lengths that are allowed: its multiples
 * @n_max: the greatest length
 * @run: calls it for length @n and leaves the result in @out (OUT_BYTES)
 */
struct op {
	const char *name;
	u32 step;
	u32 n_max;
	void (*run)(const struct llx_kernels *k, const struct input *in, u32 n,
		    u8 *out);
};

/* ---- the operations ------------------------------------------------------------ */

static void run_quantize_row(const struct llx_kernels *k,
			     const struct input *in, u32 n, u8 *out)
{
	k->quantize_row(in->x, n, (struct llx_act_block *)out);
}

static void run_dequantize_row(const struct llx_kernels *k,
			       const struct input *in, u32 n, u8 *out)
{
	k->dequantize_row(&in->matrix, n, (llx_f32 *)out);
}

static void run_sum_squares(const struct llx_kernels *k,
			    const struct input *in, u32 n, u8 *out)
{
	*(llx_f32 *)out = k->sum_squares(in->x, n);
}

static void run_scale_rows(const struct llx_kernels *k, const struct input *in,
			   u32 n, u8 *out)
{
	k->scale_rows(in->x, in->scale, in->y, n, (llx_f32 *)out);
}

/* Rows begin one value apart, so that a few fit and each is another one. */
#define N_SHORT 6u

static void run_dot_rows(const struct llx_kernels *k, const struct input *in,
			 u32 n, u8 *out)
{
	u32 n_rows = min(n, N_SHORT);

	k->dot_rows(in->x, in->half, 1, n_rows, n - n_rows, (llx_f32 *)out);
}

static void run_axpy_rows(const struct llx_kernels *k, const struct input *in,
			  u32 n, u8 *out)
{
	u32 n_rows = min(n, N_SHORT);

	memcpy(out, in->y, n * sizeof(llx_f32));
	k->axpy_rows(in->x, in->half, 1, n_rows, n - n_rows, (llx_f32 *)out);
}

static void run_add(const struct llx_kernels *k, const struct input *in, u32 n,
		    u8 *out)
{
	memcpy(out, in->y, n * sizeof(llx_f32));
	k->add(in->x, n, (llx_f32 *)out);
}

static void run_scale(const struct llx_kernels *k, const struct input *in,
		      u32 n, u8 *out)
{
	memcpy(out, in->y, n * sizeof(llx_f32));
	k->scale(in->scale, n, (llx_f32 *)out);
}

static void run_swiglu(const struct llx_kernels *k, const struct input *in,
		       u32 n, u8 *out)
{
	memcpy(out, in->x, n * sizeof(llx_f32));
	k->swiglu((llx_f32 *)out, in->y, n);
}

static void run_exp_sum(const struct llx_kernels *k, const struct input *in,
			u32 n, u8 *out)
{
	memcpy(out + sizeof(llx_f32), in->x, n * sizeof(llx_f32));
	*(llx_f32 *)out = k->exp_sum((llx_f32 *)out + 1, n, in->scale);
}

static void run_largest(const struct llx_kernels *k, const struct input *in,
			u32 n, u8 *out)
{
	*(llx_f32 *)out = k->largest(in->x, n);
}

static void run_to_f16(const struct llx_kernels *k, const struct input *in,
		       u32 n, u8 *out)
{
	k->to_f16(in->x, n, (u16 *)out);
}

static void run_from_f16(const struct llx_kernels *k, const struct input *in,
			 u32 n, u8 *out)
{
	k->from_f16(in->half, n, (llx_f32 *)out);
}

static void run_matmul(const struct llx_kernels *k, const struct input *in,
		       u32 n, u8 *out)
{
	const struct llx_activations x = {
		.f32 = in->x,
		.q8 = in->q8,
		.f32_stride = N_COLS,
		.q8_stride = N_COLS / LLX_ACT_BLOCK,
	};

	k->matmul[in->matrix.type](&in->matrix, 0, in->matrix.n_tiles, &x, n,
				   (llx_f32 *)out, N_ROWS);
}

static const struct op row_ops[] = {
	{ "quantize_row", LLX_ACT_BLOCK, N_MAX, run_quantize_row },
	{ "sum_squares", 1, N_MAX, run_sum_squares },
	{ "scale_rows", 1, N_MAX, run_scale_rows },
	{ "dot_rows", 1, N_MAX, run_dot_rows },
	{ "axpy_rows", 1, N_MAX, run_axpy_rows },
	{ "add", 1, N_MAX, run_add },
	{ "scale", 1, N_MAX, run_scale },
	{ "swiglu", 1, N_MAX, run_swiglu },
	{ "exp_sum", 1, N_MAX, run_exp_sum },
	{ "largest", 1, N_MAX, run_largest },
	{ "to_f16", 1, N_MAX, run_to_f16 },
	{ "from_f16", 1, N_MAX, run_from_f16 },
};

static const struct op matrix_ops[] = {
	{ "dequantize_row", 1, N_ROWS - 1, run_dequantize_row },
	{ "matmul", 1, TOKENS_MAX, run_matmul },
};

/* ---- seeded input ---------------------------------------------------------------- */

static u64 state;

/* splitmix64 (Steele, Lea and Flood 2014) */
static u64 random_bits(void)
{
	u64 z = state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

/* Of either sign, 2^-8 to 2^8 in size. */
static llx_f32 random_f32(void)
{
	u64 bits = random_bits();
	llx_f32 value = {
		.bits = (u32)bits & 0x807fffff,
	};

	value.bits |= (119 + (u32)(bits >> 32) % 16) << 23;
	return value;
}

/* Any but infinities and NaNs. */
static u16 random_f16(void)
{
	u16 bits = random_bits();

	return (bits & 0x7c00) == 0x7c00 ? bits & ~0x4000 : bits;
}

/* Where a block of a type has f16 scales; random bytes would make NaNs. */
static const struct {
	u16 type;
	u8 n_scales;
	u8 offset[2];
} scales[] = {
	{ LLX_TYPE_Q4_0, 1, { 0 } },
	{ LLX_TYPE_Q8_0, 1, { 0 } },
	{ LLX_TYPE_Q4_1, 2, { 0, 2 } },
	{ LLX_TYPE_Q5_0, 1, { 0 } },
	{ LLX_TYPE_Q5_1, 2, { 0, 2 } },
	{ LLX_TYPE_Q2_K, 2, { 80, 82 } },
	{ LLX_TYPE_Q3_K, 1, { 108 } },
	{ LLX_TYPE_Q4_K, 2, { 0, 2 } },
	{ LLX_TYPE_Q5_K, 2, { 0, 2 } },
	{ LLX_TYPE_Q6_K, 1, { 208 } },
};

static void random_block(u32 type, u8 *block, u32 bytes)
{
	u32 i;
	u32 j;

	for (i = 0; i < bytes; i++)
		block[i] = random_bits();
	if (type == LLX_TYPE_F32)
		*(llx_f32 *)block = random_f32();
	if (type == LLX_TYPE_BF16)
		*(u16 *)block = random_f32().bits >> 16;
	if (type == LLX_TYPE_F16)
		*(u16 *)block = random_f16();
	for (i = 0; i < ARRAY_SIZE(scales); i++) {
		for (j = 0; scales[i].type == type && j < scales[i].n_scales; j++)
			*(u16 *)(block + scales[i].offset[j]) = random_f16();
	}
}

static void fill(struct input *in)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(in->x); i++)
		in->x[i] = random_f32();
	for (i = 0; i < ARRAY_SIZE(in->y); i++)
		in->y[i] = random_f32();
	for (i = 0; i < ARRAY_SIZE(in->half); i++)
		in->half[i] = random_f16();
	in->scale = random_f32();
}

/* Packs a matrix of random rows; the caller frees its tiles. */
static int make_matrix(struct llx_matrix *matrix, u32 type)
{
	const struct llx_type_traits *traits = llx_type_traits(type);
	size_t row_bytes = N_COLS / traits->block_values * traits->block_bytes;
	size_t done;
	u32 tile;
	u8 *rows;
	int err;

	err = llx_matrix_shape(matrix, type, N_ROWS, N_COLS);
	if (err)
		return err;
	rows = llx_alloc(LLX_TILE_ROWS * row_bytes);
	matrix->tiles = llx_alloc(matrix->n_tiles * matrix->tile_bytes);
	if (!rows || !matrix->tiles) {
		llx_free(matrix->tiles);
		llx_free(rows);
		return -ENOMEM;
	}
	for (tile = 0; tile < matrix->n_tiles; tile++) {
		for (done = 0; done < LLX_TILE_ROWS * row_bytes;
		     done += traits->block_bytes)
			random_block(type, rows + done, traits->block_bytes);
		llx_pack_tile(matrix, rows,
			      min(LLX_TILE_ROWS, N_ROWS - tile * LLX_TILE_ROWS),
			      matrix->tiles + tile * matrix->tile_bytes);
	}
	llx_free(rows);
	return 0;
}

/* ---- comparing -------------------------------------------------------------------- */

struct test {
	struct input in;
	u8 want[OUT_BYTES];
	u8 got[OUT_BYTES];
};

static void run_in_section(const struct op *op, const struct llx_kernels *k,
			   const struct input *in, u32 n, u8 *out)
{
	u64 begin_ns;

	memset(out, 0, OUT_BYTES);
	begin_ns = llx_fpu_begin();
	op->run(k, in, n, out);
	llx_fpu_end(begin_ns);
	cond_resched();
}

/* Return: 0 or -EIO. */
static int compare(struct test *test, const struct llx_kernels *k,
		   const struct llx_kernels *reference, const struct op *ops,
		   u32 n_ops)
{
	const char *type = llx_type_traits(test->in.matrix.type)->name;
	const struct op *op;
	u32 n;

	for (op = ops; op < ops + n_ops; op++) {
		for (n = 0; n <= op->n_max; n += op->step) {
			run_in_section(op, reference, &test->in, n, test->want);
			run_in_section(op, k, &test->in, n, test->got);
			if (!memcmp(test->want, test->got, OUT_BYTES))
				continue;
			pr_err("selftest: %s %s %s differs from %s, length %u\n",
			       k->name, op->name, type, reference->name, n);
			return -EIO;
		}
	}
	return 0;
}

static int compare_matrices(struct test *test, const struct llx_kernels *k,
			    const struct llx_kernels *reference)
{
	u32 type;
	int err = 0;

	for (type = 0; type < LLX_N_TYPES && !err; type++) {
		if (!k->matmul[type])
			continue;
		err = make_matrix(&test->in.matrix, type);
		if (err)
			break;
		err = compare(test, k, reference, matrix_ops,
			      ARRAY_SIZE(matrix_ops));
		llx_free(test->in.matrix.tiles);
	}
	return err;
}

static int test_table(struct test *test, const struct llx_kernels *k,
		      const struct llx_kernels *reference)
{
	u64 begin_ns;
	int err;

	state = 1;
	fill(&test->in);
	begin_ns = llx_fpu_begin();
	reference->quantize_row(test->in.x, ARRAY_SIZE(test->in.x),
				test->in.q8);
	llx_fpu_end(begin_ns);
	err = compare(test, k, reference, row_ops, ARRAY_SIZE(row_ops));
	return err ? err : compare_matrices(test, k, reference);
}

int llx_selftest_run(void)
{
	const struct llx_kernels *reference =
		llx_kernels_select(0, "generic");
	const struct llx_kernels *const *k;
	struct test *test;
	int err = 0;

	test = llx_alloc(sizeof(*test));
	if (!test)
		return -ENOMEM;
	for (k = llx_kernels_all; *k && !err; k++) {
		/* Also the table that only TCG prefers: all can run it. */
		if ((*k)->needs & ~(llx_cpu_features() | LLX_CPU_TCG))
			continue;
		err = test_table(test, *k, reference);
	}
	llx_free(test);
	if (err)
		pr_err("selftest: fail\n");
	else
		pr_info("selftest: pass\n");
	return err;
}
