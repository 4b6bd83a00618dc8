// SPDX-License-Identifier: GPL-2.0-only
//
// Catches a device header that does not compile alone as C++.
#include "uapi/llamux.h"

extern "C" unsigned long abi_cpp_sees_advice_bytes() {
    return sizeof(llamux_advice);
}
