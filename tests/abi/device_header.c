// SPDX-License-Identifier: GPL-2.0-only
//
// Catches a device header that does not compile alone as C, and a field that
// C sees elsewhere than C++ does.
#include "uapi/llamux.h"

#include "llamux/telemetry.h"

#include <stddef.h>

#define SIZE(type, bytes) _Static_assert(sizeof(struct type) == (bytes), #type);
#define FIELD(type, field, place, bytes) \
	_Static_assert(offsetof(struct type, field) == (place), #type "." #field);
#include "layout.inc"

/* For layout_test.cpp: this file was compiled and linked. */
unsigned long abi_c_sees_advice_bytes(void);
unsigned long abi_c_sees_advice_bytes(void)
{
	return sizeof(struct llamux_advice);
}
