// SPDX-License-Identifier: GPL-2.0-only
//
// An open /dev/llamux, for the guest tests.
#pragma once

#include <poll.h>
#include <sys/ioctl.h>

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "uapi/llamux.h"
#include "vm/module/guest.hpp"

namespace llamux::vm {

// An open /dev/llamux.
class Device {
  public:
    explicit Device(int flags = O_RDWR) : fd_(open_file(LLAMUX_DEVICE, flags)) {
        EXPECT_GE(fd_.get(), 0) << std::strerror(errno);
    }

    [[nodiscard]] int fd() const { return fd_.get(); }
    void close() { fd_.reset(); }

    // 0 or errno.
    template <typename T>
    int call(unsigned long number, T* argument) const {
        return ioctl(fd(), number, argument) == 0 ? 0 : errno;
    }

    // 0 or errno of a write of all of it.
    [[nodiscard]] int prompt(std::string_view text) const {
        return write(fd(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) ? 0
                                                                                          : errno;
    }

    // Reads to the end; *error is 0 or the errno that ended it.
    std::string answer(int* error = nullptr) const {
        std::string text;
        char buffer[4096];
        ssize_t n;
        while ((n = read(fd(), buffer, sizeof(buffer))) > 0)
            text.append(buffer, static_cast<std::size_t>(n));
        const int ended = n < 0 ? errno : 0;
        if (error)
            *error = ended;
        else
            EXPECT_EQ(ended, 0) << std::strerror(ended);
        return text;
    }

    [[nodiscard]] int load(const std::string& path, std::string* message = nullptr) const {
        const Fd file = open_file(path);
        llamux_load request = {.size = sizeof(request), .fd = file.get()};
        const int error = call(LLAMUX_IOC_LOAD, &request);
        if (message)
            *message = request.error;
        return error;
    }

    // Bits of the logits after bos and the text; also the tokens of these, if asked for.
    [[nodiscard]] std::vector<std::uint32_t> logits(
        const std::string& text, std::vector<std::int32_t>* tokens = nullptr) const {
        llamux_model_info info = {.size = sizeof(info)};
        EXPECT_EQ(call(LLAMUX_IOC_MODEL_INFO, &info), 0);
        std::vector<std::uint32_t> bits(info.n_vocab);
        std::vector<std::int32_t> room(info.n_ctx);
        llamux_eval eval = {.size = sizeof(eval),
                            .prompt = reinterpret_cast<std::uint64_t>(text.data()),
                            .prompt_bytes = static_cast<std::uint32_t>(text.size()),
                            .n_logits = info.n_vocab,
                            .logits = reinterpret_cast<std::uint64_t>(bits.data()),
                            .tokens = reinterpret_cast<std::uint64_t>(room.data()),
                            .n_tokens = info.n_ctx};
        EXPECT_EQ(call(LLAMUX_IOC_EVAL, &eval), 0);
        if (tokens)
            tokens->assign(room.begin(), room.begin() + eval.n_tokens);
        return bits;
    }

    [[nodiscard]] llamux_params params() const {
        llamux_params params = {.size = sizeof(params)};
        EXPECT_EQ(call(LLAMUX_IOC_GET_PARAMS, &params), 0);
        return params;
    }

    // Greedy, raw text, that many tokens.
    void set_greedy(std::uint32_t max_tokens, std::uint32_t timeout_ms = 0) const {
        llamux_params params = this->params();
        params.format = LLAMUX_FORMAT_RAW;
        params.temperature_milli = 0;
        params.max_tokens = max_tokens;
        params.timeout_ms = timeout_ms;
        EXPECT_EQ(call(LLAMUX_IOC_SET_PARAMS, &params), 0);
    }

    // revents, or 0 after timeout_ms.
    [[nodiscard]] int poll(int events, int timeout_ms) const {
        pollfd entry = {.fd = fd(), .events = static_cast<short>(events)};
        return ::poll(&entry, 1, timeout_ms) > 0 ? entry.revents : 0;
    }

  private:
    Fd fd_;
};

inline llamux_stats read_stats(const Device& device) {
    llamux_stats stats = {.size = sizeof(stats)};
    EXPECT_EQ(device.call(LLAMUX_IOC_STATS, &stats), 0);
    return stats;
}

}  // namespace llamux::vm
