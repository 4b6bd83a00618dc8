// SPDX-License-Identifier: GPL-2.0-only
// Catches: a field of an ioctl's struct that is not checked, checked against the
// wrong bound, or refused with the wrong errno. What is expected is what
// include/uapi/llamux.h promises; tests/vm/module asks the module itself.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "llamux/telemetry.h"
#include "support/engine.hpp"
#include "uapi/llamux.h"

namespace {

using std::string_literals::operator""s;

constexpr u32 kCommands[] = {LLAMUX_IOC_VERSION,    LLAMUX_IOC_LOAD,       LLAMUX_IOC_MODEL_INFO,
                             LLAMUX_IOC_GET_PARAMS, LLAMUX_IOC_SET_PARAMS, LLAMUX_IOC_STATS,
                             LLAMUX_IOC_BIND,       LLAMUX_IOC_SNAPSHOT,   LLAMUX_IOC_ADVISE,
                             LLAMUX_IOC_SCORE,      LLAMUX_IOC_EVAL};

// The number of the same command with a struct of another size.
u32 renumber(u32 number, u32 size) {
    return (number & ~(u32{_IOC_SIZEMASK} << _IOC_SIZESHIFT)) | size << _IOC_SIZESHIFT;
}

TEST(Command, IsFoundWhateverTheSizeOfItsStruct) {
    for (const u32 number : kCommands) {
        for (const u32 size :
             {0U, 4U, u32{_IOC_SIZE(number)}, u32{_IOC_SIZE(number)} + 64, u32{_IOC_SIZEMASK}}) {
            EXPECT_EQ(llx_command_find(renumber(number, size)), number) << std::hex << number;
        }
    }
    EXPECT_EQ(llx_command_find(LLAMUX_IOC_CANCEL), u32{LLAMUX_IOC_CANCEL});
}

TEST(Command, OfAnotherKindIsNotFound) {
    const std::set<u32> known(std::begin(kCommands), std::end(kCommands));
    for (u32 nr = 0; nr <= _IOC_NRMASK; nr++) {
        for (u32 dir = 0; dir <= _IOC_DIRMASK; dir++) {
            const u32 number = _IOC(dir, LLAMUX_IOC_MAGIC, nr, 0);
            const u32 found = llx_command_find(number);
            if (found != 0) {
                EXPECT_EQ(_IOC_NR(found), nr);
                EXPECT_EQ(_IOC_DIR(found), dir);
                EXPECT_TRUE(known.count(found) != 0 || found == LLAMUX_IOC_CANCEL);
            }
            EXPECT_EQ(llx_command_find(_IOC(dir, LLAMUX_IOC_MAGIC + 1, nr, 0)), 0U);
            EXPECT_EQ(llx_command_find(_IOC(dir, 0, nr, 0)), 0U);
        }
    }
    EXPECT_EQ(llx_command_find(_IO(LLAMUX_IOC_MAGIC, 0x10)), 0U);
    EXPECT_EQ(llx_command_find(_IOR(LLAMUX_IOC_MAGIC, 0x10, llamux_version)), 0U);
    EXPECT_EQ(llx_command_find(renumber(LLAMUX_IOC_CANCEL, 4)), 0U);
    EXPECT_EQ(llx_command_find(0), 0U);
    EXPECT_EQ(llx_command_find(~0U), 0U);
}

TEST(Command, SizesOfStructsHaveBounds) {
    EXPECT_EQ(llx_command_check_size(16, 0), -EINVAL);
    EXPECT_EQ(llx_command_check_size(16, 15), -EINVAL);
    EXPECT_EQ(llx_command_check_size(16, 16), 0);
    EXPECT_EQ(llx_command_check_size(16, 17), 0);
    EXPECT_EQ(llx_command_check_size(16, 65536), 0);
    EXPECT_EQ(llx_command_check_size(16, 65537), -E2BIG);
    EXPECT_EQ(llx_command_check_size(16, ~0U), -E2BIG);
}

TEST(Command, TextsHaveALength) {
    EXPECT_EQ(llx_command_check_text(0, 8), -EINVAL);
    EXPECT_EQ(llx_command_check_text(1, 8), 0);
    EXPECT_EQ(llx_command_check_text(8, 8), 0);
    EXPECT_EQ(llx_command_check_text(9, 8), -E2BIG);
    // A write(2) longer than 4 GiB is not cut to what fits.
    EXPECT_EQ(llx_command_check_text((u64{1} << 32) + 1, 8), -E2BIG);
}

// What the check says of `request`, which is valid, once `change` was made.
template <typename Request, typename Change>
int checked(u32 command, Request request, Change change) {
    EXPECT_EQ(llx_command_check(command, &request), 0);
    change(request);
    return llx_command_check(command, &request);
}

TEST(Command, Version) {
    const auto check = [](auto change) {
        return checked(LLAMUX_IOC_VERSION, llamux_version{}, change);
    };
    EXPECT_EQ(check([](auto& v) { v.abi = v.telemetry_schema = ~0U; }), 0);  // outputs
    EXPECT_EQ(check([](auto& v) { v.reserved = 1; }), -EINVAL);
}

TEST(Command, Load) {
    const auto check = [](auto change) { return checked(LLAMUX_IOC_LOAD, llamux_load{}, change); };
    EXPECT_EQ(check([](auto& l) { l.fd = -1; }), 0);  // -EBADF comes from elsewhere
    EXPECT_EQ(check([](auto& l) { std::memset(l.error, 'x', sizeof(l.error)); }), 0);
    EXPECT_EQ(check([](auto& l) { l.chat_template = LLAMUX_N_TEMPLATES - 1; }), 0);
    EXPECT_EQ(check([](auto& l) { l.chat_template = LLAMUX_N_TEMPLATES; }), -EINVAL);
    EXPECT_EQ(check([](auto& l) { l.chat_template = ~0U; }), -EINVAL);
    EXPECT_EQ(check([](auto& l) { l.flags = 1; }), -EINVAL);
    EXPECT_EQ(check([](auto& l) { l.flags = 1U << 31; }), -EINVAL);
}

TEST(Command, WithOutputsOnlyTakesAnything) {
    llamux_model_info info;
    llamux_params params;
    llamux_stats stats;
    std::memset(&info, 0xff, sizeof(info));
    std::memset(&params, 0xff, sizeof(params));
    std::memset(&stats, 0xff, sizeof(stats));
    EXPECT_EQ(llx_command_check(LLAMUX_IOC_MODEL_INFO, &info), 0);
    EXPECT_EQ(llx_command_check(LLAMUX_IOC_GET_PARAMS, &params), 0);
    EXPECT_EQ(llx_command_check(LLAMUX_IOC_STATS, &stats), 0);
    EXPECT_EQ(llx_command_check(LLAMUX_IOC_CANCEL, nullptr), 0);
}

TEST(Command, Params) {
    const auto check = [](auto change) {
        llamux_params params{};
        params.top_p_milli = 1000;
        params.repeat_penalty_milli = 1000;
        return checked(LLAMUX_IOC_SET_PARAMS, params, change);
    };
    EXPECT_EQ(check([](auto& p) { p.format = LLAMUX_FORMAT_ASK; }), 0);
    EXPECT_EQ(check([](auto& p) { p.format = LLAMUX_FORMAT_ASK + 1; }), -EINVAL);
    EXPECT_EQ(check([](auto& p) { p.temperature_milli = 5000; }), 0);
    EXPECT_EQ(check([](auto& p) { p.temperature_milli = 5001; }), -EINVAL);
    EXPECT_EQ(check([](auto& p) { p.top_p_milli = 1; }), 0);
    EXPECT_EQ(check([](auto& p) { p.top_p_milli = 0; }), -EINVAL);
    EXPECT_EQ(check([](auto& p) { p.top_p_milli = 1001; }), -EINVAL);
    EXPECT_EQ(check([](auto& p) { p.min_p_milli = 1000; }), 0);
    EXPECT_EQ(check([](auto& p) { p.min_p_milli = 1001; }), -EINVAL);
    EXPECT_EQ(check([](auto& p) { p.repeat_penalty_milli = 2000; }), 0);
    EXPECT_EQ(check([](auto& p) { p.repeat_penalty_milli = 999; }), -EINVAL);
    EXPECT_EQ(check([](auto& p) { p.repeat_penalty_milli = 2001; }), -EINVAL);
    EXPECT_EQ(check([](auto& p) { p.repeat_last_n = LLX_SAMPLER_HISTORY; }), 0);
    EXPECT_EQ(check([](auto& p) { p.repeat_last_n = LLX_SAMPLER_HISTORY + 1; }), -EINVAL);
    EXPECT_EQ(check([](auto& p) { p.flags = LLAMUX_PARAM_KEEP_CONTEXT; }), 0);
    EXPECT_EQ(check([](auto& p) { p.flags = 2; }), -EINVAL);
    EXPECT_EQ(check([](auto& p) { p.reserved = 1; }), -EINVAL);
    EXPECT_EQ(check([](auto& p) {
                  p.max_tokens = p.top_k = p.timeout_ms = ~0U;
                  p.seed = ~u64{0};
              }),
              0);
}

TEST(Command, Bind) {
    const auto check = [](auto change) { return checked(LLAMUX_IOC_BIND, llamux_bind{}, change); };
    EXPECT_EQ(check([](auto& b) { b.cgroups_fd = b.system_fd = -1; }), 0);
    EXPECT_EQ(check([](auto& b) { b.cgroups_fd = -1; }), -EINVAL);
    EXPECT_EQ(check([](auto& b) { b.system_fd = -1; }), -EINVAL);
    EXPECT_EQ(check([](auto& b) { b.cgroups_fd = -2; }), 0);  // -EBADF comes from elsewhere
    EXPECT_EQ(check([](auto& b) { b.reserved = 1; }), -EINVAL);
}

TEST(Command, Snapshot) {
    const auto check = [](auto change) {
        return checked(LLAMUX_IOC_SNAPSHOT, llamux_snapshot_request{}, change);
    };
    EXPECT_EQ(check([](auto& s) { s.signals = ~u64{0}; }), 0);
    EXPECT_EQ(check([](auto& s) { s.snapshot_size = 8; }), 0);  // of nothing
    EXPECT_EQ(check([](auto& s) { s.snapshot = 4096; }), -EINVAL);
    for (const int off : {-1, 0, 1}) {
        EXPECT_EQ(check([off](auto& s) {
                      s.snapshot = 4096;
                      s.snapshot_size = sizeof(llamux_snapshot) + off;
                  }),
                  off ? -EINVAL : 0);
    }
    EXPECT_EQ(check([](auto& s) {
                  s.snapshot = 4096;
                  s.snapshot_size = sizeof(llamux_snapshot) + (u64{1} << 32);
              }),
              -EINVAL);
    EXPECT_EQ(check([](auto& s) { s.flags = 1; }), -EINVAL);
}

TEST(Command, Advise) {
    const auto check = [](auto change) {
        return checked(LLAMUX_IOC_ADVISE, llamux_advice{}, change);
    };
    EXPECT_EQ(check([](auto& a) { a.flags = LLAMUX_ADVISE_RULES_ONLY; }), 0);
    EXPECT_EQ(check([](auto& a) { a.flags = LLAMUX_ADVISE_LAST_SNAPSHOT; }), 0);
    EXPECT_EQ(check([](auto& a) { a.flags = 4; }), -EINVAL);
    EXPECT_EQ(check([](auto& a) { a.signals = 4096; }), 0);
    EXPECT_EQ(check([](auto& a) {
                  a.signals = 4096;
                  a.flags = LLAMUX_ADVISE_LAST_SNAPSHOT;
              }),
              -EINVAL);
    EXPECT_EQ(check([](auto& a) { a.snapshot = 4096; }), -EINVAL);
    EXPECT_EQ(check([](auto& a) {
                  a.snapshot = 4096;
                  a.snapshot_size = sizeof(llamux_snapshot);
              }),
              0);
    EXPECT_EQ(check([](auto& a) { a.prompt = 4096; }), -EINVAL);
    EXPECT_EQ(check([](auto& a) {
                  a.prompt = 4096;
                  a.prompt_size = ~u64{0};
              }),
              0);
    EXPECT_EQ(check([](auto& a) { a.ranked_by = a.n_facts = a.chosen = ~0U; }), 0);  // outputs
}

TEST(Command, Score) {
    const auto check = [](auto change) {
        llamux_score score{};
        score.prompt_bytes = 1;
        score.phrases_bytes = 1;
        score.n_phrases = 1;
        return checked(LLAMUX_IOC_SCORE, score, change);
    };
    EXPECT_EQ(check([](auto& s) { s.n_phrases = LLAMUX_MAX_CANDIDATES; }), 0);
    EXPECT_EQ(check([](auto& s) { s.n_phrases = 0; }), -EINVAL);
    EXPECT_EQ(check([](auto& s) { s.n_phrases = LLAMUX_MAX_CANDIDATES + 1; }), -EINVAL);
    EXPECT_EQ(check([](auto& s) { s.prompt_bytes = LLAMUX_PROMPT_MAX; }), 0);
    EXPECT_EQ(check([](auto& s) { s.prompt_bytes = 0; }), -EINVAL);
    EXPECT_EQ(check([](auto& s) { s.prompt_bytes = LLAMUX_PROMPT_MAX + 1; }), -E2BIG);
    constexpr u32 kPhrases = LLAMUX_MAX_CANDIDATES * LLAMUX_PHRASE_MAX;
    EXPECT_EQ(check([](auto& s) { s.phrases_bytes = kPhrases; }), 0);
    EXPECT_EQ(check([](auto& s) { s.phrases_bytes = 0; }), -EINVAL);
    EXPECT_EQ(check([](auto& s) { s.phrases_bytes = kPhrases + 1; }), -E2BIG);
    EXPECT_EQ(check([](auto& s) { s.flags = 1; }), -EINVAL);
    EXPECT_EQ(check([](auto& s) { s.reserved = 1; }), -EINVAL);
}

TEST(Command, Eval) {
    const auto check = [](auto change) {
        llamux_eval eval{};
        eval.prompt_bytes = 1;
        return checked(LLAMUX_IOC_EVAL, eval, change);
    };
    EXPECT_EQ(check([](auto& e) { e.prompt_bytes = LLAMUX_PROMPT_MAX; }), 0);
    EXPECT_EQ(check([](auto& e) { e.prompt_bytes = 0; }), -EINVAL);
    EXPECT_EQ(check([](auto& e) { e.prompt_bytes = LLAMUX_PROMPT_MAX + 1; }), -E2BIG);
    EXPECT_EQ(check([](auto& e) { e.n_logits = e.n_tokens = ~0U; }), 0);  // the model decides
    EXPECT_EQ(check([](auto& e) { e.flags = 1; }), -EINVAL);
    EXPECT_EQ(check([](auto& e) { e.reserved = 1; }), -EINVAL);
}

TEST(Command, PhrasesAreEndedByNuls) {
    const auto check = [](const std::string& phrases, u32 n) {
        // A copy of exactly that size, so that a sanitizer sees the end.
        const std::vector<char> copy(phrases.begin(), phrases.end());
        return llx_command_check_phrases(copy.data(), static_cast<u32>(copy.size()), n);
    };
    EXPECT_EQ(check("ab\0cd\0"s, 2), 0);
    EXPECT_EQ(check("ab\0cd"s, 2), -EINVAL);    // no last NUL
    EXPECT_EQ(check("ab\0cd\0"s, 1), -EINVAL);  // one too many
    EXPECT_EQ(check("ab\0cd\0"s, 3), -EINVAL);  // one too few
    EXPECT_EQ(check("ab\0\0"s, 2), -EINVAL);    // an empty one
    EXPECT_EQ(check("\0ab\0"s, 2), -EINVAL);
    EXPECT_EQ(check("ab\0cd\0\0"s, 2), -EINVAL);
    EXPECT_EQ(check(""s, 1), -EINVAL);
    EXPECT_EQ(check("\0"s, 1), -EINVAL);
    EXPECT_EQ(check(std::string(LLAMUX_PHRASE_MAX - 1, 'a') + '\0', 1), 0);
    EXPECT_EQ(check(std::string(LLAMUX_PHRASE_MAX, 'a') + '\0', 1), -EINVAL);
}

}  // namespace
