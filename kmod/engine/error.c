// SPDX-License-Identifier: GPL-2.0-only
/*
 * The one way in which the engine says what went wrong.
 */
#include "port.h"

int llx_fail(struct llx_error *err, int code, u64 offset, const char *fmt, ...)
{
	va_list args;

	if (!err || err->code)
		return code;
	err->code = code;
	err->offset = offset;
	va_start(args, fmt);
	vscnprintf(err->text, sizeof(err->text), fmt, args);
	va_end(args);
	return code;
}
