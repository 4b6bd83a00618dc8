/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LLX_SELFTEST_H
#define LLX_SELFTEST_H

/**
 * llx_selftest_run() - compare every vector kernel with the reference
 *
 * Prints one verdict line, and one more for the first difference of each
 * table. Context: process, sleeps.
 * Return: 0; -ENOMEM; -EIO they differ.
 */
int llx_selftest_run(void);

#endif
