// SPDX-License-Identifier: GPL-2.0-only
//
// Logits that a test program computes natively, for a guest to compare its
// kernel's with, bit for bit: "PROGRAM --write-native-logits FILE" leaves them
// in a file.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "support/engine_model.hpp"
#include "support/model_file.hpp"

namespace llamux::test {

using LogitBits = std::vector<std::uint32_t>;

// After the last token of each text, one text after another.
inline LogitBits native_logits(const llx_model* model, const std::vector<std::string>& texts,
                               llx_exec* exec = &llx_exec_inline) {
    LogitBits all;
    for (const std::string& text : texts) {
        EngineContext context(model, exec);
        EXPECT_EQ(context.eval(raw_tokens(model, text)), 0) << text;
        const LogitBits bits = context.logit_bits();
        all.insert(all.end(), bits.begin(), bits.end());
    }
    return all;
}

// What lies in such a file, from its beginning.
class NativeLogits {
  public:
    explicit NativeLogits(const std::string& path) : file_(path, std::ios::binary) {
        EXPECT_TRUE(file_.good()) << path;
    }

    LogitBits next(std::size_t n) {
        LogitBits bits(n);
        file_.read(reinterpret_cast<char*>(bits.data()),
                   static_cast<std::streamsize>(n * sizeof(bits[0])));
        EXPECT_TRUE(file_.good()) << "the file of native logits is too short";
        return bits;
    }

    [[nodiscard]] bool at_end() { return file_.peek() == std::char_traits<char>::eof(); }

  private:
    std::ifstream file_;
};

// main() of such a program: writes what `compute` returns, or runs the tests.
inline int run_tests_or_write_logits(int argc, char** argv, LogitBits (*compute)()) {
    testing::InitGoogleTest(&argc, argv);
    if (argc != 3 || std::string_view(argv[1]) != "--write-native-logits")
        return RUN_ALL_TESTS();
    const LogitBits bits = compute();
    std::ofstream file(argv[2], std::ios::binary);
    file.write(reinterpret_cast<const char*>(bits.data()),
               static_cast<std::streamsize>(bits.size() * sizeof(bits[0])));
    return file.good() && !bits.empty() && !testing::Test::HasFailure() ? 0 : 1;
}

}  // namespace llamux::test
