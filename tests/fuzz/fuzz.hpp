// SPDX-License-Identifier: GPL-2.0-only
//
// What fuzz targets share. A target is one file with LLVMFuzzerTestOneInput();
// libFuzzer runs it under the fuzz preset, replay.cpp in ctest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

// The declaration that libFuzzer's own main() uses.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

// A property of the code under test; unlike assert() never compiled out.
#define FUZZ_CHECK(condition)                                                            \
    do {                                                                                 \
        if (!(condition)) {                                                              \
            std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            std::abort();                                                                \
        }                                                                                \
    } while (false)
