// SPDX-License-Identifier: GPL-2.0-only
//
// Catches files that the module should refuse and does not, a refusal that
// loses the model in use, and weights that stay behind after a swap.
#include <atomic>
#include <random>
#include <span>

#include "vm/module/device.hpp"

namespace llamux::vm {
namespace {

std::uint64_t memory_bytes() {
    return proc_number("status", "memory_bytes");
}

std::string file_bytes(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

// Of the whole log: what is looked for must be said once in a boot.
std::size_t kernel_log_lines_with(std::string_view text) {
    const Fd log = open_file("/dev/kmsg", O_RDONLY | O_NONBLOCK);
    std::size_t n_lines = 0;
    char line[8192];
    ssize_t n;
    // EPIPE: the ring went on beyond the next line.
    while ((n = read(log.get(), line, sizeof(line))) > 0 || (n < 0 && errno == EPIPE)) {
        if (n > 0 && std::string_view(line, static_cast<std::size_t>(n)).find(text) !=
                         std::string_view::npos)
            n_lines++;
    }
    return n_lines;
}

void write_bytes(const std::string& path, std::string_view bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

TEST(ModuleModel, LoadsByDescriptorAndSaysWhatItIs) {
    const std::string path = write_model("tiny", quick_model());
    const Module module;
    const Device device;
    std::string message = "x";
    ASSERT_EQ(device.load(path, &message), 0) << message;
    EXPECT_EQ(message, "");
    llamux_model_info info = {.size = sizeof(info)};
    ASSERT_EQ(device.call(LLAMUX_IOC_MODEL_INFO, &info), 0);
    EXPECT_EQ(info.n_layer, 2u);
    EXPECT_EQ(info.n_embd, 64u);
    EXPECT_EQ(info.n_ff, 96u);
    EXPECT_EQ(info.n_head, 4u);
    EXPECT_EQ(info.n_head_kv, 2u);
    EXPECT_EQ(info.n_ctx, 128u);
    EXPECT_EQ(info.generation, 1u);
    EXPECT_EQ(info.file_bytes, std::filesystem::file_size(path));
    EXPECT_GT(info.weight_bytes, 0u);
    EXPECT_STREQ(info.quantisation, "Q8_0");
    const auto status = proc_values("status");
    EXPECT_EQ(status.at("state"), "idle");
    EXPECT_EQ(status.at("isa"), info.isa);
    EXPECT_EQ(status.at("weight_bytes"), std::to_string(info.weight_bytes));
}

TEST(ModuleModel, LoadsAtInsertionOrIsNotInserted) {
    const std::string path = write_model("tiny", quick_model());
    {
        const Module module("model=" + path + " n_ctx=64 threads=1 isa=generic nice=5");
        const auto status = proc_values("status");
        EXPECT_EQ(status.at("context_tokens"), "64");
        EXPECT_EQ(status.at("workers"), "1");
        EXPECT_EQ(status.at("isa"), "generic");
    }
    EXPECT_EQ(insmod("model=/nowhere.gguf"), ENOENT);
    write_bytes("/tmp/bad.gguf", "GGUX and more");
    EXPECT_EQ(insmod("model=/tmp/bad.gguf"), ENOEXEC);
    EXPECT_EQ(insmod("isa=vax"), EINVAL);
    EXPECT_EQ(insmod("chat_template=chatlm model=" + path), EINVAL);
    EXPECT_EQ(kernel_log_lines_with("chat_template chatlm is not known: plain, zephyr, chatml, "
                                    "llama-2 and llama-3 are"),
              1U);
    EXPECT_EQ(insmod("kv_cache=q4_0 model=" + path), EINVAL);
    EXPECT_EQ(kernel_log_lines_with("kv_cache q4_0 is not known: f16 and q8_0 are"), 1U);
    EXPECT_FALSE(std::filesystem::exists("/proc/llamux"));
    EXPECT_FALSE(std::filesystem::exists(LLAMUX_DEVICE));
}

TEST(ModuleModel, DescriptorsThatAreNoModel) {
    const std::string path = write_model("tiny", quick_model());
    const Module module;
    const Device device;
    const auto load = [&device](int fd) {
        llamux_load request = {.size = sizeof(request), .fd = fd};
        return device.call(LLAMUX_IOC_LOAD, &request);
    };
    EXPECT_EQ(load(-1), EBADF);
    EXPECT_EQ(load(12345), EBADF);
    EXPECT_EQ(load(open_file(path, O_WRONLY).get()), EBADF);
    EXPECT_EQ(load(open_file(path, O_PATH).get()), EBADF);
    EXPECT_EQ(load(open_file("/tmp", O_DIRECTORY).get()), EINVAL);
    EXPECT_EQ(load(open_file("/dev/zero").get()), EINVAL);
    EXPECT_EQ(load(device.fd()), EINVAL);
    int pipe_fds[2];
    ASSERT_EQ(pipe(pipe_fds), 0);
    EXPECT_EQ(load(pipe_fds[0]), EINVAL);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    {
        const Fd writer = open_file(path, O_RDWR);
        EXPECT_EQ(device.load(path), ETXTBSY);
    }
    EXPECT_EQ(device.load(path), 0);
    // Nobody is kept from writing afterwards.
    EXPECT_GE(open_file(path, O_RDWR).get(), 0);
}

TEST(ModuleModel, DamagedFilesAreRefusedAndTheOldModelStays) {
    const std::string path = write_model("tiny", quick_model());
    const std::string good = file_bytes(path);
    const Module module("model=" + path);
    const Device device;
    device.set_greedy(8);
    ASSERT_EQ(device.prompt("hello"), 0);
    const std::string expected = device.answer();
    const std::uint64_t before = memory_bytes();

    std::string message;
    for (std::size_t size = 0; size < good.size(); size = size < 64 ? size + 3 : size * 5 / 3) {
        write_bytes("/tmp/cut.gguf", std::string_view(good).substr(0, size));
        const int error = device.load("/tmp/cut.gguf", &message);
        EXPECT_TRUE(error == EINVAL || error == ENOEXEC) << size << ": " << error;
        EXPECT_NE(message, "") << size;
    }
    std::mt19937 random(7);
    const std::size_t metadata = quick_model().build().metadata().size();
    int refused = 0;
    for (int i = 0; i < 150; ++i) {
        std::string bad = good;
        for (int flips = 0; flips < 3; ++flips)
            bad[random() % metadata] = static_cast<char>(random());
        write_bytes("/tmp/bad.gguf", bad);
        const int error = device.load("/tmp/bad.gguf", &message);
        refused += error != 0;
        EXPECT_EQ(error != 0, !message.empty());
    }
    EXPECT_GT(refused, 50);
    ASSERT_EQ(device.load(path), 0);
    ASSERT_EQ(device.prompt("hello"), 0);
    EXPECT_EQ(device.answer(), expected);
    EXPECT_EQ(memory_bytes(), before);
    EXPECT_EQ(proc_values("status")["last_error"], "");
}

TEST(ModuleModel, AModelTooLargeForTheMemoryIsRefused) {
    test::TinyModel model = quick_model();
    model.n_ctx = 131072;
    const std::string path = write_model("long", model);
    const Module module("n_ctx=0 user_mib=1 model=" + path);
    EXPECT_EQ(as_user(1000,
                      [] {
                          const Device device;
                          device.set_greedy(4);
                          return device.prompt("hello");
                      }),
              ENOMEM);
    EXPECT_EQ(proc_number("status", "session_bytes"), 0u);
}

// Its tensors are a hole in a sparse file: 1.5 GiB in a guest of 1 GiB.
TEST(ModuleModel, AModelLargerThanTheMemoryIsRefused) {
    test::GgufWriter writer = quick_model().build();
    constexpr std::uint32_t kFf = 65536;
    constexpr std::uint64_t kBytes = 64ull * kFf * 4;
    constexpr std::uint32_t kLayers = 32;
    writer.set("llama.feed_forward_length", kFf);
    writer.set("llama.block_count", kLayers);
    const auto nothing = [](std::span<std::uint8_t>) {};
    for (std::uint32_t i = 0; i < kLayers; ++i) {
        const std::string layer = "blk." + std::to_string(i) + ".";
        for (const char* name : {"ffn_gate", "ffn_up", "ffn_down"}) {
            const std::string tensor = layer + name + ".weight";
            const bool down = std::string_view(name) == "ffn_down";
            writer.remove_tensor(tensor);
            writer.add_tensor(
                tensor,
                down ? std::vector<std::uint64_t>{kFf, 64} : std::vector<std::uint64_t>{64, kFf}, 0,
                kBytes, nothing);
        }
        for (const char* name : {"attn_q", "attn_k", "attn_v", "attn_output"}) {
            const std::string tensor = layer + name + ".weight";
            const std::uint64_t rows = name[5] == 'k' || name[5] == 'v' ? 32 : 64;
            if (!writer.tensor(tensor))
                writer.add_tensor(tensor, {64, rows}, 0, 64 * rows * 4, nothing);
        }
        for (const char* name : {"attn_norm", "ffn_norm"}) {
            const std::string tensor = layer + name + ".weight";
            if (!writer.tensor(tensor))
                writer.add_tensor(tensor, {64}, 0, 64 * 4, nothing);
        }
    }
    const test::Bytes metadata = writer.metadata();
    write_bytes("/tmp/large.gguf",
                {reinterpret_cast<const char*>(metadata.data()), metadata.size()});
    std::filesystem::resize_file("/tmp/large.gguf",
                                 metadata.size() + kLayers * (3 * kBytes + 65536) + (1 << 20));
    const std::string path = write_model("tiny", quick_model());
    const Module module("model=" + path);
    const Device device;
    std::string message;
    EXPECT_EQ(device.load("/tmp/large.gguf", &message), ENOMEM);
    EXPECT_NE(message, "");
    EXPECT_EQ(proc_values("status")["generation"], "1");
}

// IMA, to which the kernel shows what it reads as firmware, measures the file.
TEST(ModuleModel, SecurityModulesSeeTheFile) {
    const std::string path = write_model("measured", quick_model());
    std::system("mount -t securityfs securityfs /sys/kernel/security 2>/dev/null");
    std::ofstream policy("/sys/kernel/security/ima/policy");
    policy << "measure func=FIRMWARE_CHECK\n" << std::flush;
    ASSERT_TRUE(policy.good());
    policy.close();
    const Module module;
    const Device device;
    const auto measured = [&path] {
        return file_bytes("/sys/kernel/security/ima/ascii_runtime_measurements").find(path) !=
               std::string::npos;
    };
    EXPECT_FALSE(measured());
    EXPECT_EQ(device.load(path), 0);
    EXPECT_TRUE(measured());
}

// Asked for each part, IMA hashes all of the file each time where the file
// system does not number its changes.
TEST(ModuleModel, SecurityModulesAreAskedOnce) {
    const std::string tracing = "/sys/kernel/tracing/";
    const auto set = [&](const char* file, const char* value) {
        std::ofstream out(tracing + file);
        out << value << std::flush;
        EXPECT_TRUE(out.good()) << file;
    };
    const std::string path = write_model("large", slow_model());
    const Module module;
    const Device device;
    set("set_ftrace_filter", "security_kernel_read_file");
    set("current_tracer", "function");
    EXPECT_EQ(device.load(path), 0);
    const std::string trace = file_bytes(tracing + "trace");
    set("current_tracer", "nop");
    set("set_ftrace_filter", "");
    std::size_t n_calls = 0;
    for (std::size_t at = 0; (at = trace.find("security_kernel_read_file <-", at)) != trace.npos;
         at++)
        n_calls++;
    EXPECT_EQ(n_calls, 1U) << trace;
}

TEST(ModuleModel, SwapsUnderLoadWithoutAGap) {
    const std::string one = write_model("one", quick_model(1));
    const std::string two = write_model("two", quick_model(2));
    const Module module("model=" + one);
    const std::uint64_t once = memory_bytes();
    const Device loader;
    Device idle;
    idle.set_greedy(4);
    ASSERT_EQ(idle.prompt("hello"), 0);
    idle.answer();

    std::atomic<bool> stop{false};
    std::atomic<int> answers{0};
    const auto ask = [&] {
        const Device device;
        device.set_greedy(12);
        while (!stop) {
            ASSERT_EQ(device.prompt("hello there"), 0);
            int error = 0;
            ASSERT_FALSE(device.answer(&error).empty());
            ASSERT_EQ(error, 0);
            ++answers;
        }
    };
    const auto evaluate = [&] {
        const Device device;
        std::vector<std::uint32_t> logits(300);
        while (!stop) {
            llamux_eval eval = {.size = sizeof(eval),
                                .prompt = reinterpret_cast<std::uint64_t>("hello"),
                                .prompt_bytes = 5,
                                .n_logits = 300,
                                .logits = reinterpret_cast<std::uint64_t>(logits.data())};
            ASSERT_EQ(device.call(LLAMUX_IOC_EVAL, &eval), 0);
        }
    };
    std::thread asker(ask);
    std::thread evaluator(evaluate);
    for (int i = 0; i < 20; ++i)
        EXPECT_EQ(loader.load(i % 2 ? one : two), 0);
    const int so_far = answers;
    EXPECT_TRUE(eventually([&] { return answers > so_far + 1; }));
    stop = true;
    asker.join();
    evaluator.join();

    // What a first load takes is left: no model, no context of another.
    EXPECT_EQ(loader.load(one), 0);
    EXPECT_TRUE(eventually([] { return proc_number("status", "session_bytes") == 0; }));
    EXPECT_TRUE(eventually([&] { return memory_bytes() <= once; }))
        << memory_bytes() << " " << once;
}

}  // namespace
}  // namespace llamux::vm
