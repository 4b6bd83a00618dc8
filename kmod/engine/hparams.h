/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The llama.* keys of a GGUF file as checked numbers.
 */
#ifndef LLX_HPARAMS_H
#define LLX_HPARAMS_H

#include "gguf.h"
#include "model.h"

/**
 * llx_hparams_read - read and check the hyperparameters
 * @h: out; all but n_vocab, which the tokenizer knows
 * @n_ctx_max: upper bound on the context, 0 for the file's own
 *
 * May sleep (floats are looked at through @exec). Return: 0; -ENOEXEC an
 * architecture or variant that is not known; -EINVAL damaged; -EINTR.
 */
int llx_hparams_read(struct llx_hparams *h, const struct llx_gguf *g,
		     struct llx_exec *exec, u32 n_ctx_max,
		     struct llx_error *err);

/*
 * Whether all @n values are positive and finite: 0; -EINVAL (no text); -EINTR.
 * @n is small enough for one FPU section.
 */
int llx_hparams_check_positive(struct llx_exec *exec, const llx_f32 *values,
			       u32 n);

#endif
