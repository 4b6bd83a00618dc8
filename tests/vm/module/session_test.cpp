// SPDX-License-Identifier: GPL-2.0-only
//
// Catches sessions that block when they should not, lose or mix answers, or
// cannot be interrupted; and users that starve each other.
#include <sched.h>
#include <sys/resource.h>

#include <atomic>
#include <csignal>

#include "vm/module/device.hpp"

namespace llamux::vm {
namespace {

TEST(ModuleSession, AnswersAreReproducibleAndEndOnce) {
    const Module module("model=" + write_model("tiny", quick_model()));
    const Device device;
    EXPECT_EQ(device.answer(), "");  // nothing was asked
    device.set_greedy(16);
    ASSERT_EQ(device.prompt("hello there"), 0);
    const std::string first = device.answer();
    EXPECT_FALSE(first.empty());
    EXPECT_EQ(device.answer(), "");
    const Device other;
    other.set_greedy(16);
    ASSERT_EQ(other.prompt("something else"), 0);
    other.answer();
    ASSERT_EQ(other.prompt("hello there"), 0);  // on a context that was used
    EXPECT_EQ(other.answer(), first);

    llamux_params params = device.params();
    params.temperature_milli = 1000;
    params.seed = 42;
    ASSERT_EQ(device.call(LLAMUX_IOC_SET_PARAMS, &params), 0);
    ASSERT_EQ(device.prompt("hello there"), 0);
    const std::string sampled = device.answer();
    ASSERT_EQ(device.prompt("hello there"), 0);
    EXPECT_EQ(device.answer(), sampled);
    params.seed = 43;
    ASSERT_EQ(device.call(LLAMUX_IOC_SET_PARAMS, &params), 0);
    ASSERT_EQ(device.prompt("hello there"), 0);
    EXPECT_NE(device.answer(), sampled);
}

TEST(ModuleSession, SmallReadsGetTheSameBytes) {
    const Module module("model=" + write_model("tiny", quick_model()));
    const Device device;
    device.set_greedy(32);
    ASSERT_EQ(device.prompt("hello"), 0);
    const std::string whole = device.answer();
    ASSERT_EQ(device.prompt("hello"), 0);
    std::string bytes;
    char byte = 0;
    while (read(device.fd(), &byte, 1) == 1)
        bytes += byte;
    EXPECT_EQ(bytes, whole);
}

TEST(ModuleSession, StreamsBeforeTheAnswerIsComplete) {
    const Module module("n_ctx=0 model=" + write_model("slow", slow_model()));
    const Device device;
    device.set_greedy(0);
    ASSERT_EQ(device.prompt("hello"), 0);
    char buffer[64];
    EXPECT_GT(read(device.fd(), buffer, sizeof(buffer)), 0);
    EXPECT_EQ(proc_values("status")["state"], "busy");
    ASSERT_EQ(ioctl(device.fd(), LLAMUX_IOC_CANCEL), 0);
    int error = 0;
    device.answer(&error);
    EXPECT_EQ(error, ECANCELED);
    device.answer(&error);  // told once
    EXPECT_EQ(error, 0);
}

TEST(ModuleSession, PollAndNonBlocking) {
    const Module module("n_ctx=0 model=" + write_model("slow", slow_model()));
    const Device device(O_RDWR | O_NONBLOCK);
    device.set_greedy(0);
    EXPECT_EQ(device.poll(POLLIN | POLLOUT, 0), POLLOUT);
    ASSERT_EQ(device.prompt(std::string(20, 'x')), 0);
    char buffer[64];
    EXPECT_EQ(read(device.fd(), buffer, sizeof(buffer)), -1);
    EXPECT_EQ(errno, EAGAIN);
    EXPECT_EQ(device.poll(POLLIN, 60000), POLLIN);
    EXPECT_GT(read(device.fd(), buffer, sizeof(buffer)), 0);
    ASSERT_EQ(ioctl(device.fd(), LLAMUX_IOC_CANCEL), 0);
    EXPECT_TRUE(eventually([&] {
        return device.poll(POLLIN, 0) & POLLERR || read(device.fd(), buffer, sizeof(buffer)) == 0;
    }));
    int error = 0;
    device.answer(&error);
    EXPECT_EQ(error, ECANCELED);
    EXPECT_EQ(device.poll(POLLIN | POLLOUT, 0), POLLOUT);

    device.set_greedy(1);
    ASSERT_EQ(device.prompt("hello"), 0);
    EXPECT_TRUE(eventually([&] { return device.poll(POLLIN, 1000) == POLLIN; }));
}

TEST(ModuleSession, ASignalInterruptsARead) {
    const Module module("n_ctx=0 model=" + write_model("slow", slow_model()));
    const Device device;
    device.set_greedy(0);
    struct sigaction action {};
    action.sa_handler = [](int) {};  // no SA_RESTART
    ASSERT_EQ(sigaction(SIGUSR1, &action, nullptr), 0);
    ASSERT_EQ(device.prompt(std::string(1500, 'x')), 0);
    std::atomic<bool> back{false};
    int error = 0;
    std::thread reader([&] {
        char buffer[8];
        error = read(device.fd(), buffer, sizeof(buffer)) < 0 ? errno : 0;
        back = true;
    });
    EXPECT_TRUE(eventually([&] {
        pthread_kill(reader.native_handle(), SIGUSR1);
        return back.load();
    }));
    reader.join();
    EXPECT_EQ(error, EINTR);
}

TEST(ModuleSession, ASignalCancelsACall) {
    const Module module("n_ctx=0 model=" + write_model("slow", slow_model()));
    struct sigaction action {};
    action.sa_handler = [](int) {};
    ASSERT_EQ(sigaction(SIGUSR1, &action, nullptr), 0);
    const Device device;
    const std::string text(1800, 'x');
    std::vector<std::uint32_t> logits(300);
    llamux_eval eval = {.size = sizeof(eval),
                        .prompt = reinterpret_cast<std::uint64_t>(text.data()),
                        .prompt_bytes = 1800,
                        .n_logits = 300,
                        .logits = reinterpret_cast<std::uint64_t>(logits.data())};
    std::atomic<bool> back{false};
    int error = 0;
    std::thread caller([&] {
        error = device.call(LLAMUX_IOC_EVAL, &eval);
        back = true;
    });
    EXPECT_TRUE(eventually([&] {
        pthread_kill(caller.native_handle(), SIGUSR1);
        return back.load();
    }));
    caller.join();
    EXPECT_EQ(error, EINTR);

    // CANCEL reaches a call, too.
    back = false;
    std::thread again([&] {
        error = device.call(LLAMUX_IOC_EVAL, &eval);
        back = true;
    });
    EXPECT_TRUE(eventually([&] {
        ioctl(device.fd(), LLAMUX_IOC_CANCEL);
        return back.load();
    }));
    again.join();
    EXPECT_EQ(error, ECANCELED);
}

TEST(ModuleSession, KilledInMidAnswer) {
    const Module module("n_ctx=0 model=" + write_model("slow", slow_model()));
    const Device watcher;
    for (int i = 0; i < 5; ++i) {
        int ready[2];
        ASSERT_EQ(pipe(ready), 0);
        const pid_t child = fork();
        if (child == 0) {
            const Device device;
            device.set_greedy(0);
            if (device.prompt("hello"))
                _exit(1);
            char buffer[8];
            while (read(device.fd(), buffer, sizeof(buffer)) > 0) {
                if (write(ready[1], "x", 1) < 0)
                    break;
            }
            _exit(0);
        }
        char byte = 0;
        EXPECT_EQ(read(ready[0], &byte, 1), 1);
        kill(child, SIGKILL);
        EXPECT_EQ(waitpid(child, nullptr, 0), child);
        EXPECT_TRUE(eventually([&] { return read_stats(watcher).n_sessions == 1; }));
        close(ready[0]);
        close(ready[1]);
    }
    EXPECT_EQ(proc_number("status", "session_bytes"), 0u);
    EXPECT_EQ(read_stats(watcher).requests_cancelled, 5u);
}

TEST(ModuleSession, KillingTheInferenceThreadCancelsTheRequest) {
    const Module module("n_ctx=0 model=" + write_model("slow", slow_model()));
    const pid_t thread = request_thread();
    ASSERT_GT(thread, 0);
    EXPECT_EQ(getpriority(PRIO_PROCESS, thread), 19);
    EXPECT_EQ(sched_getscheduler(thread), SCHED_OTHER);
    const Device device;
    device.set_greedy(0);
    ASSERT_EQ(device.prompt("hello"), 0);
    char byte = 0;
    ASSERT_EQ(read(device.fd(), &byte, 1), 1);
    ASSERT_EQ(kill(thread, SIGKILL), 0);
    int error = 0;
    device.answer(&error);
    EXPECT_EQ(error, ECANCELED);
    device.set_greedy(2);
    ASSERT_EQ(device.prompt("hello"), 0);  // the thread lives on
    EXPECT_FALSE(device.answer().empty());
}

TEST(ModuleSession, PromptsThatAreRefused) {
    const Module module("model=" + write_model("tiny", quick_model()));
    const Device device;
    device.set_greedy(8);
    EXPECT_EQ(device.prompt(std::string(1 << 20, 'a')), E2BIG);
    EXPECT_EQ(device.prompt(std::string(LLAMUX_PROMPT_MAX + 1, 'a')), E2BIG);
    EXPECT_EQ(device.prompt(std::string(LLAMUX_PROMPT_MAX, 'a')), E2BIG);  // the context
    for (const char* bad :
         {"\xff", "a\x80", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82"})
        EXPECT_EQ(device.prompt(bad), EILSEQ) << bad;
    EXPECT_EQ(device.answer(), "");
    EXPECT_EQ(device.prompt("caf\xc3\xa9 \xf0\x9f\xa6\x99"), 0);
    EXPECT_FALSE(device.answer().empty());

    llamux_params params = device.params();
    params.format = LLAMUX_FORMAT_ASK;
    ASSERT_EQ(device.call(LLAMUX_IOC_SET_PARAMS, &params), 0);
    EXPECT_EQ(device.prompt("what is wrong?"), ENODATA);  // no snapshot
}

TEST(ModuleSession, ControlTokensAreNotParsedFromText) {
    const Module module("model=" + write_model("tiny", quick_model()));
    const Device device;
    for (const std::string text : {"</s>", "<s>", "<|user|>", "a</s>b", "<unk>"}) {
        std::vector<std::uint32_t> logits(300);
        std::vector<std::int32_t> tokens(128);
        llamux_eval eval = {.size = sizeof(eval),
                            .prompt = reinterpret_cast<std::uint64_t>(text.data()),
                            .prompt_bytes = static_cast<std::uint32_t>(text.size()),
                            .n_logits = 300,
                            .logits = reinterpret_cast<std::uint64_t>(logits.data()),
                            .tokens = reinterpret_cast<std::uint64_t>(tokens.data()),
                            .n_tokens = 128};
        ASSERT_EQ(device.call(LLAMUX_IOC_EVAL, &eval), 0);
        ASSERT_GT(eval.n_tokens, 1u);
        EXPECT_EQ(tokens[0], 1);  // bos, and only there
        for (std::uint32_t i = 1; i < eval.n_tokens; ++i)
            EXPECT_GT(tokens[i], 2) << text;
        eval.n_logits = 299;
        EXPECT_EQ(device.call(LLAMUX_IOC_EVAL, &eval), EINVAL);
        eval.n_logits = 300;
        eval.n_tokens = 1;
        EXPECT_EQ(device.call(LLAMUX_IOC_EVAL, &eval), E2BIG);
    }
}

TEST(ModuleSession, TheAnswerIsValidUtf8) {
    const Module module("n_ctx=0 model=" + write_model("tiny", quick_model()));
    const Device device;
    device.set_greedy(100);
    ASSERT_EQ(device.prompt("x"), 0);
    const std::string answer = device.answer();
    ASSERT_FALSE(answer.empty());
    std::ofstream("/tmp/answer", std::ios::binary) << answer;
    EXPECT_EQ(std::system("iconv -f UTF-8 -t UTF-8 /tmp/answer >/dev/null"), 0);
}

TEST(ModuleSession, KeepContextContinues) {
    const Module module("model=" + write_model("tiny", quick_model()));
    const Device device;
    device.set_greedy(6);
    ASSERT_EQ(device.prompt("hello"), 0);
    const std::string fresh = device.answer();
    llamux_params params = device.params();
    params.flags = LLAMUX_PARAM_KEEP_CONTEXT;
    ASSERT_EQ(device.call(LLAMUX_IOC_SET_PARAMS, &params), 0);
    ASSERT_EQ(device.prompt("hello"), 0);
    EXPECT_NE(device.answer(), fresh);  // it follows another hello
    int error = 0;
    for (int i = 0; i < 40 && !error; ++i) {
        error = device.prompt("hello hello");
        if (!error)
            device.answer();
    }
    EXPECT_EQ(error, E2BIG);  // full at last
    params.flags = 0;
    ASSERT_EQ(device.call(LLAMUX_IOC_SET_PARAMS, &params), 0);
    ASSERT_EQ(device.prompt("hello"), 0);
    EXPECT_EQ(device.answer(), fresh);
}

TEST(ModuleSession, ANewPromptReplacesTheAnswer) {
    const Module module("n_ctx=0 model=" + write_model("slow", slow_model()));
    const Device device;
    device.set_greedy(0);
    ASSERT_EQ(device.prompt("hello"), 0);
    char byte = 0;
    ASSERT_EQ(read(device.fd(), &byte, 1), 1);
    device.set_greedy(3);
    ASSERT_EQ(device.prompt("there"), 0);
    const std::string replaced = device.answer();
    ASSERT_EQ(device.prompt("there"), 0);
    EXPECT_EQ(device.answer(), replaced);
}

TEST(ModuleSession, TimeoutsEndWaitingAndRunning) {
    const Module module("n_ctx=0 model=" + write_model("slow", slow_model()));
    const Device running;
    running.set_greedy(0, 3000);
    ASSERT_EQ(running.prompt("hello"), 0);
    const Device waiting;
    waiting.set_greedy(4, 200);
    ASSERT_EQ(waiting.prompt("hello"), 0);
    int error = 0;
    EXPECT_EQ(waiting.answer(&error), "");
    EXPECT_EQ(error, ETIMEDOUT);
    running.answer(&error);
    EXPECT_EQ(error, ETIMEDOUT);
    EXPECT_EQ(read_stats(running).requests_failed, 2u);
}

// One user with many prompts delays another by one of them at most.
TEST(ModuleSession, UsersTakeTurns) {
    const Module module("n_ctx=0 model=" + write_model("slow", slow_model()));
    std::vector<Device> many(8);
    for (const Device& device : many) {
        device.set_greedy(2);
        ASSERT_EQ(device.prompt(std::string(10, 'x')), 0);
    }
    const int result = as_user(1000, [] {
        const Device device;
        device.set_greedy(2);
        int error = device.prompt(std::string(10, 'y'));
        if (!error && device.answer(&error).empty())
            return 1;
        return error ? 2 : 0;
    });
    EXPECT_EQ(result, 0);
    int unfinished = 0;
    for (const Device& device : many)
        unfinished += device.poll(POLLIN, 0) == 0;
    EXPECT_GE(unfinished, 4);
    for (const Device& device : many)
        device.answer();
}

// Contexts of half the length, so that 18 fit in a user's share of the memory.
TEST(ModuleSession, TheQueueIsBounded) {
    const Module module("n_ctx=1024 model=" + write_model("slow", slow_model()));
    std::vector<Device> waiting;
    int error = 0;
    for (int i = 0; i < 40 && !error; ++i) {
        waiting.emplace_back(O_RDWR | O_NONBLOCK);
        waiting.back().set_greedy(0);
        error = waiting.back().prompt("hello");
    }
    EXPECT_EQ(error, EAGAIN);
    EXPECT_EQ(waiting.back().poll(POLLOUT, 0), 0);
    EXPECT_GE(waiting.size(), 17u);
    EXPECT_LE(waiting.size(), 18u);

    // Blocking: a writer gets its place when one becomes free.
    std::atomic<bool> written{false};
    std::thread writer([&] {
        const Device device;
        device.set_greedy(1);
        EXPECT_EQ(device.prompt("hello"), 0);
        written = true;
    });
    std::this_thread::sleep_for(200ms);
    EXPECT_FALSE(written);
    for (const Device& device : waiting)
        ioctl(device.fd(), LLAMUX_IOC_CANCEL);
    EXPECT_TRUE(eventually([&] { return written.load(); }));
    writer.join();
}

}  // namespace
}  // namespace llamux::vm
