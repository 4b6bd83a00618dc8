// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which table to use: by what the CPU has, or by name.
 */
#include "tables.h"

const struct llx_kernels *const llx_kernels_all[] = {
	&llx_kernels_avx512vnni,
	&llx_kernels_avx2tcg,
	&llx_kernels_avxvnni,
	&llx_kernels_avx2,
	&llx_kernels_generic,
	NULL,
};

const struct llx_kernels *llx_kernels_select(u32 features, const char *name)
{
	const struct llx_kernels *const *k;

	for (k = llx_kernels_all; *k; k++)
		if (((*k)->needs & ~features) == 0 &&
		    (!name || !strcmp(name, (*k)->name)))
			return *k;
	return NULL;
}
