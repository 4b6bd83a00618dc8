// SPDX-License-Identifier: GPL-2.0-only
//
// make_tinyllama FILE: writes a file like TinyLlama-1.1B Q4_K_M (tinyllama.hpp).
#include <cstdio>

#include "support/tinyllama.hpp"

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: make_tinyllama FILE\n");
        return 2;
    }
    if (!llamux::test::tinyllama_file().write(argv[1])) {
        std::perror(argv[1]);
        return 1;
    }
    return 0;
}
