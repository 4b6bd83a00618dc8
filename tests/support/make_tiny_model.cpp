// SPDX-License-Identifier: GPL-2.0-only
//
// make_tiny_model TYPE FILE: writes the tiny model (model_file.hpp) with all
// matrices of TYPE ("F16", "Q4_K"... or "mixed"), or a smaller one with the
// vocabulary TinyVocab::bpe(PRE) if TYPE is "bpe:PRE".
#include <cstdio>
#include <cstring>
#include <string>

#include "support/model_file.hpp"

int main(int argc, char** argv) {
    using namespace llamux::test;
    if (argc != 3) {
        std::fprintf(stderr, "usage: make_tiny_model TYPE|mixed|bpe:PRE FILE\n");
        return 2;
    }
    const std::string what = argv[1];
    if (what.starts_with("bpe:")) {
        TinyModel model;
        model.vocab = TinyVocab::bpe(what.substr(4));
        if (model.build().write(argv[2]))
            return 0;
        std::perror(argv[2]);
        return 1;
    }
    std::uint32_t type = LLX_N_TYPES;
    if (std::strcmp(argv[1], "mixed") == 0)
        type = kMixedTypes;
    for (std::uint32_t i = 0; i < LLX_N_TYPES; i++) {
        const struct llx_type_traits* traits = llx_type_traits(i);
        if (traits->tile_block_bytes != 0 && std::strcmp(traits->name, argv[1]) == 0)
            type = i;
    }
    if (type == LLX_N_TYPES) {
        std::fprintf(stderr, "make_tiny_model: %s: not a type that the engine runs\n", argv[1]);
        return 2;
    }
    if (!gguf_of(tiny_model_data(type), TinyVocab::usual()).write(argv[2])) {
        std::perror(argv[2]);
        return 1;
    }
    return 0;
}
