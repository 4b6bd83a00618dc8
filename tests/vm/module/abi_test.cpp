// SPDX-License-Identifier: GPL-2.0-only
//
// Catches input that the device should refuse and does not, a refusal with
// the wrong errno, and what works without the rights it should need.
#include <sys/mman.h>

#include "llamux/telemetry.h"
#include "vm/module/device.hpp"

namespace llamux::vm {
namespace {

struct Command {
    const char* name;
    unsigned long number;
    std::size_t size;
};

constexpr Command kCommands[] = {
    {"version", LLAMUX_IOC_VERSION, sizeof(llamux_version)},
    {"load", LLAMUX_IOC_LOAD, sizeof(llamux_load)},
    {"model_info", LLAMUX_IOC_MODEL_INFO, sizeof(llamux_model_info)},
    {"get_params", LLAMUX_IOC_GET_PARAMS, sizeof(llamux_params)},
    {"set_params", LLAMUX_IOC_SET_PARAMS, sizeof(llamux_params)},
    {"stats", LLAMUX_IOC_STATS, sizeof(llamux_stats)},
    {"bind", LLAMUX_IOC_BIND, sizeof(llamux_bind)},
    {"snapshot", LLAMUX_IOC_SNAPSHOT, sizeof(llamux_snapshot_request)},
    {"advise", LLAMUX_IOC_ADVISE, sizeof(llamux_advice)},
    {"score", LLAMUX_IOC_SCORE, sizeof(llamux_score)},
    {"eval", LLAMUX_IOC_EVAL, sizeof(llamux_eval)},
};

// A caller's struct of any size, zeroed, its size field set.
std::vector<std::uint32_t> sized(std::uint32_t size) {
    std::vector<std::uint32_t> words(1 << 15);
    words[0] = size;
    return words;
}

// The number of the same command with a struct of another size.
unsigned long renumber(unsigned long number, std::size_t size) {
    return (number & ~(static_cast<unsigned long>(_IOC_SIZEMASK) << _IOC_SIZESHIFT)) |
           ((size & _IOC_SIZEMASK) << _IOC_SIZESHIFT);
}

TEST(ModuleAbi, SmallerStructIsRefused) {
    const Module module;
    const Device device;
    for (const Command& command : kCommands) {
        for (const std::size_t size : {std::size_t{0}, std::size_t{4}, command.size - 1}) {
            auto words = sized(static_cast<std::uint32_t>(size));
            EXPECT_EQ(device.call(command.number, words.data()), EINVAL) << command.name << size;
        }
    }
}

TEST(ModuleAbi, LargerStructNeedsAZeroSurplus) {
    const Module module;
    const Device device;
    for (const Command& command : kCommands) {
        const std::size_t size = command.size + 64;
        auto words = sized(static_cast<std::uint32_t>(size));
        words[(size - 1) / 4] = 0x80000000u;
        for (const unsigned long number : {command.number, renumber(command.number, size)})
            EXPECT_EQ(device.call(number, words.data()), E2BIG) << command.name;
        words = sized(0xffffffffu);
        EXPECT_EQ(device.call(command.number, words.data()), E2BIG) << command.name;
    }
    auto words = sized(sizeof(llamux_version) + 64);
    EXPECT_EQ(device.call(renumber(LLAMUX_IOC_VERSION, words[0]), words.data()), 0);
    EXPECT_EQ(words[1], LLAMUX_ABI_VERSION);
}

TEST(ModuleAbi, BadPointersFault) {
    const Module module;
    const Device device;
    const long page = sysconf(_SC_PAGESIZE);
    auto* pages = static_cast<char*>(
        mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ASSERT_NE(pages, MAP_FAILED);
    ASSERT_EQ(mprotect(pages + page, page, PROT_NONE), 0);
    for (const Command& command : kCommands) {
        EXPECT_EQ(device.call(command.number, static_cast<void*>(nullptr)), EFAULT) << command.name;
        EXPECT_EQ(device.call(command.number, reinterpret_cast<void*>(0xffff800000000000ul)),
                  EFAULT)
            << command.name;
        // The size can be read, the rest cannot.
        auto* straddling = reinterpret_cast<std::uint32_t*>(pages + page - 4);
        *straddling = static_cast<std::uint32_t>(command.size);
        EXPECT_EQ(device.call(command.number, straddling), EFAULT) << command.name;
    }
    EXPECT_EQ(write(device.fd(), pages + page - 4, 8), -1);
    EXPECT_EQ(errno, EFAULT);
    munmap(pages, 2 * page);
}

TEST(ModuleAbi, UnknownCommandsAreNotOurs) {
    const Module module;
    const Device device;
    auto words = sized(64);
    for (const unsigned long number :
         {_IOWR(LLAMUX_IOC_MAGIC, 0, llamux_version), _IOWR(LLAMUX_IOC_MAGIC, 0x7f, llamux_version),
          _IOWR('x', 0x10, llamux_version), _IOR(LLAMUX_IOC_MAGIC, 0x10, llamux_version),
          _IOW(LLAMUX_IOC_MAGIC, 0x10, llamux_version)})
        EXPECT_EQ(device.call(number, words.data()), ENOTTY) << number;
}

TEST(ModuleAbi, VersionSaysWhatTheHeadersSay) {
    const Module module;
    const Device device;
    llamux_version version = {.size = sizeof(version)};
    ASSERT_EQ(device.call(LLAMUX_IOC_VERSION, &version), 0);
    EXPECT_EQ(version.abi, LLAMUX_ABI_VERSION);
    EXPECT_EQ(version.telemetry_schema, static_cast<unsigned>(LLAMUX_TELEMETRY_SCHEMA));
    version.reserved = 1;
    EXPECT_EQ(device.call(LLAMUX_IOC_VERSION, &version), EINVAL);
}

TEST(ModuleAbi, FlagsAndReservedFieldsMustBeZero) {
    const Module module;
    const Device device;
    const auto refuses = [&device](unsigned long number, auto request) {
        request.size = sizeof(request);
        return device.call(number, &request) == EINVAL;
    };
    EXPECT_TRUE(refuses(LLAMUX_IOC_LOAD, llamux_load{.fd = 0, .flags = 1}));
    EXPECT_TRUE(
        refuses(LLAMUX_IOC_LOAD, llamux_load{.fd = 0, .chat_template = LLAMUX_N_TEMPLATES}));
    EXPECT_TRUE(
        refuses(LLAMUX_IOC_BIND, llamux_bind{.cgroups_fd = -1, .system_fd = -1, .reserved = 1}));
    EXPECT_TRUE(refuses(LLAMUX_IOC_SNAPSHOT, llamux_snapshot_request{.flags = 1}));
    EXPECT_TRUE(refuses(LLAMUX_IOC_SNAPSHOT,
                        llamux_snapshot_request{.snapshot = 4096, .snapshot_size = 8}));
    EXPECT_TRUE(refuses(LLAMUX_IOC_ADVISE, llamux_advice{.flags = 1u << 2}));
    EXPECT_TRUE(refuses(LLAMUX_IOC_ADVISE, llamux_advice{.prompt = 4096, .prompt_size = 0}));
    EXPECT_TRUE(refuses(LLAMUX_IOC_SCORE, llamux_score{.flags = 1, .n_phrases = 1}));
    EXPECT_TRUE(refuses(LLAMUX_IOC_SCORE, llamux_score{.n_phrases = 1, .reserved = 1}));
    EXPECT_TRUE(refuses(LLAMUX_IOC_SCORE, llamux_score{.n_phrases = 0}));
    EXPECT_TRUE(refuses(LLAMUX_IOC_SCORE, llamux_score{.n_phrases = LLAMUX_MAX_CANDIDATES + 1}));
    EXPECT_TRUE(refuses(LLAMUX_IOC_EVAL, llamux_eval{.flags = 1}));
    EXPECT_TRUE(refuses(LLAMUX_IOC_EVAL, llamux_eval{.reserved = 1}));
}

TEST(ModuleAbi, ParametersHaveRanges) {
    const Module module;
    const Device device;
    const llamux_params usual = device.params();
    const auto refuses = [&](auto change) {
        llamux_params params = usual;
        change(params);
        return device.call(LLAMUX_IOC_SET_PARAMS, &params) == EINVAL;
    };
    EXPECT_TRUE(refuses([](llamux_params& p) { p.format = LLAMUX_FORMAT_ASK + 1; }));
    EXPECT_TRUE(refuses([](llamux_params& p) { p.temperature_milli = 5001; }));
    EXPECT_TRUE(refuses([](llamux_params& p) { p.top_p_milli = 0; }));
    EXPECT_TRUE(refuses([](llamux_params& p) { p.top_p_milli = 1001; }));
    EXPECT_TRUE(refuses([](llamux_params& p) { p.min_p_milli = 1001; }));
    EXPECT_TRUE(refuses([](llamux_params& p) { p.repeat_penalty_milli = 999; }));
    EXPECT_TRUE(refuses([](llamux_params& p) { p.repeat_penalty_milli = 2001; }));
    EXPECT_TRUE(refuses([](llamux_params& p) { p.repeat_last_n = 100000; }));
    EXPECT_TRUE(refuses([](llamux_params& p) { p.flags = 2; }));
    EXPECT_TRUE(refuses([](llamux_params& p) { p.reserved = 1; }));

    llamux_params set = usual;
    set.seed = 0x123456789abcdef0ull;
    set.flags = LLAMUX_PARAM_KEEP_CONTEXT;
    ASSERT_EQ(device.call(LLAMUX_IOC_SET_PARAMS, &set), 0);
    const llamux_params got = device.params();
    EXPECT_EQ(std::memcmp(&got, &set, sizeof(set)), 0);
}

TEST(ModuleAbi, WithoutAModel) {
    const Module module;
    const Device device;
    llamux_model_info info = {.size = sizeof(info)};
    EXPECT_EQ(device.call(LLAMUX_IOC_MODEL_INFO, &info), ENODATA);
    EXPECT_EQ(device.prompt("hello"), EAGAIN);
    EXPECT_EQ(device.poll(POLLIN | POLLOUT, 0), 0);
    EXPECT_EQ(device.answer(), "");
    const char text[] = "hello";
    llamux_score score = {.size = sizeof(score),
                          .prompt = reinterpret_cast<std::uint64_t>(text),
                          .phrases = reinterpret_cast<std::uint64_t>(text),
                          .prompt_bytes = 5,
                          .phrases_bytes = 6,
                          .n_phrases = 1};
    EXPECT_EQ(device.call(LLAMUX_IOC_SCORE, &score), EAGAIN);
    llamux_eval eval = {.size = sizeof(eval),
                        .prompt = reinterpret_cast<std::uint64_t>(text),
                        .prompt_bytes = 5,
                        .n_logits = 1};
    EXPECT_EQ(device.call(LLAMUX_IOC_EVAL, &eval), EAGAIN);
    EXPECT_EQ(ioctl(device.fd(), LLAMUX_IOC_CANCEL), 0);
    EXPECT_EQ(proc_values("status")["state"], "no model");
}

TEST(ModuleAbi, PhrasesMustBeWellFormed) {
    const Module module("model=" + write_model("tiny", quick_model()));
    const Device device;
    const auto score = [&device](const std::string& phrases, std::uint32_t n) {
        const char prompt[] = "a";
        llamux_score request = {.size = sizeof(request),
                                .prompt = reinterpret_cast<std::uint64_t>(prompt),
                                .phrases = reinterpret_cast<std::uint64_t>(phrases.data()),
                                .prompt_bytes = 1,
                                .phrases_bytes = static_cast<std::uint32_t>(phrases.size()),
                                .n_phrases = n};
        return device.call(LLAMUX_IOC_SCORE, &request);
    };
    using std::string_literals::operator""s;
    EXPECT_EQ(score("ab\0cd\0"s, 2), 0);
    EXPECT_EQ(score("ab\0cd"s, 2), EINVAL);    // no last NUL
    EXPECT_EQ(score("ab\0cd\0"s, 1), EINVAL);  // one too many
    EXPECT_EQ(score("ab\0cd\0"s, 3), EINVAL);  // one too few
    EXPECT_EQ(score("ab\0\0"s, 2), EINVAL);    // an empty one
    EXPECT_EQ(score(""s, 1), EINVAL);          // none
    EXPECT_EQ(score(std::string(LLAMUX_PHRASE_MAX, 'a') + '\0', 1), EINVAL);
    EXPECT_EQ(score(std::string(LLAMUX_PHRASE_MAX - 1, 'a') + '\0', 1), E2BIG);  // tokens
    EXPECT_EQ(score(std::string(1 << 20, 'a') + '\0', 1), E2BIG);
}

TEST(ModuleAbi, OtherUsersMayAskButNotManage) {
    const Module module("model=" + write_model("tiny", quick_model()));
    const int result = as_user(1000, [] {
        const Device device;
        if (device.load("/tmp/tiny.gguf") != EPERM)
            return 1;
        llamux_bind bind = {.size = sizeof(bind), .cgroups_fd = -1, .system_fd = -1};
        if (device.call(LLAMUX_IOC_BIND, &bind) != EPERM)
            return 2;
        llamux_snapshot_request snapshot = {.size = sizeof(snapshot)};
        if (device.call(LLAMUX_IOC_SNAPSHOT, &snapshot) != EPERM)
            return 3;
        llamux_advice advice = {.size = sizeof(advice)};
        if (device.call(LLAMUX_IOC_ADVISE, &advice) != EPERM)
            return 4;
        device.set_greedy(4);
        if (device.prompt("hello") != 0)
            return 5;
        int error = 0;
        return device.answer(&error).empty() || error ? 6 : 0;
    });
    EXPECT_EQ(result, 0);
}

TEST(ModuleAbi, TheProgramOfTheDocumentationRuns) {
    const char* program = std::getenv("LLAMUX_EXAMPLE");
    ASSERT_NE(program, nullptr);
    const auto output = [program](const char* question) {
        const std::string command = std::string(program) + " " + question +
                                    " >/tmp/answer 2>&1 || echo failed >>/tmp/answer";
        EXPECT_EQ(std::system(command.c_str()), 0);
        std::ifstream file("/tmp/answer");
        return std::string(std::istreambuf_iterator<char>(file), {});
    };
    EXPECT_NE(output("hello").find("No such file"), std::string::npos);
    const Module module;
    EXPECT_NE(output("hello").find("Resource temporarily unavailable"), std::string::npos);
    ASSERT_EQ(Device().load(write_model("tiny", quick_model())), 0);
    const std::string answer = output("hello");
    EXPECT_GT(answer.size(), 1u);
    EXPECT_EQ(answer.find("failed"), std::string::npos) << answer;
}

}  // namespace
}  // namespace llamux::vm
