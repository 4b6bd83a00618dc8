// SPDX-License-Identifier: GPL-2.0-only
//
// Writes GGUF files (ggml, docs/gguf.md): metadata of every type and tensors
// from raw bytes. Independent of the engine's parser, which it tests; also the
// writer of the tools that make models. Data can be produced while writing, so
// that a large file never has to fit in memory.
#pragma once

#include <concepts>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace llamux::test {

using Bytes = std::vector<std::uint8_t>;

enum class GgufType : std::uint32_t {
    kU8 = 0,
    kI8 = 1,
    kU16 = 2,
    kI16 = 3,
    kU32 = 4,
    kI32 = 5,
    kF32 = 6,
    kBool = 7,
    kString = 8,
    kArray = 9,
    kU64 = 10,
    kI64 = 11,
    kF64 = 12,
};

// Appends a number as it lies in memory (little-endian).
template <typename T>
requires std::is_arithmetic_v<T>
void put_number(Bytes& out, T value) {
    out.resize(out.size() + sizeof(value));
    std::memcpy(out.data() + out.size() - sizeof(value), &value, sizeof(value));
}

void put_string(Bytes& out, std::string_view text);

// How a C++ type is written: its GgufType and its bytes. bool, the fixed-width
// integers, float, double, anything that is a string, and vectors of these.
template <typename T>
struct GgufEncoding;

template <typename T>
requires std::is_arithmetic_v<T>
struct GgufEncoding<T> {
    static constexpr GgufType type() {
        if constexpr (std::same_as<T, bool>) {
            return GgufType::kBool;
        } else if constexpr (std::same_as<T, float>) {
            return GgufType::kF32;
        } else if constexpr (std::same_as<T, double>) {
            return GgufType::kF64;
        } else {
            constexpr GgufType kUnsigned[] = {GgufType::kU8, GgufType::kU16, GgufType::kU32,
                                              GgufType::kU64};
            constexpr GgufType kSigned[] = {GgufType::kI8, GgufType::kI16, GgufType::kI32,
                                            GgufType::kI64};
            constexpr int kLog2 = sizeof(T) == 1 ? 0 : sizeof(T) == 2 ? 1 : sizeof(T) == 4 ? 2 : 3;
            return std::signed_integral<T> ? kSigned[kLog2] : kUnsigned[kLog2];
        }
    }
    static void put(Bytes& out, T value) { put_number(out, value); }
};

template <typename T>
requires std::convertible_to<T, std::string_view>
struct GgufEncoding<T> {
    static constexpr GgufType type() { return GgufType::kString; }
    static void put(Bytes& out, std::string_view text) { put_string(out, text); }
};

template <typename T>
struct GgufEncoding<std::vector<T>> {
    static constexpr GgufType type() { return GgufType::kArray; }
    static void put(Bytes& out, const std::vector<T>& values) {
        put_number(out, static_cast<std::uint32_t>(GgufEncoding<T>::type()));
        put_number(out, static_cast<std::uint64_t>(values.size()));
        for (const T& value : values) {
            GgufEncoding<T>::put(out, value);
        }
    }
};

// One tensor. Tests make damaged files by changing fields after adding it.
struct GgufTensor {
    std::string name;
    std::vector<std::uint64_t> dims;  // dims[0] is the length of a row
    std::uint32_t type;
    std::uint64_t n_bytes;
    std::optional<std::uint64_t> offset;  // in the data section; else the next free
    std::function<void(std::span<std::uint8_t>)> fill;
};

class GgufWriter {
  public:
    explicit GgufWriter(std::uint32_t version = 3) : version_(version) {}

    // Adds a key, or replaces its value in place.
    template <typename T>
    void set(std::string_view key, const T& value) {
        Bytes bytes;
        GgufEncoding<std::decay_t<T>>::put(bytes, value);
        set_raw(key, static_cast<std::uint32_t>(GgufEncoding<std::decay_t<T>>::type()), bytes);
    }

    // A value of any type number, from its bytes.
    void set_raw(std::string_view key, std::uint32_t type, Bytes value);

    // Adds the key though it may be there already.
    void add_raw(std::string_view key, std::uint32_t type, Bytes value);

    void remove(std::string_view key);

    // Of the data section and of each tensor; also sets general.alignment.
    void set_alignment(std::uint32_t alignment);

    // A tensor whose bytes are at hand, or are made when the file is written.
    GgufTensor& add_tensor(std::string name, std::vector<std::uint64_t> dims, std::uint32_t type,
                           Bytes bytes);
    GgufTensor& add_tensor(std::string name, std::vector<std::uint64_t> dims, std::uint32_t type,
                           std::uint64_t n_bytes,
                           std::function<void(std::span<std::uint8_t>)> fill);

    // nullptr: no such tensor.
    GgufTensor* tensor(std::string_view name);
    void remove_tensor(std::string_view name);

    // Header, metadata, tensor entries and the padding before the data.
    [[nodiscard]] Bytes metadata() const;

    // The whole file. Call one of these.
    [[nodiscard]] Bytes bytes() const;
    // False: errno says why.
    [[nodiscard]] bool write(const std::string& path) const;

  private:
    struct Key {
        std::string name;
        std::uint32_t type;
        Bytes value;
    };

    [[nodiscard]] std::vector<std::uint64_t> tensor_offsets() const;
    [[nodiscard]] std::uint64_t aligned(std::uint64_t offset) const;
    // Hands the file to @sink piece by piece.
    bool emit(const std::function<bool(std::span<const std::uint8_t>)>& sink) const;

    std::uint32_t version_;
    std::uint32_t alignment_ = 32;
    std::vector<Key> keys_;
    std::vector<GgufTensor> tensors_;
};

}  // namespace llamux::test
