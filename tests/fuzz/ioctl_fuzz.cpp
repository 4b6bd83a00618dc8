// SPDX-License-Identifier: GPL-2.0-only
// Catches: a number or struct of an ioctl that is let through although what
// follows in the module relies on the contrary, and checks that read beyond
// what was copied. The input is the ioctl's number and what lies in user memory:
// the struct, as long as it claims to be, then what its pointers point to.
#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "fuzz/fuzz.hpp"
#include "llamux/telemetry.h"
#include "support/engine.hpp"
#include "uapi/llamux.h"

extern "C" {
#include "engine/snapshot.h"
}

namespace {

// User memory behind the struct.
struct Rest {
    const std::uint8_t* bytes;
    std::size_t size;
};

void check_number(u32 number, u32 command) {
    const u32 nr = _IOC_NR(number);
    if (command == 0) {
        return;
    }
    FUZZ_CHECK(_IOC_TYPE(number) == LLAMUX_IOC_MAGIC && nr >= 0x10 && nr <= 0x1b);
    FUZZ_CHECK(_IOC_NR(command) == nr && _IOC_TYPE(command) == LLAMUX_IOC_MAGIC);
    FUZZ_CHECK(_IOC_DIR(command) == _IOC_DIR(number));
    FUZZ_CHECK(llx_command_find(command) == command);
}

// Parameters that are let through make a sampler.
void check_params(const llamux_params& p) {
    llx_model model = {};
    model.hparams.n_vocab = 8;
    const llx_sampler_params params = {
        p.temperature_milli,    p.top_k,         p.top_p_milli, p.min_p_milli,
        p.repeat_penalty_milli, p.repeat_last_n, p.seed};
    llx_sampler sampler;
    FUZZ_CHECK(llx_sampler_init(&sampler, &model, &params) == 0);
    llx_sampler_destroy(&sampler);
    FUZZ_CHECK(p.format <= LLAMUX_FORMAT_ASK && (p.flags & ~1U) == 0 && p.reserved == 0);
}

// Phrases that are let through can be read one after another, to the last byte.
void check_score(const llamux_score& s, const Rest& rest) {
    FUZZ_CHECK(s.prompt_bytes >= 1 && s.prompt_bytes <= LLAMUX_PROMPT_MAX);
    FUZZ_CHECK(s.n_phrases >= 1 && s.n_phrases <= LLAMUX_MAX_CANDIDATES);
    if (s.phrases_bytes > rest.size) {
        return;  // a fault
    }
    const std::vector<char> phrases(rest.bytes, rest.bytes + s.phrases_bytes);
    if (llx_command_check_phrases(phrases.data(), s.phrases_bytes, s.n_phrases) != 0) {
        return;
    }
    const char* at = phrases.data();
    for (u32 i = 0; i < s.n_phrases; i++) {
        const std::size_t length = std::strlen(at);
        FUZZ_CHECK(length >= 1 && length < LLAMUX_PHRASE_MAX);
        at += length + 1;
    }
    FUZZ_CHECK(at == phrases.data() + phrases.size());
}

// Signals that are let through make a snapshot within its bounds. What user
// memory lacks of them is zero.
void check_signals(const Rest& rest) {
    // Large, and zero but for the signals: made once.
    static const auto reading = std::make_unique<llx_reading>();
    static const auto snapshot = std::make_unique<llamux_snapshot>();
    llamux_signals& signals = reading->signals;
    signals = {};
    std::memcpy(&signals, rest.bytes, std::min(rest.size, sizeof(signals)));
    signals.size = sizeof(signals);
    if (llx_signals_check(&signals) != 0) {
        return;
    }
    reading->has_signals = true;
    reading->time_ns = 1;
    llx_snapshot_make(nullptr, reading.get(), 2, 1, snapshot.get());
    FUZZ_CHECK(snapshot->n_groups <= LLAMUX_MAX_GROUPS);
}

void check_accepted(u32 command, const void* argument, const Rest& rest) {
    switch (command) {
        case LLAMUX_IOC_LOAD:
            FUZZ_CHECK(static_cast<const llamux_load*>(argument)->chat_template <
                       LLAMUX_N_TEMPLATES);
            break;
        case LLAMUX_IOC_SET_PARAMS:
            check_params(*static_cast<const llamux_params*>(argument));
            break;
        case LLAMUX_IOC_BIND: {
            const auto& bind = *static_cast<const llamux_bind*>(argument);
            FUZZ_CHECK((bind.cgroups_fd != -1) == (bind.system_fd != -1));
            break;
        }
        case LLAMUX_IOC_SNAPSHOT: {
            const auto& request = *static_cast<const llamux_snapshot_request*>(argument);
            FUZZ_CHECK(request.snapshot == 0 || request.snapshot_size == sizeof(llamux_snapshot));
            if (request.signals != 0) {
                check_signals(rest);
            }
            break;
        }
        case LLAMUX_IOC_ADVISE: {
            const auto& advice = *static_cast<const llamux_advice*>(argument);
            FUZZ_CHECK(advice.prompt == 0 || advice.prompt_size != 0);
            FUZZ_CHECK(advice.snapshot == 0 || advice.snapshot_size == sizeof(llamux_snapshot));
            FUZZ_CHECK((advice.flags & LLAMUX_ADVISE_LAST_SNAPSHOT) == 0 || advice.signals == 0);
            break;
        }
        case LLAMUX_IOC_SCORE:
            check_score(*static_cast<const llamux_score*>(argument), rest);
            break;
        case LLAMUX_IOC_EVAL: {
            const u32 bytes = static_cast<const llamux_eval*>(argument)->prompt_bytes;
            FUZZ_CHECK(bytes >= 1 && bytes <= LLAMUX_PROMPT_MAX);
            break;
        }
        default:
            break;
    }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    u32 number = 0;
    u32 claimed = 0;
    if (size < sizeof(number) + sizeof(claimed)) {
        return 0;
    }
    std::memcpy(&number, data, sizeof(number));
    const Rest user = {data + sizeof(number), size - sizeof(number)};
    std::memcpy(&claimed, user.bytes, sizeof(claimed));

    const u32 command = llx_command_find(number);
    check_number(number, command);
    const std::size_t ours = _IOC_SIZE(command);
    if (ours == 0) {
        return 0;  // nothing to copy: not a command, or CANCEL
    }
    const int size_code = llx_command_check_size(ours, claimed);
    FUZZ_CHECK((size_code == -EINVAL) == (claimed < ours));
    if (size_code != 0 || claimed > user.size) {
        return 0;
    }
    // A copy of exactly that size, so that a sanitizer sees the end.
    const std::unique_ptr<std::uint8_t[]> argument(new std::uint8_t[ours]);
    std::memcpy(argument.get(), user.bytes, ours);
    const int code = llx_command_check(command, argument.get());
    FUZZ_CHECK(code == 0 || code == -EINVAL || code == -E2BIG);
    if (code == 0) {
        check_accepted(command, argument.get(), {user.bytes + claimed, user.size - claimed});
    }
    return 0;
}
