// SPDX-License-Identifier: GPL-2.0-only
// Catches: the return of whatever a fuzzer once found. Runs a fuzz target over
// every file of the given folders; works with any compiler.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "fuzz/fuzz.hpp"

int main(int argc, char** argv) {
    std::size_t n = 0;
    for (int i = 1; i < argc; i++) {
        std::vector<std::filesystem::path> paths;
        for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
            paths.push_back(entry.path());
        }
        std::sort(paths.begin(), paths.end());
        for (const auto& path : paths) {
            // The last line before a crash names the culprit.
            std::printf("%s\n", path.c_str());
            std::fflush(stdout);
            std::ifstream file(path, std::ios::binary);
            const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
            // A copy of exactly that size, so that a sanitizer sees the end.
            const std::vector<std::uint8_t> input(bytes.begin(), bytes.end());
            LLVMFuzzerTestOneInput(input.data(), input.size());
            n++;
        }
    }
    if (n == 0) {
        std::fprintf(stderr, "no input found\n");
        return 1;
    }
    std::printf("%zu inputs\n", n);
    return 0;
}
