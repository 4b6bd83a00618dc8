// SPDX-License-Identifier: GPL-2.0-only
// Catches: a snapshot, of which nothing is vouched for, that makes detection,
// candidates, prompt or scoring crash, or break what their headers promise. The
// input is a byte, of which the lowest bit asks for a model's ranking, and
// changes (see change_snapshot) of a noisy neighbour's snapshot.
#include <algorithm>
#include <cstddef>
#include <cstring>
#include <iterator>

#include "fuzz/fuzz.hpp"
#include "support/snapshots.hpp"
#include "support/tiny_model.hpp"

namespace {

using llamux::test::Bytes;
using llamux::test::SnapshotBuilder;
using llamux::test::TinyModel;

constexpr std::size_t kTextBytes = LLX_PROMPT_TEXT;

// Of each knob, from the table.
struct Range {
    std::uint64_t min;
    std::uint64_t max;
};
#define ROW(id, phrase, file, unit, min, max, ...) {min, max},
constexpr Range kRanges[] = {LLAMUX_ACTIONS(ROW)};
#undef ROW

// Three bytes each: which 64-bit word of the first groups, or of all before
// them, and its value: one of a few odd ones, or the byte moved up.
void change_snapshot(SnapshotBuilder& snapshot, const std::uint8_t* data, std::size_t size) {
    constexpr std::size_t kWords =
        (offsetof(llamux_snapshot, groups) + 4 * sizeof(llamux_group_snapshot)) / 8;
    auto* words = reinterpret_cast<unsigned char*>(&*snapshot);
    for (; size >= 3; data += 3, size -= 3) {
        const std::size_t at = (data[0] + 256U * data[1]) % kWords;
        const std::uint64_t odd[] = {0, 1, LLAMUX_UNKNOWN, LLAMUX_NO_LIMIT, ~std::uint64_t{0} >> 1};
        const std::uint64_t value =
            data[2] < std::size(odd) ? odd[data[2]] : std::uint64_t{data[2]} << (data[1] >> 2);
        std::memcpy(words + 8 * at, &value, sizeof(value));
    }
    snapshot->n_groups = std::min<std::uint32_t>(snapshot->n_groups, LLAMUX_MAX_GROUPS);
}

void check_facts(const llamux_advice& advice) {
    FUZZ_CHECK(advice.n_facts <= LLAMUX_MAX_FACTS);
    for (std::uint32_t i = 0; i < advice.n_facts; i++) {
        const llamux_fact& fact = advice.facts[i];
        FUZZ_CHECK(fact.cause > LLAMUX_CAUSE_NONE && fact.cause < LLAMUX_N_CAUSES);
        FUZZ_CHECK(fact.level >= 1 && fact.level <= 3);
        FUZZ_CHECK(fact.n_evidence >= 1 && fact.n_evidence <= LLAMUX_EVIDENCE_MAX);
    }
}

void check_change(const llamux_snapshot* snapshot, const llamux_candidate& candidate) {
    FUZZ_CHECK(candidate.kind > LLAMUX_ACTION_NONE && candidate.kind < LLAMUX_N_ACTIONS);
    FUZZ_CHECK(candidate.value_new >= kRanges[candidate.kind].min);
    FUZZ_CHECK(candidate.value_new <= kRanges[candidate.kind].max);
    FUZZ_CHECK(candidate.value_old != candidate.value_new);
    FUZZ_CHECK((candidate.direction == LLAMUX_LOWER) ==
               (candidate.value_new < candidate.value_old));
    const llamux_group_snapshot* group = llx_measure_group(snapshot, candidate.cgroup_id);
    if (group != nullptr) {
        FUZZ_CHECK((group->signals.flags & LLAMUX_GROUP_SELF) == 0);
        FUZZ_CHECK((group->signals.flags & LLAMUX_GROUP_PROTECTED) == 0 ||
                   candidate.direction != LLAMUX_LOWER);
    }
}

void check_candidates(const llamux_snapshot* snapshot, const llamux_advice& advice) {
    FUZZ_CHECK(advice.n_candidates >= 1 && advice.n_candidates <= LLAMUX_MAX_CANDIDATES);
    FUZZ_CHECK(advice.chosen < advice.n_candidates);
    for (std::uint32_t i = 0; i < advice.n_candidates; i++) {
        const llamux_candidate& candidate = advice.candidates[i];
        FUZZ_CHECK(std::memchr(candidate.phrase, '\0', sizeof(candidate.phrase)) != nullptr);
        FUZZ_CHECK(std::strchr(candidate.phrase, '?') == nullptr);
        for (std::uint32_t k = 0; k < i; k++) {
            FUZZ_CHECK(std::strcmp(candidate.phrase, advice.candidates[k].phrase) != 0);
        }
        if (i + 1 < advice.n_candidates) {
            check_change(snapshot, candidate);
        } else {
            FUZZ_CHECK(candidate.kind == LLAMUX_ACTION_NONE);
        }
    }
}

// "No number and no name of the machine ever enters."
void check_prompt(const llamux_snapshot* snapshot, const llamux_advice& advice) {
    static char text[kTextBytes];
    llx_prompt prompt;
    llx_letters letters;
    llx_letters_assign(&letters, advice.facts, advice.n_facts);
    for (std::uint32_t format = 0; format < LLX_N_PROMPT_FORMATS; format++) {
        llx_prompt_init(&prompt, text, sizeof(text));
        FUZZ_CHECK(llx_prompt_advise(&prompt, static_cast<llx_prompt_format>(format), snapshot,
                                     advice.facts, advice.n_facts, nullptr, &letters) == 0);
        FUZZ_CHECK(std::strlen(text) == prompt.bytes);
        FUZZ_CHECK(
            std::none_of(text, text + prompt.bytes, [](char c) { return c >= '0' && c <= '9'; }));
    }
}

// Of its own task, and with phrases that its context holds.
class Ranker {
  public:
    Ranker() {
        TinyModel tiny;
        tiny.n_ctx = 4096;
        tiny.n_layer = 1;
        tiny.n_embd = 32;
        tiny.n_head = 2;
        tiny.n_ff = 32;
        for (const char* word : {"lower ", "raise ", "the ", "cpu ", "memory ", "weight ", "group ",
                                 "limit ", "free ", "page ", "reserve ", "of ", "protection "}) {
            tiny.vocab.add(word, -1, 4);
        }
        auto writer = tiny.build();
        writer.set("llamux.prompt_format", "pilot");
        file_ = writer.bytes();
        const llx_reader reader{this, file_.size(), read};
        llx_error error = {};
        FUZZ_CHECK(llx_model_load(&model_, &reader, llx_kernels_select(0, "generic"),
                                  &llx_exec_inline, 0, LLX_PROMPT_BY_FILE, &error) == 0);
        FUZZ_CHECK(llx_context_init(&context, model_, &llx_exec_inline, tiny.n_ctx) == 0);
    }
    ~Ranker() {
        llx_context_destroy(&context);
        llx_model_free(model_);
    }
    Ranker(const Ranker&) = delete;
    Ranker& operator=(const Ranker&) = delete;

    llx_context context = {};

  private:
    static int read(void* self, u64 offset, void* buffer, std::size_t bytes) {
        std::memcpy(buffer, static_cast<Ranker*>(self)->file_.data() + offset, bytes);
        return 0;
    }

    Bytes file_;
    llx_model* model_ = nullptr;
};

void check_ranking(const llamux_snapshot* snapshot, llamux_advice& advice) {
    static Ranker ranker;
    const llamux_advice before = advice;
    const int code = llx_advise_rank(&ranker.context, snapshot, &advice, nullptr, 0);
    if (code != 0) {
        FUZZ_CHECK(code == -E2BIG);
        FUZZ_CHECK(std::memcmp(&before, &advice, sizeof(advice)) == 0);
        return;
    }
    check_candidates(snapshot, advice);
    if (advice.ranked_by != LLAMUX_RANKED_BY_MODEL) {
        return;
    }
    std::uint32_t sum = 0;
    for (std::uint32_t i = 0; i < advice.n_candidates; i++) {
        FUZZ_CHECK(advice.candidates[i].score <= 0);
        sum += advice.candidates[i].probability_permille;
    }
    FUZZ_CHECK(sum <= 1000 + advice.n_candidates && sum + advice.n_candidates >= 1000);
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) {
        return 0;
    }
    SnapshotBuilder snapshot = SnapshotBuilder::noisy_neighbour();
    llx_baseline baseline;
    llx_baseline_init(&baseline);
    change_snapshot(snapshot, data + 1, size - 1);
    llamux_advice advice = {};
    llx_advise_detect(snapshot.get(), &baseline, &advice);
    check_facts(advice);
    check_candidates(snapshot.get(), advice);
    check_prompt(snapshot.get(), advice);
    if (data[0] % 2 != 0) {
        check_ranking(snapshot.get(), advice);
    }
    return 0;
}
