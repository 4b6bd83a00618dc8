// SPDX-License-Identifier: GPL-2.0-only
// Catches: a GGUF parser that believes the file - counts, lengths, offsets,
// shapes and types that lead out of the file, into another tensor or around
// 2^64 - and one that misreads or refuses what is valid.
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <random>
#include <string>

#include "support/engine.hpp"
#include "support/gguf_writer.hpp"

namespace {

using llamux::test::Bytes;
using llamux::test::GgufWriter;
using llamux::test::put_number;
using llamux::test::put_string;

// The parser on a buffer of exactly the given size, so that a sanitizer sees
// every step beyond it.
class Parsed {
  public:
    explicit Parsed(const Bytes& file) { parse(file, file.size(), file.size()); }
    Parsed() = default;
    Parsed(const Parsed&) = delete;
    Parsed& operator=(const Parsed&) = delete;
    ~Parsed() { llx_gguf_destroy(&gguf); }

    int parse(const Bytes& file, std::size_t available, std::uint64_t file_bytes) {
        auto moved = std::make_unique<std::uint8_t[]>(available);
        std::copy_n(file.data(), available, moved.get());
        code = llx_gguf_parse(&gguf, moved.get(), available, file_bytes, &error);
        // Only now may the old place go away.
        buffer_ = std::move(moved);
        return code;
    }

    llx_gguf gguf = {};
    llx_error error = {};
    int code = 0;

  private:
    std::unique_ptr<std::uint8_t[]> buffer_;
};

Bytes zeros(std::size_t n) {
    return Bytes(n);
}

// Two keys and two tensors, F32 and Q4_0.
GgufWriter small_file() {
    GgufWriter writer;
    writer.set("general.architecture", "llama");
    writer.set("small.values", std::vector<std::string>{"one", "two"});
    writer.add_tensor("first", {8, 2}, LLX_TYPE_F32, zeros(64));
    writer.add_tensor("second", {32, 3}, LLX_TYPE_Q4_0, zeros(54));
    return writer;
}

void expect_refused(const Bytes& file, int code, const std::string& text) {
    const Parsed parsed(file);
    EXPECT_EQ(parsed.code, code) << text;
    EXPECT_EQ(parsed.error.code, code) << text;
    EXPECT_EQ(std::string(parsed.error.text), text);
}

template <typename T>
Bytes number(T value) {
    Bytes out;
    put_number(out, value);
    return out;
}

void patch(Bytes& file, std::size_t offset, const Bytes& value) {
    std::copy(value.begin(), value.end(), file.begin() + static_cast<std::ptrdiff_t>(offset));
}

TEST(Gguf, ReadsEveryTypeInBothVersions) {
    for (const std::uint32_t version : {2U, 3U}) {
        GgufWriter writer(version);
        writer.set("u8", std::uint8_t{200});
        writer.set("i8", std::int8_t{-5});
        writer.set("u16", std::uint16_t{60000});
        writer.set("i16", std::int16_t{12345});
        writer.set("u32", std::uint32_t{4000000000});
        writer.set("i32", std::int32_t{7});
        writer.set("u64", std::uint64_t{1234567890123});
        writer.set("u64max", ~std::uint64_t{0});
        writer.set("i64", std::int64_t{99});
        writer.set("f32", 1.5F);
        writer.set("f64", 2.5);
        writer.set("true", true);
        writer.set("false", false);
        writer.set("string", "words");
        writer.set("empty", "");
        writer.set("strings", std::vector<std::string>{"a", "", "ccc"});
        writer.set("bools", std::vector<bool>{true, false});
        writer.set("none", std::vector<std::uint64_t>{});
        writer.set("nested", std::vector<std::vector<std::int16_t>>{{1, 2}, {}, {3}});
        writer.set("words", std::vector<std::vector<std::string>>{{"x"}, {"y", "z"}});
        const Parsed p(writer.bytes());
        ASSERT_EQ(p.code, 0) << p.error.text;
        EXPECT_EQ(p.gguf.version, version);
        EXPECT_EQ(p.gguf.n_keys, 20U);

        llx_error error = {};
        std::uint32_t value = 0;
        EXPECT_EQ(llx_gguf_read_u32(&p.gguf, "u8", &value, &error), 0);
        EXPECT_EQ(value, 200U);
        EXPECT_EQ(llx_gguf_read_u32(&p.gguf, "u16", &value, &error), 0);
        EXPECT_EQ(value, 60000U);
        EXPECT_EQ(llx_gguf_read_u32(&p.gguf, "i16", &value, &error), 0);
        EXPECT_EQ(value, 12345U);
        EXPECT_EQ(llx_gguf_read_u32(&p.gguf, "u32", &value, &error), 0);
        EXPECT_EQ(value, 4000000000U);
        EXPECT_EQ(llx_gguf_read_u32(&p.gguf, "i32", &value, &error), 0);
        EXPECT_EQ(value, 7U);
        EXPECT_EQ(llx_gguf_read_u32(&p.gguf, "i64", &value, &error), 0);
        EXPECT_EQ(value, 99U);
        EXPECT_EQ(llx_gguf_read_u32(&p.gguf, "absent", &value, &error), -ENOENT);
        EXPECT_EQ(value, 99U);
        EXPECT_EQ(error.code, 0);

        llx_f32 real = {};
        EXPECT_EQ(llx_gguf_read_f32(&p.gguf, "f32", &real, &error), 0);
        EXPECT_EQ(real.bits, 0x3fc00000U);
        bool flag = false;
        EXPECT_EQ(llx_gguf_read_bool(&p.gguf, "true", &flag, &error), 0);
        EXPECT_TRUE(flag);
        EXPECT_EQ(llx_gguf_read_bool(&p.gguf, "false", &flag, &error), 0);
        EXPECT_FALSE(flag);

        llx_gguf_text text = {};
        EXPECT_EQ(llx_gguf_read_string(&p.gguf, "string", &text, &error), 0);
        EXPECT_TRUE(llx_gguf_text_is(text, "words"));
        EXPECT_TRUE(llx_gguf_text_has(text, "ord"));
        EXPECT_FALSE(llx_gguf_text_has(text, "wordss"));
        EXPECT_EQ(llx_gguf_read_string(&p.gguf, "empty", &text, &error), 0);
        EXPECT_EQ(text.bytes, 0U);

        llx_gguf_array array = {};
        EXPECT_EQ(llx_gguf_read_array(&p.gguf, "strings", LLX_GGUF_STRING, &array, &error), 0);
        ASSERT_EQ(array.n, 3U);
        EXPECT_TRUE(llx_gguf_text_is(llx_gguf_next_string(&p.gguf, &array), "a"));
        EXPECT_TRUE(llx_gguf_text_is(llx_gguf_next_string(&p.gguf, &array), ""));
        EXPECT_TRUE(llx_gguf_text_is(llx_gguf_next_string(&p.gguf, &array), "ccc"));
        EXPECT_EQ(llx_gguf_read_array(&p.gguf, "none", LLX_GGUF_U64, &array, &error), 0);
        EXPECT_EQ(array.n, 0U);
        EXPECT_EQ(error.code, 0);
    }
}

TEST(Gguf, RefusesValuesOfAnotherType) {
    GgufWriter writer;
    writer.set("i8", std::int8_t{-5});
    writer.set("u64", ~std::uint64_t{0});
    writer.set("f64", 2.5);
    writer.set("array", std::vector<float>{1});
    const Parsed p(writer.bytes());
    ASSERT_EQ(p.code, 0) << p.error.text;
    const auto text_of = [&](auto read) {
        llx_error error = {};
        EXPECT_EQ(read(&error), -EINVAL);
        return std::string(error.text);
    };
    std::uint32_t value = 0;
    llx_f32 real = {};
    llx_gguf_array array = {};
    EXPECT_EQ(text_of([&](llx_error* e) { return llx_gguf_read_u32(&p.gguf, "i8", &value, e); }),
              "i8 is negative or larger than 4294967295 (at byte 24)");
    EXPECT_EQ(text_of([&](llx_error* e) { return llx_gguf_read_u32(&p.gguf, "u64", &value, e); }),
              "u64 is negative or larger than 4294967295 (at byte 39)");
    EXPECT_EQ(text_of([&](llx_error* e) { return llx_gguf_read_u32(&p.gguf, "f64", &value, e); }),
              "f64 is of type f64, not an integer (at byte 62)");
    EXPECT_EQ(text_of([&](llx_error* e) { return llx_gguf_read_f32(&p.gguf, "f64", &real, e); }),
              "f64 is of type f64, not f32 (at byte 62)");
    EXPECT_EQ(text_of([&](llx_error* e) {
                  return llx_gguf_read_array(&p.gguf, "array", LLX_GGUF_STRING, &array, e);
              }),
              "array has elements of type f32, not string (at byte 85)");
}

TEST(Gguf, PlacesTensors) {
    GgufWriter writer = small_file();
    writer.set_alignment(64);
    const Bytes file = writer.bytes();
    const Parsed p(file);
    ASSERT_EQ(p.code, 0) << p.error.text;
    EXPECT_EQ(p.gguf.alignment, 64U);
    const llx_gguf_tensor* first = llx_gguf_find_tensor(&p.gguf, "first");
    const llx_gguf_tensor* second = llx_gguf_find_tensor(&p.gguf, "second");
    ASSERT_NE(first, nullptr);
    ASSERT_NE(second, nullptr);
    EXPECT_EQ(llx_gguf_find_tensor(&p.gguf, "third"), nullptr);
    EXPECT_EQ(first->start, writer.metadata().size());
    EXPECT_EQ(first->start % 64, 0U);
    EXPECT_EQ(first->bytes, 64U);
    EXPECT_EQ(first->n_values, 16U);
    EXPECT_EQ(second->start, first->start + 64);
    EXPECT_EQ(second->bytes, 54U);
    EXPECT_EQ(second->start + second->bytes, file.size());
}

TEST(Gguf, RefusesWhatIsNotGguf) {
    expect_refused({}, -ENOEXEC, "not a GGUF file: it does not start with GGUF");
    expect_refused({'G', 'G', 'U'}, -ENOEXEC, "not a GGUF file: it does not start with GGUF");
    expect_refused({0x7f, 'E', 'L', 'F', 2, 1, 1, 0}, -ENOEXEC,
                   "not a GGUF file: it does not start with GGUF");
    expect_refused({'G', 'G', 'U', 'F', 3, 0, 0, 0, 1}, -EINVAL,
                   "the file ends inside the GGUF header (at byte 8)");
}

TEST(Gguf, RefusesVersionsByName) {
    expect_refused(GgufWriter(1).bytes(), -ENOEXEC,
                   "GGUF version 1 is not known: 2 and 3 are (at byte 4)");
    expect_refused(GgufWriter(4).bytes(), -ENOEXEC,
                   "GGUF version 4 is not known: 2 and 3 are (at byte 4)");
    expect_refused(GgufWriter(0).bytes(), -ENOEXEC,
                   "GGUF version 0 is not known: 2 and 3 are (at byte 4)");
    expect_refused(GgufWriter(0x03000000).bytes(), -ENOEXEC,
                   "a big-endian GGUF file: convert it to little-endian (at byte 4)");
}

TEST(Gguf, RefusesAbsurdCounts) {
    Bytes file = small_file().bytes();
    patch(file, 8, number(std::uint64_t{65537}));
    expect_refused(file, -EINVAL, "65537 tensors: at most 65536 are accepted (at byte 8)");
    patch(file, 8, number(std::uint64_t{1} << 63));
    expect_refused(file, -EINVAL,
                   "9223372036854775808 tensors: at most 65536 are accepted (at byte 8)");
    patch(file, 8, number(std::uint64_t{2}));
    patch(file, 16, number(~std::uint64_t{0}));
    expect_refused(file, -EINVAL,
                   "18446744073709551615 metadata keys: at most 16384 are accepted (at byte 16)");
    patch(file, 16, number(std::uint64_t{16384}));
    expect_refused(file, -EINVAL,
                   std::to_string(file.size()) +
                       " bytes are too few for 16384 metadata keys and 2 tensors (at byte 8)");
}

TEST(Gguf, RefusesDamagedKeys) {
    const auto with = [](std::uint32_t type, const Bytes& value) {
        GgufWriter writer;
        writer.set_raw("key", type, value);
        Bytes file = writer.bytes();
        file.resize(file.size() + 64);  // room, so that only the value is at fault
        return file;
    };
    expect_refused(with(13, zeros(8)), -EINVAL,
                   "metadata key key: unknown value type 13 (at byte 39)");
    expect_refused(with(7, {2}), -EINVAL, "metadata key key: a bool of value 2 (at byte 39)");
    Bytes array = number(std::uint32_t{7});
    put_number(array, std::uint64_t{3});
    array.insert(array.end(), {0, 1, 255});
    expect_refused(with(9, array), -EINVAL, "metadata key key: a bool of value 255 (at byte 39)");
    array = number(std::uint32_t{77});
    put_number(array, std::uint64_t{0});
    expect_refused(with(9, array), -EINVAL, "metadata key key: unknown value type 77 (at byte 39)");

    // Lengths that wrap around, or lead out of the file.
    for (const std::uint64_t n : {~std::uint64_t{0}, std::uint64_t{1} << 62, std::uint64_t{999}}) {
        const std::string text = "the file ends inside metadata key 0 of 1 (at byte 24)";
        for (const std::uint32_t element : {0U, 4U, 7U, 8U, 12U}) {
            array = number(element);
            put_number(array, n);
            expect_refused(with(9, array), -EINVAL, text);
        }
        expect_refused(with(8, number(n)), -EINVAL, text);
    }

    // Arrays in arrays: four are read, five are not.
    array.clear();
    for (int depth = 0; depth < 3; depth++) {
        put_number(array, std::uint32_t{9});
        put_number(array, std::uint64_t{1});
    }
    Bytes inner = number(std::uint32_t{4});
    put_number(inner, std::uint64_t{0});
    Bytes four = array;
    four.insert(four.end(), inner.begin(), inner.end());
    EXPECT_EQ(Parsed(with(9, four)).code, 0);
    put_number(array, std::uint32_t{9});
    put_number(array, std::uint64_t{1});
    array.insert(array.end(), inner.begin(), inner.end());
    expect_refused(with(9, array), -EINVAL,
                   "metadata key key: arrays in arrays, nested deeper than 4 (at byte 39)");

    // A key's name.
    GgufWriter empty;
    empty.set("", std::uint32_t{1});
    expect_refused(empty.bytes(), -EINVAL, "metadata key 0: a name of 0 bytes (at byte 24)");
    GgufWriter longest;
    longest.set(std::string(65535, 'k'), std::uint32_t{1});
    EXPECT_EQ(Parsed(longest.bytes()).code, 0);
    GgufWriter too_long;
    too_long.set(std::string(65536, 'k'), std::uint32_t{1});
    expect_refused(too_long.bytes(), -EINVAL, "metadata key 0: a name of 65536 bytes (at byte 24)");
    Bytes file = small_file().bytes();
    patch(file, 24, number(~std::uint64_t{0}));
    expect_refused(file, -EINVAL,
                   "metadata key 0: a name of 18446744073709551615 bytes (at byte 24)");

    GgufWriter twice;
    twice.set("a", std::uint32_t{1});
    twice.set("b\n", std::uint32_t{1});
    twice.add_raw("b\n", 4, number(std::uint32_t{1}));
    expect_refused(twice.bytes(), -EINVAL, "metadata key b? comes twice (at byte 59)");
}

TEST(Gguf, RefusesDamagedAlignment) {
    for (const std::uint32_t alignment : {0U, 3U, 48U, 1U << 21}) {
        GgufWriter writer;
        writer.set("general.alignment", alignment);
        expect_refused(writer.bytes(), -EINVAL,
                       "general.alignment is " + std::to_string(alignment) +
                           ": it must be a power of two up to 1048576 (at byte 53)");
    }
    GgufWriter writer;
    writer.set("general.alignment", "32");
    expect_refused(writer.bytes(), -EINVAL,
                   "general.alignment is of type string, not an integer (at byte 24)");
}

// The entry of the first tensor of a file without keys starts at byte 24.
Bytes with_tensor(const std::string& name, std::vector<std::uint64_t> dims, std::uint32_t type,
                  std::uint64_t offset = 0) {
    GgufWriter writer;
    writer.add_tensor(name, std::move(dims), type, zeros(256)).offset = offset;
    return writer.bytes();
}

TEST(Gguf, RefusesDamagedTensors) {
    constexpr std::uint64_t kHuge = std::uint64_t{1} << 32;
    EXPECT_EQ(Parsed(with_tensor("t", {8, 2, 2, 2}, LLX_TYPE_F32)).code, 0);
    expect_refused(with_tensor("", {8}, 0), -EINVAL, "tensor 0: a name of 0 bytes (at byte 24)");
    EXPECT_EQ(Parsed(with_tensor(std::string(64, 'n'), {8}, 0)).code, 0);
    expect_refused(with_tensor(std::string(65, 'n'), {8}, 0), -EINVAL,
                   "tensor 0: a name of 65 bytes (at byte 24)");
    expect_refused(with_tensor("t", {}, 0), -EINVAL,
                   "tensor t: 0 dimensions, 1 to 4 are accepted (at byte 24)");
    expect_refused(with_tensor("t", {1, 1, 1, 1, 1}, 0), -EINVAL,
                   "tensor t: 5 dimensions, 1 to 4 are accepted (at byte 24)");
    expect_refused(with_tensor("t", {8, 0}, 0), -EINVAL, "tensor t: dimension 1 is 0 (at byte 24)");
    expect_refused(with_tensor("t", {kHuge, kHuge}, 0), -EINVAL,
                   "tensor t: its shape overflows (at byte 24)");
    expect_refused(with_tensor("t", {kHuge, kHuge >> 1}, 0), -EINVAL,
                   "tensor t: its shape overflows (at byte 24)");
    expect_refused(with_tensor("t", {8}, 31337), -ENOEXEC,
                   "tensor t: type ? (31337) is not known (at byte 24)");
    expect_refused(with_tensor("t", {48}, LLX_TYPE_Q4_0), -EINVAL,
                   "tensor t: rows of 48 values are no whole Q4_0 blocks of 32 (at byte 24)");
    expect_refused(with_tensor("t", {8}, 0, 16), -EINVAL,
                   "tensor t: offset 16 is no multiple of 32 (at byte 24)");
    expect_refused(with_tensor("t", {8}, 0, ~std::uint64_t{0} - 31), -EINVAL,
                   "tensor t: its offset overflows (at byte 24)");
    expect_refused(with_tensor("t", {8}, 0, 256), -EINVAL,
                   "tensor t ends at byte 352 but the file has only 320 (at byte 24)");
    expect_refused(with_tensor("t", {65}, 0), -EINVAL,
                   "tensor t ends at byte 324 but the file has only 320 (at byte 24)");
    expect_refused(with_tensor("t\x01\xff", {0}, 0), -EINVAL,
                   "tensor t??: dimension 0 is 0 (at byte 24)");
}

TEST(Gguf, RefusesTensorsThatTouch) {
    GgufWriter writer = small_file();
    writer.tensor("second")->offset = 32;
    expect_refused(writer.bytes(), -EINVAL, "tensors first and second overlap (at byte 172)");
    writer.tensor("second")->offset = 0;
    EXPECT_EQ(Parsed(writer.bytes()).code, -EINVAL);
    // They may lie in any order.
    writer.tensor("first")->offset = 64;
    Bytes file = writer.bytes();
    file.resize(file.size() + 64);
    EXPECT_EQ(Parsed(file).code, 0);
    writer.tensor("second")->name = "first";
    file = writer.bytes();
    file.resize(file.size() + 64);
    expect_refused(file, -EINVAL, "tensor first comes twice (at byte 172)");
}

TEST(Gguf, RefusesAFileCutAnywhere) {
    const Bytes file = small_file().bytes();
    ASSERT_EQ(Parsed(file).code, 0);
    for (std::size_t n = 0; n < file.size(); n++) {
        const Bytes cut(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(n));
        const Parsed parsed(cut);
        EXPECT_TRUE(parsed.code == (n < 4 ? -ENOEXEC : -EINVAL)) << n << ' ' << parsed.code;
        EXPECT_EQ(parsed.error.code, parsed.code) << n;
        EXPECT_STRNE(parsed.error.text, "") << n;
    }
}

TEST(Gguf, GoesOnWhereTheBufferEnded) {
    GgufWriter writer = small_file();
    writer.set("nested", std::vector<std::vector<std::string>>{{"a", "b"}, {"c"}});
    const Bytes file = writer.bytes();
    Parsed p;
    std::size_t available = 0;
    int rounds = 0;
    while (p.parse(file, available, file.size()) == -EAGAIN) {
        ASSERT_EQ(p.error.code, 0);
        ASSERT_GT(p.gguf.needed, available);
        ASSERT_LE(p.gguf.needed, file.size());
        // One byte more than before: too little nearly always.
        available++;
        rounds++;
    }
    ASSERT_EQ(p.code, 0) << p.error.text;
    EXPECT_GT(rounds, 200);
    EXPECT_LE(available, writer.metadata().size());
    ASSERT_NE(llx_gguf_find_tensor(&p.gguf, "second"), nullptr);
    llx_gguf_text text = {};
    EXPECT_EQ(llx_gguf_read_string(&p.gguf, "general.architecture", &text, &p.error), 0);
    EXPECT_TRUE(llx_gguf_text_is(text, "llama"));
}

TEST(Gguf, SurvivesDamageAnywhere) {
    GgufWriter writer = small_file();
    writer.set("nested", std::vector<std::vector<std::string>>{{"a", "b"}, {"c"}});
    const Bytes file = writer.bytes();
    const std::size_t metadata = writer.metadata().size();
    std::mt19937 random(7);
    int accepted = 0;
    for (int round = 0; round < 20000; round++) {
        Bytes damaged = file;
        for (unsigned i = 0; i <= random() % 3; i++) {
            const std::size_t at = 4 + random() % (metadata - 4);
            damaged[at] = static_cast<std::uint8_t>(random() % 2 ? random() : 1U << random() % 8);
        }
        const Parsed p(damaged);
        if (p.code) {
            EXPECT_STRNE(p.error.text, "");
            EXPECT_EQ(std::strpbrk(p.error.text, "\n\r\x1b"), nullptr);
            continue;
        }
        accepted++;
        for (std::uint32_t i = 0; i < p.gguf.n_tensors; i++) {
            const llx_gguf_tensor& t = p.gguf.tensors[i];
            ASSERT_GE(t.start, p.gguf.tensor_data);
            ASSERT_LE(t.start, damaged.size());
            ASSERT_LE(t.bytes, damaged.size() - t.start);
        }
    }
    EXPECT_GT(accepted, 0);
    EXPECT_LT(accepted, 20000);
}

TEST(Gguf, SaysSoWhenThereIsNoMemory) {
    const Bytes file = small_file().bytes();
    for (std::uint64_t nth = 1; nth <= 2; nth++) {
        llx_alloc_fail_nth(nth);
        expect_refused(file, -ENOMEM, "no memory for 2 metadata keys and 2 tensors");
    }
    EXPECT_EQ(llx_alloc_fail_nth(0), 2U);
}

}  // namespace
