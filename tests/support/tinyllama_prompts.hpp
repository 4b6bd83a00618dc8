// SPDX-License-Identifier: GPL-2.0-only
//
// What is evaluated natively and in the guests, to compare the bits: texts of 2
// and of 12 tokens, with bos. A guest without KVM takes seconds for a token.
#pragma once

#include <string>
#include <vector>

namespace llamux::test {

inline std::vector<std::string> tinyllama_prompts() {
    return {"the", "the memory of a system is slow because the kernel waits"};
}

}  // namespace llamux::test
