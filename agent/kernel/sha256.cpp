// SPDX-License-Identifier: GPL-2.0-only
//
// See sha256.hpp.
#include "kernel/sha256.hpp"

#include <openssl/evp.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <vector>

namespace llamux {
namespace {

constexpr std::size_t kBlockBytes = 1 << 20;

struct FreeDigest {
    void operator()(EVP_MD_CTX* digest) const { EVP_MD_CTX_free(digest); }
};

}  // namespace

Result<std::string> sha256_of(int fd, const std::string& name) {
    const std::unique_ptr<EVP_MD_CTX, FreeDigest> digest(EVP_MD_CTX_new());
    if (!digest || EVP_DigestInit_ex(digest.get(), EVP_sha256(), nullptr) != 1) {
        return Error{ENOMEM, "SHA-256 is not available"};
    }
    std::vector<unsigned char> block(kBlockBytes);
    for (off_t at = 0;;) {
        const ssize_t n = ::pread(fd, block.data(), block.size(), at);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return errno_error(errno, name);
        }
        if (n == 0) {
            break;
        }
        EVP_DigestUpdate(digest.get(), block.data(), static_cast<std::size_t>(n));
        at += n;
    }
    std::array<unsigned char, EVP_MAX_MD_SIZE> sum{};
    unsigned n_bytes = 0;
    EVP_DigestFinal_ex(digest.get(), sum.data(), &n_bytes);
    constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    for (unsigned i = 0; i < n_bytes; i++) {
        text += kDigits[sum[i] >> 4];
        text += kDigits[sum[i] & 15];
    }
    return text;
}

}  // namespace llamux
