// SPDX-License-Identifier: GPL-2.0-only
//
// Catches a change of the ABI that nobody meant: a field that moved, a padding
// hole, a command that got another number.
#include <gtest/gtest.h>

#include <cstddef>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>

#include "llamux/telemetry.h"
#include "uapi/llamux.h"

extern "C" unsigned long abi_c_sees_advice_bytes();
extern "C" unsigned long abi_cpp_sees_advice_bytes();

namespace llamux {
namespace {

struct Row {
    std::string type;
    std::string field;  // empty: the struct itself
    std::size_t offset;
    std::size_t bytes;
    std::size_t pinned_offset;
    std::size_t pinned_bytes;
};

const Row kRows[] = {
#define SIZE(type, size) {#type, "", 0, sizeof(type), 0, size},
#define FIELD(type, field, place, size) \
    {#type, #field, offsetof(type, field), sizeof(type::field), place, size},
#include "layout.inc"
#undef SIZE
#undef FIELD
};

TEST(AbiLayout, EveryFieldIsWhereItWas) {
    for (const Row& row : kRows) {
        EXPECT_EQ(row.offset, row.pinned_offset) << row.type << "." << row.field;
        EXPECT_EQ(row.bytes, row.pinned_bytes) << row.type << "." << row.field;
    }
}

// No hidden padding: it would leak kernel memory, or be checked by nobody.
TEST(AbiLayout, FieldsFillTheirStructs) {
    std::map<std::string, std::size_t> filled;
    std::map<std::string, std::size_t> size;
    for (const Row& row : kRows)
        (row.field.empty() ? size : filled)[row.type] += row.bytes;
    EXPECT_EQ(filled, size);
}

TEST(AbiLayout, EveryStructOfTheHeadersIsPinned) {
    std::set<std::string> pinned;
    for (const Row& row : kRows)
        pinned.insert(row.type);
    std::set<std::string> declared;
    for (const char* header : {"uapi/llamux.h", "llamux/telemetry.h"}) {
        std::ifstream file(std::string(LLAMUX_INCLUDE_DIR "/") + header);
        std::stringstream text;
        text << file.rdbuf();
        const std::string content = text.str();
        const std::regex pattern("struct (llamux_\\w+) \\{");
        for (std::sregex_iterator match(content.begin(), content.end(), pattern), end; match != end;
             ++match)
            declared.insert((*match)[1]);
    }
    EXPECT_EQ(declared, pinned);
}

TEST(AbiLayout, CommandsKeepTheirNumbers) {
    struct {
        const char* name;
        unsigned long number;
        unsigned long pinned;
    } const commands[] = {
        {"LLAMUX_IOC_VERSION", LLAMUX_IOC_VERSION, 0xc010b710},
        {"LLAMUX_IOC_LOAD", LLAMUX_IOC_LOAD, 0xc0d0b711},
        {"LLAMUX_IOC_MODEL_INFO", LLAMUX_IOC_MODEL_INFO, 0xc148b712},
        {"LLAMUX_IOC_GET_PARAMS", LLAMUX_IOC_GET_PARAMS, 0xc038b713},
        {"LLAMUX_IOC_SET_PARAMS", LLAMUX_IOC_SET_PARAMS, 0x4038b714},
        {"LLAMUX_IOC_STATS", LLAMUX_IOC_STATS, 0xc060b715},
        {"LLAMUX_IOC_BIND", LLAMUX_IOC_BIND, 0x4010b716},
        {"LLAMUX_IOC_SNAPSHOT", LLAMUX_IOC_SNAPSHOT, 0x4020b717},
        {"LLAMUX_IOC_ADVISE", LLAMUX_IOC_ADVISE, 0xc7e0b718},
        {"LLAMUX_IOC_SCORE", LLAMUX_IOC_SCORE, 0xc088b719},
        {"LLAMUX_IOC_EVAL", LLAMUX_IOC_EVAL, 0xc030b71a},
        {"LLAMUX_IOC_CANCEL", LLAMUX_IOC_CANCEL, 0x0000b71b},
    };
    for (const auto& command : commands)
        EXPECT_EQ(command.number, command.pinned) << command.name;
}

TEST(AbiLayout, VersionsOfThisLayout) {
    EXPECT_EQ(LLAMUX_ABI_VERSION, 2);
    EXPECT_EQ(LLAMUX_TELEMETRY_SCHEMA, 2);
    EXPECT_EQ(abi_c_sees_advice_bytes(), abi_cpp_sees_advice_bytes());
}

}  // namespace
}  // namespace llamux
