// SPDX-License-Identifier: GPL-2.0-only
//
// Catches an allocation of the module whose failure is not told as ENOMEM,
// takes the model or a session with it, leaks, or crashes. Needs a kernel that
// fails allocations on demand (CONFIG_FAULT_INJECTION, /proc/PID/fail-nth), so
// it runs in the User Mode Linux only.
#include <sys/mman.h>

#include <array>

#include "vm/module/advice.hpp"
#include "vm/module/memory.hpp"

namespace llamux::vm {
namespace {

// Lets an allocation of a thread fail: slab, pages, and so vmalloc.
class FailingAllocation {
  public:
    // 0: of the calling thread.
    explicit FailingAllocation(pid_t thread)
        : file_(open_file(thread ? "/proc/" + std::to_string(thread) + "/fail-nth"
                                 : "/proc/thread-self/fail-nth",
                          O_RDWR)) {
        for (const char* name : {"failslab/ignore-gfp-wait", "fail_page_alloc/ignore-gfp-wait",
                                 "fail_page_alloc/ignore-gfp-highmem"})
            set(name, "N");
        set("fail_page_alloc/min-order", "0");
        set("failslab/verbose", "0");
        set("fail_page_alloc/verbose", "0");
        EXPECT_GE(file_.get(), 0) << "a kernel without CONFIG_FAULT_INJECTION";
    }

    void arm(unsigned nth) const { write_number(nth); }

    // True: it came to that allocation, and it failed.
    [[nodiscard]] bool disarm() const {
        char left[16] = "";
        EXPECT_GT(pread(file_.get(), left, sizeof(left) - 1, 0), 0);
        write_number(0);
        return std::atoi(left) == 0;
    }

  private:
    Fd file_;

    static void set(const std::string& name, const char* value) {
        const Fd file = open_file("/sys/kernel/debug/" + name, O_WRONLY);
        EXPECT_EQ(write(file.get(), value, 1), 1) << name;
    }

    void write_number(unsigned number) const {
        char text[16];
        const int n = std::snprintf(text, sizeof(text), "%u", number);
        EXPECT_EQ(pwrite(file_.get(), text, static_cast<std::size_t>(n), 0), n);
    }
};

struct Faults {
    unsigned failed = 0;  // allocations that did
    unsigned told = 0;    // of them, those that the call reported; others had another way
};

// Calls it until none of its allocations in that thread is left to fail: each of
// the first 200, then one in every eighth of the way.
Faults each_allocation_fails(pid_t thread, const std::function<int()>& call,
                             const std::function<void()>& works_again) {
    Faults faults;
    const FailingAllocation allocation(thread);
    for (unsigned nth = 1;; nth += nth < 200 ? 1 : nth / 8) {
        allocation.arm(nth);
        const int error = call();
        if (!allocation.disarm()) {
            EXPECT_EQ(error, 0) << std::strerror(error) << " without a failed allocation";
            return faults;
        }
        faults.failed++;
        faults.told += error != 0;
        EXPECT_TRUE(error == 0 || error == ENOMEM)
            << "allocation " << nth << ": " << std::strerror(error);
        works_again();
        if (testing::Test::HasFailure())
            return faults;
    }
}

class ModuleFault : public testing::Test {
  protected:
    // What the tests themselves need from the kernel they have already.
    static void SetUpTestSuite() { ASSERT_EQ(mlockall(MCL_CURRENT), 0); }

    // An answer, into memory that is there.
    int ask(const Device& device) {
        if (const int error = device.prompt("hello"))
            return error;
        ssize_t n;
        answer_bytes_ = 0;
        while ((n = read(device.fd(), answer_.data(), answer_.size())) > 0)
            answer_bytes_ += static_cast<std::size_t>(n);
        return n < 0 ? errno : 0;
    }

    // Of a file's own session, which begins and ends here.
    int ask_file(const char* path, std::string_view text) {
        const int fd = open(path, (text.empty() ? O_RDONLY : O_RDWR) | O_CLOEXEC);
        if (fd < 0)
            return errno;
        int error = 0;
        if (write(fd, text.data(), text.size()) < 0 && !text.empty())
            error = errno;
        if (!error && read(fd, answer_.data(), answer_.size()) < 0)
            error = errno;
        close(fd);
        return error;
    }

    void expect_answer(const Device& device) {
        EXPECT_EQ(ask(device), 0);
        EXPECT_GT(answer_bytes_, 0u);
    }

    std::array<char, 4096> answer_{};
    std::size_t answer_bytes_ = 0;
};

TEST_F(ModuleFault, Insertion) {
    const std::string parameters = "model=" + write_model("tiny", quick_model());
    const Fd file = open_file(std::getenv("LLAMUX_KO"));
    const auto in_and_out = [&] {
        if (syscall(SYS_finit_module, file.get(), parameters.c_str(), 0) == 0)
            return rmmod();
        return errno;
    };
    ASSERT_EQ(in_and_out(), 0);
    const long before = settled_kib();
    const Faults faults = each_allocation_fails(0, in_and_out, [] {});
    EXPECT_GT(faults.told, 20u);
    EXPECT_LT(settled_kib() - before, 256);
    const Module module(parameters);
    expect_answer(Device());
}

TEST_F(ModuleFault, Loading) {
    const std::string first = write_model("first", quick_model(1));
    const std::string second = write_model("second", quick_model(2));
    const Module module("model=" + first);
    const Device device;
    device.set_greedy(4);
    expect_answer(device);
    const Fd file = open_file(second);
    llamux_load load{};
    const auto swap = [&] {
        load = {.size = sizeof(load), .fd = file.get()};
        return device.call(LLAMUX_IOC_LOAD, &load);
    };
    ASSERT_EQ(swap(), 0);
    const auto generation = [&] {
        llamux_model_info info = {.size = sizeof(info)};
        EXPECT_EQ(device.call(LLAMUX_IOC_MODEL_INFO, &info), 0);
        return info.generation;
    };
    std::uint32_t known = generation();
    const long before = settled_kib();
    const Faults faults = each_allocation_fails(0, swap, [&] {
        // Loaded in spite of it, or the old one is still there.
        const std::uint32_t now = generation();
        EXPECT_TRUE(now == known || now == known + 1);
        known = now;
        expect_answer(device);
    });
    EXPECT_GT(faults.told, 5u);
    EXPECT_LT(settled_kib() - before, 256);
}

TEST_F(ModuleFault, SessionAndAnswer) {
    const Module module("model=" + write_model("tiny", quick_model()));
    for (const pid_t thread : {pid_t{0}, request_thread()}) {
        const Device healthy;
        healthy.set_greedy(4);
        expect_answer(healthy);
        const long before = settled_kib();
        const Faults faults = each_allocation_fails(
            thread, [&] { return ask_file(LLAMUX_DEVICE, "hello"); },
            [&] { expect_answer(healthy); });
        EXPECT_GT(faults.told, 0u) << (thread ? "request thread" : "caller");
        EXPECT_LT(settled_kib() - before, 256);
    }
}

TEST_F(ModuleFault, EachRequest) {
    test::TinyModel model = quick_model();
    model.n_ctx = 4096;  // its vocabulary is bytes: prompts are long
    const Module module("n_ctx=0 model=" + write_model("long", model));
    const Device device;
    const Device other;
    device.set_greedy(2);
    expect_answer(device);

    llamux_model_info info = {.size = sizeof(info)};
    ASSERT_EQ(device.call(LLAMUX_IOC_MODEL_INFO, &info), 0);
    std::vector<std::uint32_t> logits(info.n_vocab);
    std::vector<std::int32_t> tokens(info.n_ctx);
    const char phrases[] = "one\0two";
    const auto signals = some_signals();
    Advice advice;
    give_trouble(device, advice, 0);

    const auto address = [](const void* pointer) {
        return reinterpret_cast<std::uint64_t>(pointer);
    };
    llamux_eval eval{};
    llamux_score score{};
    llamux_snapshot_request snapshot{};
    const std::map<std::string, std::function<int()>> calls = {
        {"eval",
         [&] {
             eval = {.size = sizeof(eval),
                     .prompt = address("hello"),
                     .prompt_bytes = 5,
                     .n_logits = info.n_vocab,
                     .logits = address(logits.data()),
                     .tokens = address(tokens.data()),
                     .n_tokens = info.n_ctx};
             return device.call(LLAMUX_IOC_EVAL, &eval);
         }},
        {"score",
         [&] {
             score = {.size = sizeof(score),
                      .prompt = address("hello"),
                      .phrases = address(phrases),
                      .prompt_bytes = 5,
                      .phrases_bytes = sizeof(phrases),
                      .n_phrases = 2};
             return device.call(LLAMUX_IOC_SCORE, &score);
         }},
        // On another session: that one's last snapshot is what advice is asked about.
        {"snapshot",
         [&] {
             snapshot = {.size = sizeof(snapshot), .signals = address(signals.get())};
             return other.call(LLAMUX_IOC_SNAPSHOT, &snapshot);
         }},
        {"advise", [&] { return advice.ask(device, LLAMUX_ADVISE_LAST_SNAPSHOT, nullptr); }},
        {"proc/prompt", [&] { return ask_file("/proc/llamux/prompt", "hello"); }},
        {"proc/status", [&] { return ask_file("/proc/llamux/status", ""); }},
    };
    for (const auto& [name, call] : calls) {
        SCOPED_TRACE(name);
        ASSERT_EQ(call(), 0);
        const long before = settled_kib();
        const Faults faults = each_allocation_fails(0, call, [&] { expect_answer(device); });
        std::cout << name << ": " << faults.failed << " allocations failed, " << faults.told
                  << " were told\n";
        EXPECT_GT(faults.told, 0u);
        EXPECT_LT(settled_kib() - before, 256);
    }
}

}  // namespace
}  // namespace llamux::vm
