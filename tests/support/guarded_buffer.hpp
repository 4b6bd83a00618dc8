// SPDX-License-Identifier: GPL-2.0-only
//
// Memory with an unmapped page directly before or directly behind it: one byte
// read or written outside ends the test.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <new>

namespace llamux::test {

enum class Guard { kBefore, kBehind };

// `bytes` bytes that end at (kBehind) or begin at (kBefore) a page's border.
// `shift` moves them that many bytes away from the border.
class GuardedBuffer {
  public:
    GuardedBuffer(size_t bytes, Guard guard, size_t shift = 0) {
        const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
        const size_t usable = (bytes + shift + page) / page * page;
        mapped_ = usable + 2 * page;
        base_ = mmap(nullptr, mapped_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (base_ == MAP_FAILED)
            throw std::bad_alloc();
        auto* first = static_cast<uint8_t*>(base_) + page;
        if (mprotect(first, usable, PROT_READ | PROT_WRITE) != 0)
            throw std::bad_alloc();
        begin_ = guard == Guard::kBefore ? first + shift : first + usable - bytes - shift;
    }
    ~GuardedBuffer() { munmap(base_, mapped_); }
    GuardedBuffer(const GuardedBuffer&) = delete;
    GuardedBuffer& operator=(const GuardedBuffer&) = delete;

    template <typename T>
    [[nodiscard]] T* as() const {
        return reinterpret_cast<T*>(begin_);
    }

  private:
    void* base_ = nullptr;
    size_t mapped_ = 0;
    uint8_t* begin_ = nullptr;
};

}  // namespace llamux::test
