// SPDX-License-Identifier: GPL-2.0-only
//
// Catches memory that stays behind after unloading, unloading that hangs or
// pulls code away from under a caller, CPUs that cannot leave, and files below
// /proc that tell one user about another.
#include <sched.h>
#include <sys/stat.h>

#include <atomic>

#include "vm/module/device.hpp"
#include "vm/module/memory.hpp"

namespace llamux::vm {
namespace {

std::string read_prompt(const Fd& file, int* error = nullptr) {
    std::string text;
    char buffer[512];
    ssize_t n;
    while ((n = read(file.get(), buffer, sizeof(buffer))) > 0)
        text.append(buffer, static_cast<std::size_t>(n));
    if (error)
        *error = n < 0 ? errno : 0;
    return text;
}

std::string cat_prompt(int* error = nullptr) {
    return read_prompt(open_file("/proc/llamux/prompt"), error);
}

int echo_prompt(const std::string& text) {
    const Fd file = open_file("/proc/llamux/prompt", O_WRONLY);
    if (file.get() < 0)
        return errno;
    return write(file.get(), text.data(), text.size()) < 0 ? errno : 0;
}

TEST(ModuleLife, FiftyTimesInAndOutLeavesNothing) {
    const std::string path = write_model("tiny", quick_model());
    const auto once = [&path] {
        const Module module("model=" + path);
        for (int i = 0; i < 20; ++i) {
            const Device device;
            device.set_greedy(2);
            ASSERT_EQ(device.prompt("hello " + std::to_string(i)), 0);
            EXPECT_FALSE(device.answer().empty());
        }
        ASSERT_EQ(echo_prompt("hello\n"), 0);
        EXPECT_FALSE(cat_prompt().empty());
    };
    for (int i = 0; i < 5; ++i)
        once();
    const long before = settled_kib();
    for (int i = 0; i < 50; ++i)
        once();
    const long after = settled_kib();
    // 100 bytes for each prompt would be 100 KiB, a context in each round 5 MiB.
    std::cout << "kernel memory before " << before << " KiB, after " << after << " KiB\n";
    EXPECT_LT(after - before, 256);
}

TEST(ModuleLife, AnOpenDeviceKeepsTheModule) {
    const Module module;
    Device device;
    EXPECT_EQ(rmmod(), EAGAIN);
    device.close();
}

TEST(ModuleLife, UnloadsInTheMiddleOfAPrompt) {
    const std::string path = write_model("slow", slow_model());
    int told = 0;
    for (int i = 0; i < 5; ++i) {
        ASSERT_EQ(insmod("n_ctx=0 model=" + path), 0);
        ASSERT_EQ(echo_prompt("hello"), 0);
        int error = 0;
        const Fd prompt = open_file("/proc/llamux/prompt");
        std::thread reader([&] { read_prompt(prompt, &error); });
        EXPECT_TRUE(eventually([] { return proc_values("status")["state"] == "busy"; }));
        std::this_thread::sleep_for(std::chrono::milliseconds(20 * i));
        EXPECT_EQ(rmmod(), 0);
        reader.join();
        // Who did not wait at that moment is told by procfs itself.
        EXPECT_TRUE(error == ENODEV || error == EIO) << error;
        told += error == ENODEV ? 1 : 0;
    }
    EXPECT_GT(told, 0);
}

TEST(ModuleLife, OpenProcFilesDoNotKeepTheModule) {
    const std::string path = write_model("tiny", quick_model());
    ASSERT_EQ(insmod("model=" + path), 0);
    const Fd prompt = open_file("/proc/llamux/prompt", O_RDWR);
    const Fd status = open_file("/proc/llamux/status");
    EXPECT_EQ(write(prompt.get(), "hello", 5), 5);
    EXPECT_EQ(rmmod(), 0);
    char byte = 0;
    EXPECT_EQ(read(prompt.get(), &byte, 1), -1);
    EXPECT_EQ(write(prompt.get(), "hello", 5), -1);
    EXPECT_EQ(read(status.get(), &byte, 1), -1);
}

TEST(ModuleLife, UnloadsWhileUsersComeAndGo) {
    const std::string path = write_model("tiny", quick_model());
    std::atomic<bool> stop{false};
    std::vector<std::thread> users;
    const auto use = [](const char* name) {
        const Fd file = open_file(name, O_RDWR);
        char buffer[16];
        if (write(file.get(), "hello", 5) == 5)
            (void)!read(file.get(), buffer, sizeof(buffer));
    };
    users.emplace_back([&] {
        while (!stop) {
            use(LLAMUX_DEVICE);
            std::this_thread::sleep_for(10ms);  // else it is never closed
        }
    });
    users.emplace_back([&] {
        while (!stop)
            use("/proc/llamux/prompt");
    });
    users.emplace_back([&] {
        while (!stop)
            proc_values("status");
    });
    for (int i = 0; i < 15; ++i) {
        ASSERT_EQ(insmod("model=" + path), 0);
        std::this_thread::sleep_for(100ms);
        EXPECT_TRUE(eventually([] { return rmmod() == 0; }));
    }
    stop = true;
    for (std::thread& user : users)
        user.join();
}

// The answer to "hello" while CPU 1 goes and comes back, three times.
std::string answer_while_a_cpu_leaves(const Device& device) {
    EXPECT_EQ(device.prompt("hello"), 0);
    for (int i = 0; i < 3; ++i) {
        for (const char* state : {"0", "1"}) {
            std::ofstream online("/sys/devices/system/cpu/cpu1/online");
            online << state << std::flush;
            EXPECT_TRUE(online.good());
            std::this_thread::sleep_for(100ms);
        }
    }
    return device.answer();
}

// Of the module's threads, llamux/0...
std::vector<pid_t> module_threads() {
    std::vector<pid_t> threads;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
        std::string name;
        std::getline(std::ifstream(entry.path() / "comm"), name);
        if (name.starts_with("llamux/"))
            threads.push_back(std::stoi(entry.path().filename()));
    }
    return threads;
}

TEST(ModuleLife, ACpuLeavesDuringInference) {
    const Module module("n_ctx=0 model=" + write_model("slow", slow_model()));
    const Device device;
    device.set_greedy(20);
    ASSERT_EQ(device.prompt("hello"), 0);
    const std::string expected = device.answer();
    EXPECT_EQ(answer_while_a_cpu_leaves(device), expected);
}

TEST(ModuleLife, TheCpuLeavesThatTheThreadsAreBoundTo) {
    const Module module("threads=2 n_ctx=0 model=" + write_model("slow", slow_model()));
    const Device device;
    device.set_greedy(20);
    ASSERT_EQ(device.prompt("hello"), 0);
    const std::string expected = device.answer();
    cpu_set_t cpu1;
    CPU_ZERO(&cpu1);
    CPU_SET(1, &cpu1);
    const std::vector<pid_t> threads = module_threads();
    ASSERT_EQ(threads.size(), 2U);
    for (const pid_t thread : threads)
        ASSERT_EQ(sched_setaffinity(thread, sizeof(cpu1), &cpu1), 0);
    EXPECT_EQ(answer_while_a_cpu_leaves(device), expected);
}

// Where QEMU translates, ranges cut for a real CPU hold the FPU, and so the CPU,
// for milliseconds: they must be cut again.
TEST(ModuleLife, SectionsStayShortOnASlowCpu) {
    const Module module("n_ctx=0 model=" + write_model("slow", slow_model()));
    const std::uint64_t whole = proc_number("status", "range_cost");
    EXPECT_GE(whole, 1U << 20);
    const Device device;
    device.set_greedy(10);
    ASSERT_EQ(device.prompt(std::string(40, 'x')), 0);
    device.answer();
    const llamux_stats before = read_stats(device);
    ASSERT_EQ(device.prompt(std::string(40, 'y')), 0);
    device.answer();
    const llamux_stats after = read_stats(device);
    const double mean_ns = static_cast<double>(after.cpu_ns - before.cpu_ns) /
                           static_cast<double>(after.fpu_sections - before.fpu_sections);
    std::cout << "mean section: " << mean_ns / 1000 << " us\n";
    if (proc_values("status").at("isa") == "avx2tcg") {
        EXPECT_LT(proc_number("status", "range_cost"), whole);
    }
    EXPECT_LT(mean_ns, 1e6);  // the host may be busy
}

TEST(ModuleLife, SelftestIsOneVerdict) {
    ASSERT_EQ(std::system("dmesg -C"), 0);
    const Module module("selftest=1");
    EXPECT_EQ(std::system("test $(dmesg | grep -c 'llamux: selftest: pass$') = 1"), 0);
}

TEST(ModuleLife, TracepointsShowRequests) {
    const Module module("model=" + write_model("tiny", quick_model()));
    const std::string tracing = "/sys/kernel/tracing/";
    std::ofstream(tracing + "events/llamux/enable") << 1;
    std::ofstream(tracing + "trace", std::ios::trunc);
    const Device device;
    device.set_greedy(2);
    ASSERT_EQ(device.prompt("hello"), 0);
    device.answer();
    std::ofstream(tracing + "events/llamux/enable") << 0;
    std::ifstream file(tracing + "trace");
    const std::string trace(std::istreambuf_iterator<char>(file), {});
    EXPECT_NE(trace.find("llamux_request_start:"), std::string::npos);
    EXPECT_NE(trace.find("uid=0 status=0 ran_ns="), std::string::npos) << trace;
}

TEST(ModuleLife, NoTextOfUsersInTheLog) {
    ASSERT_EQ(std::system("dmesg -C"), 0);
    {
        const Module module("model=" + write_model("tiny", quick_model()));
        const Device device;
        device.set_greedy(2);
        EXPECT_EQ(device.prompt("xyzzy"), 0);
        device.answer();
        EXPECT_EQ(device.prompt("xyzzy\xff"), EILSEQ);
        echo_prompt("xyzzy");
        cat_prompt();
    }
    EXPECT_NE(std::system("dmesg | grep -q xyzzy"), 0);
}

TEST(ModuleLife, ProcPromptIsPerUser) {
    const Module module("model=" + write_model("tiny", quick_model()));
    EXPECT_EQ(cat_prompt(), "");
    ASSERT_EQ(echo_prompt("hello\n"), 0);
    const std::string mine = cat_prompt();
    EXPECT_FALSE(mine.empty());
    EXPECT_EQ(mine.back(), '\n');
    EXPECT_EQ(cat_prompt(), mine);  // as often as one likes
    EXPECT_EQ(as_user(1000, [] { return cat_prompt().empty() ? 0 : 1; }), 0);
    EXPECT_EQ(as_user(1000,
                      [] {
                          if (echo_prompt("something else\n"))
                              return 1;
                          return cat_prompt().empty() ? 2 : 0;
                      }),
              0);
    EXPECT_EQ(cat_prompt(), mine);
    EXPECT_EQ(as_user(1001, [] { return cat_prompt().empty() ? 0 : 1; }), 0);
    int error = 0;
    EXPECT_EQ(echo_prompt("\xff"), EILSEQ);
    EXPECT_EQ(cat_prompt(&error), "");
    EXPECT_EQ(echo_prompt(std::string(LLAMUX_PROMPT_MAX + 1, 'a')), E2BIG);
}

// A shell writes a long text in pieces: together they are the prompt.
TEST(ModuleLife, ProcPromptWrittenInPieces) {
    const Module module("model=" + write_model("tiny", quick_model()));
    ASSERT_EQ(echo_prompt("hello there"), 0);
    const std::string whole = cat_prompt();
    {
        const Fd file = open_file("/proc/llamux/prompt", O_WRONLY);
        ASSERT_EQ(write(file.get(), "hello", 5), 5);
        ASSERT_EQ(write(file.get(), " there\n", 7), 7);
    }
    EXPECT_EQ(cat_prompt(), whole);
}

TEST(ModuleLife, ProcFilesAreWhatTheySay) {
    const Module module("model=" + write_model("tiny", quick_model()));
    struct stat status {};
    ASSERT_EQ(stat("/proc/llamux/status", &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0444u);
    ASSERT_EQ(stat("/proc/llamux/stats", &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0444u);
    for (const char* key : {"version", "abi", "state", "model", "quantisation", "context_tokens",
                            "weight_bytes", "isa", "workers", "sessions", "queued", "memory_bytes",
                            "tokens_per_second", "fpu_longest_ns"})
        EXPECT_TRUE(proc_values("status").contains(key)) << key;
    const Device device;
    device.set_greedy(5);
    ASSERT_EQ(device.prompt("hello"), 0);
    device.answer();
    EXPECT_TRUE(eventually([&] { return read_stats(device).requests_done == 1; }));
    const llamux_stats stats = read_stats(device);
    const auto values = proc_values("stats");
    EXPECT_EQ(values.at("requests_done"), "1");
    EXPECT_EQ(values.at("generated_tokens"), std::to_string(stats.generated_tokens));
    EXPECT_LE(stats.generated_tokens, 5u);
    EXPECT_GT(stats.fpu_sections, 0u);
    EXPECT_GT(stats.cpu_ns, 0u);
    EXPECT_EQ(stats.n_sessions, 1u);
    EXPECT_NE(proc_values("status")["tokens_per_second"], "0.000");
    EXPECT_GT(proc_number("status", "memory_bytes"), proc_number("status", "weight_bytes"));
}

}  // namespace
}  // namespace llamux::vm
