// SPDX-License-Identifier: GPL-2.0-only
/*
 * The one way in which the engine says what went wrong.
 */
#include "port.h"

/* Room for " (at byte N)", so that a long text does not push it out. */
#define PLACE_BYTES 32

int llx_fail(struct llx_error *err, int code, u64 offset, const char *fmt, ...)
{
	va_list args;
	size_t n;

	if (!err || err->code)
		return code;
	err->code = code;
	err->offset = offset;
	va_start(args, fmt);
	n = vscnprintf(err->text, sizeof(err->text) - PLACE_BYTES, fmt, args);
	va_end(args);
	if (offset)
		scnprintf(err->text + n, sizeof(err->text) - n,
			  " (at byte %llu)", offset);
	return code;
}
