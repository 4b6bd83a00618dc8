// SPDX-License-Identifier: GPL-2.0-only
//
// Catches advice that is given without evidence, that the agent cannot match
// with the snapshot it was made from, or that fails without a model. What the
// detectors find is tests/unit's business.
#include "vm/module/advice.hpp"

#include <sys/mman.h>
#include <sys/resource.h>

#include <atomic>
#include <memory>

#include "vm/module/memory.hpp"

namespace llamux::vm {
namespace {

TEST(ModuleAdvice, SnapshotsAreNumberedPerSession) {
    const Module module;
    const auto signals = some_signals();
    for (int session = 0; session < 2; ++session) {
        const Device device;
        auto snapshot = std::make_unique<llamux_snapshot>();
        llamux_snapshot_request request = {
            .size = sizeof(request),
            .signals = reinterpret_cast<std::uint64_t>(signals.get()),
            .snapshot = reinterpret_cast<std::uint64_t>(snapshot.get()),
            .snapshot_size = sizeof(*snapshot)};
        for (std::uint64_t i = 1; i <= 3; ++i) {
            ASSERT_EQ(device.call(LLAMUX_IOC_SNAPSHOT, &request), 0);
            EXPECT_EQ(snapshot->schema, static_cast<unsigned>(LLAMUX_TELEMETRY_SCHEMA));
            EXPECT_EQ(snapshot->sequence, i);
            EXPECT_EQ(snapshot->flags & LLAMUX_SNAPSHOT_FIRST, i == 1 ? 1u : 0u);
            EXPECT_TRUE(snapshot->flags & LLAMUX_SNAPSHOT_NO_MAPS);
            EXPECT_EQ(snapshot->signals.n_cpus, 2u);
        }
        request.signals = 0;
        ASSERT_EQ(device.call(LLAMUX_IOC_SNAPSHOT, &request), 0);
        EXPECT_TRUE(snapshot->flags & LLAMUX_SNAPSHOT_NO_SIGNALS);
    }
}

TEST(ModuleAdvice, MalformedSignalsAreRefused) {
    const Module module;
    const Device device;
    auto signals = some_signals();
    llamux_snapshot_request request = {.size = sizeof(request),
                                       .signals = reinterpret_cast<std::uint64_t>(signals.get())};
    signals->size = 8;
    EXPECT_EQ(device.call(LLAMUX_IOC_SNAPSHOT, &request), EINVAL);
    signals = some_signals();
    request.signals = reinterpret_cast<std::uint64_t>(signals.get());
    signals->n_groups = LLAMUX_MAX_GROUPS + 1;
    EXPECT_EQ(device.call(LLAMUX_IOC_SNAPSHOT, &request), EINVAL);
    request.signals = 8;
    EXPECT_EQ(device.call(LLAMUX_IOC_SNAPSHOT, &request), EFAULT);
    llamux_bind bind = {.size = sizeof(bind), .cgroups_fd = 0, .system_fd = 0};
    EXPECT_EQ(device.call(LLAMUX_IOC_BIND, &bind), EINVAL);  // no map
    bind.cgroups_fd = -1;
    EXPECT_EQ(device.call(LLAMUX_IOC_BIND, &bind), EINVAL);  // one of two
    bind.cgroups_fd = bind.system_fd = -1;
    EXPECT_EQ(device.call(LLAMUX_IOC_BIND, &bind), 0);
}

TEST(ModuleAdvice, NothingIsWrong) {
    const Module module;
    const Device device;
    const auto signals = some_signals();
    Advice advice;
    EXPECT_EQ(advice.ask(device, LLAMUX_ADVISE_LAST_SNAPSHOT, nullptr), ENODATA);
    EXPECT_EQ(advice.ask(device, LLAMUX_ADVISE_LAST_SNAPSHOT, signals.get()), EINVAL);
    ASSERT_EQ(advice.ask(device, 0, signals.get()), 0);
    EXPECT_EQ(advice.advice.snapshot_sequence, 1u);
    EXPECT_EQ(advice.snapshot->sequence, 1u);
    EXPECT_EQ(advice.advice.ranked_by, static_cast<unsigned>(LLAMUX_RANKED_BY_NOTHING));
    EXPECT_EQ(advice.advice.n_facts, 0u);
    EXPECT_EQ(advice.advice.n_candidates, 1u);
    EXPECT_EQ(advice.text[0], '\0');
    // The same snapshot again, not a new window.
    ASSERT_EQ(advice.ask(device, LLAMUX_ADVISE_LAST_SNAPSHOT, nullptr), 0);
    EXPECT_EQ(advice.advice.snapshot_sequence, 1u);
}

TEST(ModuleAdvice, RulesDecideWithoutAModel) {
    const Module module;
    const Device device;
    Advice advice;
    give_trouble(device, advice, 0);
    EXPECT_EQ(advice.advice.ranked_by, static_cast<unsigned>(LLAMUX_RANKED_BY_RULES));
    EXPECT_EQ(advice.advice.chosen, 0u);
}

TEST(ModuleAdvice, TheModelRanksAndAnswersQuestions) {
    test::TinyModel model = quick_model();
    model.n_ctx = 4096;  // its vocabulary is bytes: prompts are long
    const Module module("n_ctx=0 model=" + write_model("long", model));
    const Device device;
    Advice advice;
    give_trouble(device, advice, 0);
    EXPECT_EQ(advice.advice.ranked_by, static_cast<unsigned>(LLAMUX_RANKED_BY_MODEL));
    EXPECT_GT(advice.advice.n_prompt_tokens, 10u);
    EXPECT_GT(advice.advice.rank_ns, 0u);
    EXPECT_GT(std::strlen(advice.text.c_str()), 10u);
    std::uint32_t permille = 0;
    for (std::uint32_t i = 0; i < advice.advice.n_candidates; ++i)
        permille += advice.advice.candidates[i].probability_permille;
    EXPECT_EQ(permille, 1000u);

    // The same snapshot gives the same ranking; rules only, on demand.
    const llamux_advice first = advice.advice;
    ASSERT_EQ(advice.ask(device, LLAMUX_ADVISE_LAST_SNAPSHOT, nullptr), 0);
    EXPECT_EQ(std::memcmp(first.candidates, advice.advice.candidates, sizeof(first.candidates)), 0);
    ASSERT_EQ(advice.ask(device, LLAMUX_ADVISE_LAST_SNAPSHOT | LLAMUX_ADVISE_RULES_ONLY, nullptr),
              0);
    EXPECT_EQ(advice.advice.ranked_by, static_cast<unsigned>(LLAMUX_RANKED_BY_RULES));

    EXPECT_FALSE(ask_about_machine(device).empty());
    EXPECT_EQ(device.prompt(std::string(2000, 'a')), E2BIG);
    // Who keeps it talking about the machine keeps it busy, too.
    int window = 3;
    EXPECT_TRUE(eventually([&] {
        EXPECT_FALSE(ask_about_machine(device).empty());
        return advice.ask(device, LLAMUX_ADVISE_RULES_ONLY, trouble(window++).get()) == 0 &&
               advice.snapshot->inference_permille > 0;
    }));
}

// Takes memory until no more than that is available.
class MemoryHog {
  public:
    explicit MemoryHog(long leave_kib) {
        while (meminfo_kib({"MemAvailable:"}) > leave_kib && parts_.size() < 1000) {
            void* part = mmap(nullptr, kPart, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
            if (part == MAP_FAILED)
                break;
            parts_.push_back(part);
        }
    }
    ~MemoryHog() {
        for (void* part : parts_)
            munmap(part, kPart);
    }
    MemoryHog(const MemoryHog&) = delete;
    MemoryHog& operator=(const MemoryHog&) = delete;

  private:
    static constexpr std::size_t kPart = 4 << 20;
    std::vector<void*> parts_;
};

// A cache of 128 MiB for each session, and 48 MiB left: a user gets none, who
// looks after the machine has his already.
TEST(ModuleAdvice, TheAdministratorIsAnsweredWithoutMemory) {
    test::TinyModel model = quick_model();
    model.n_ctx = 64 << 10;
    model.n_layer = 8;
    model.n_head_kv = 4;
    const Module module("n_ctx=0 model=" + write_model("wide", model));
    const Device device;
    Advice advice;
    give_trouble(device, advice, LLAMUX_ADVISE_RULES_ONLY);
    const Device user;
    user.set_greedy(2);
    {
        const MemoryHog hog(48 << 10);
        EXPECT_EQ(user.prompt("hello"), ENOMEM);
        ASSERT_EQ(advice.ask(device, LLAMUX_ADVISE_LAST_SNAPSHOT, nullptr), 0);
        EXPECT_EQ(advice.advice.ranked_by, static_cast<unsigned>(LLAMUX_RANKED_BY_MODEL));
        EXPECT_FALSE(ask_about_machine(device).empty());
    }
    EXPECT_EQ(user.prompt("hello"), 0);
    EXPECT_FALSE(user.answer().empty());
}

// Users' long answers are under way and waiting, on threads that only take what
// is left of the CPU: an administrator does not wait behind all of that.
TEST(ModuleAdvice, TheAdministratorIsFirstAndInAHurry) {
    test::TinyModel model = quick_model();
    model.n_ctx = 4096;
    const Module module("n_ctx=0 model=" + write_model("long", model));
    const Device device;
    Advice advice;
    give_trouble(device, advice, LLAMUX_ADVISE_RULES_ONLY);

    std::vector<Device> users(3);
    for (const Device& user : users) {
        user.set_greedy(1000);
        ASSERT_EQ(user.prompt("hello"), 0);
    }
    char byte = 0;
    ASSERT_EQ(read(users[0].fd(), &byte, 1), 1);
    const pid_t thread = request_thread();
    EXPECT_EQ(getpriority(PRIO_PROCESS, thread), 19);

    std::atomic<int> error{-1};
    std::thread administrator(
        [&] { error = advice.ask(device, LLAMUX_ADVISE_LAST_SNAPSHOT, nullptr); });
    EXPECT_TRUE(eventually([&] { return getpriority(PRIO_PROCESS, thread) == 0; }));
    EXPECT_EQ(error, -1) << "the user's answer is under way still, but at nice 0";
    administrator.join();
    EXPECT_EQ(error, 0);
    EXPECT_EQ(advice.advice.ranked_by, static_cast<unsigned>(LLAMUX_RANKED_BY_MODEL));
    EXPECT_TRUE(eventually([&] { return getpriority(PRIO_PROCESS, thread) == 19; }));
    EXPECT_EQ(users[2].poll(POLLIN, 0), 0) << "the last user's turn came before";
    // What that window had of inference was the users', not the ranking's.
    ASSERT_EQ(advice.ask(device, LLAMUX_ADVISE_RULES_ONLY, trouble(3).get()), 0);
    const std::uint32_t users_permille = advice.snapshot->inference_permille;
    EXPECT_GT(users_permille, 0u);
    for (const Device& user : users)
        ioctl(user.fd(), LLAMUX_IOC_CANCEL);
    EXPECT_TRUE(eventually([&] { return proc_values("status")["state"] == "idle"; }));
    ASSERT_EQ(advice.ask(device, LLAMUX_ADVISE_RULES_ONLY, trouble(4).get()), 0);
    ASSERT_EQ(advice.ask(device, LLAMUX_ADVISE_LAST_SNAPSHOT, nullptr), 0);  // ranks
    ASSERT_EQ(advice.ask(device, LLAMUX_ADVISE_RULES_ONLY, trouble(5).get()), 0);
    EXPECT_LT(advice.snapshot->inference_permille, users_permille / 2) << "a ranking is no prompt";
}

// A context too small for the prompt: an error, and the rules still answer.
TEST(ModuleAdvice, AModelThatCannotRankSaysSo) {
    const Module module("model=" + write_model("tiny", quick_model()));
    const Device device;
    Advice advice;
    ASSERT_EQ(advice.ask(device, LLAMUX_ADVISE_RULES_ONLY, trouble(1).get()), 0);
    std::this_thread::sleep_for(1s);
    EXPECT_EQ(advice.ask(device, 0, trouble(2).get()), E2BIG);
    ASSERT_EQ(advice.ask(device, LLAMUX_ADVISE_LAST_SNAPSHOT | LLAMUX_ADVISE_RULES_ONLY, nullptr),
              0);
    EXPECT_EQ(advice.advice.snapshot_sequence, 2u);
    EXPECT_GT(advice.advice.n_facts, 0u);
}

}  // namespace
}  // namespace llamux::vm
