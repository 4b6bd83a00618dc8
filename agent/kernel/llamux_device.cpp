// SPDX-License-Identifier: GPL-2.0-only
//
// See llamux_device.hpp; the meaning of each call is in include/uapi/llamux.h.
#include "kernel/llamux_device.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace llamux {
namespace {

constexpr std::size_t kPromptBytes = 16384;  // of an advice; longer is cut

template <class Argument>
Status call(const Fd& fd, unsigned long command, Argument& argument, const char* name) {
    if (::ioctl(fd.get(), command, &argument) != 0) {
        return errno_error(errno, name);
    }
    return {};
}

template <class Struct>
Result<Struct> get(const Fd& fd, unsigned long command, const char* name) {
    Struct out{};
    out.size = sizeof(out);
    if (Status done = call(fd, command, out, name); !done) {
        return done.error();
    }
    return out;
}

__u64 address_of(const void* pointer) {
    return reinterpret_cast<__u64>(pointer);
}

}  // namespace

Result<std::unique_ptr<Device>> LlamuxDevice::open(const std::string& path) {
    Result<Fd> fd = open_at(AT_FDCWD, path, O_RDWR | O_NONBLOCK);
    if (!fd) {
        const int code = fd.error().code;
        if (code == ENOENT || code == ENODEV || code == ENXIO) {
            return Error{code, "the module is not loaded (no " + path + "): modprobe llamux"};
        }
        return fd.error();
    }
    std::unique_ptr<LlamuxDevice> device(new LlamuxDevice(std::move(*fd)));
    const Result<llamux_version> version = device->version();
    if (!version) {
        return version.error().in(path);
    }
    if (version->abi != LLAMUX_ABI_VERSION ||
        version->telemetry_schema != LLAMUX_TELEMETRY_SCHEMA) {
        return Error{EPROTO, path + ": the module speaks ABI " + std::to_string(version->abi) +
                                 ", telemetry " + std::to_string(version->telemetry_schema) +
                                 "; this agent " + std::to_string(LLAMUX_ABI_VERSION) + ", " +
                                 std::to_string(LLAMUX_TELEMETRY_SCHEMA)};
    }
    return std::unique_ptr<Device>(std::move(device));
}

Result<llamux_version> LlamuxDevice::version() {
    return get<llamux_version>(fd_, LLAMUX_IOC_VERSION, "version");
}

Result<llamux_model_info> LlamuxDevice::model_info() {
    return get<llamux_model_info>(fd_, LLAMUX_IOC_MODEL_INFO, "model info");
}

Result<llamux_stats> LlamuxDevice::stats() {
    return get<llamux_stats>(fd_, LLAMUX_IOC_STATS, "statistics");
}

Result<llamux_params> LlamuxDevice::params() {
    return get<llamux_params>(fd_, LLAMUX_IOC_GET_PARAMS, "parameters");
}

Status LlamuxDevice::set_params(const llamux_params& params) {
    llamux_params argument = params;
    argument.size = sizeof(argument);
    return call(fd_, LLAMUX_IOC_SET_PARAMS, argument, "set parameters");
}

Status LlamuxDevice::load_model(const std::string& path, llamux_chat_template chat_template) {
    // A model may be reached through a link of the administrator's.
    const Fd model(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!model.is_open()) {
        return errno_error(errno, path);
    }
    llamux_load argument{};
    argument.size = sizeof(argument);
    argument.fd = model.get();
    argument.chat_template = chat_template;
    Status loaded = call(fd_, LLAMUX_IOC_LOAD, argument, "load");
    if (loaded.ok()) {
        return loaded;
    }
    argument.error[sizeof(argument.error) - 1] = '\0';
    if (argument.error[0] == '\0') {
        return loaded.error().in(path);
    }
    return Error{loaded.error().code, path + ": " + argument.error};
}

Status LlamuxDevice::bind_maps(int cgroups_fd, int system_fd) {
    llamux_bind argument{};
    argument.size = sizeof(argument);
    argument.cgroups_fd = cgroups_fd;
    argument.system_fd = system_fd;
    return call(fd_, LLAMUX_IOC_BIND, argument, "bind telemetry maps");
}

Result<SnapshotPtr> LlamuxDevice::snapshot(const llamux_signals* signals) {
    auto snapshot = std::make_shared<llamux_snapshot>();
    llamux_snapshot_request argument{};
    argument.size = sizeof(argument);
    argument.signals = address_of(signals);
    argument.snapshot = address_of(snapshot.get());
    argument.snapshot_size = sizeof(*snapshot);
    if (Status done = call(fd_, LLAMUX_IOC_SNAPSHOT, argument, "snapshot"); !done) {
        return done.error();
    }
    return SnapshotPtr(std::move(snapshot));
}

Result<Advice> LlamuxDevice::advise(const llamux_signals* signals, std::uint32_t flags) {
    auto snapshot = std::make_shared<llamux_snapshot>();
    std::string prompt(kPromptBytes, '\0');
    Advice advice;
    llamux_advice& answer = advice.answer;
    answer.size = sizeof(answer);
    answer.flags = flags;
    answer.signals = address_of(signals);
    answer.snapshot = address_of(snapshot.get());
    answer.snapshot_size = sizeof(*snapshot);
    answer.prompt = address_of(prompt.data());
    answer.prompt_size = prompt.size();
    if (Status done = call(fd_, LLAMUX_IOC_ADVISE, answer, "advise"); !done) {
        return done.error();
    }
    prompt.resize(prompt.find('\0') == std::string::npos ? prompt.size() : prompt.find('\0'));
    advice.prompt = std::move(prompt);
    advice.snapshot = std::move(snapshot);
    return advice;
}

Result<std::vector<PhraseScore>> LlamuxDevice::score(std::string_view prompt,
                                                     const std::vector<std::string>& phrases) {
    std::string ended;
    for (const std::string& phrase : phrases) {
        ended += phrase + '\0';
    }
    llamux_score argument{};
    argument.size = sizeof(argument);
    argument.prompt = address_of(prompt.data());
    argument.prompt_bytes = static_cast<__u32>(prompt.size());
    argument.phrases = address_of(ended.data());
    argument.phrases_bytes = static_cast<__u32>(ended.size());
    argument.n_phrases = static_cast<__u32>(phrases.size());
    if (Status done = call(fd_, LLAMUX_IOC_SCORE, argument, "score"); !done) {
        return done.error();
    }
    std::vector<PhraseScore> scores;
    for (std::size_t i = 0; i < phrases.size() && i < LLAMUX_MAX_CANDIDATES; i++) {
        scores.push_back({argument.logprob_micro_nats[i], argument.n_tokens[i]});
    }
    return scores;
}

Status LlamuxDevice::write_prompt(std::string_view text) {
    const ssize_t written = ::write(fd_.get(), text.data(), text.size());
    if (written < 0) {
        return errno_error(errno, "prompt");
    }
    if (static_cast<std::size_t>(written) != text.size()) {
        return errno_error(EIO, "prompt");
    }
    return {};
}

Result<AnswerPart> LlamuxDevice::read_answer(std::chrono::milliseconds timeout, int wake_fd) {
    pollfd events[] = {{.fd = fd_.get(), .events = POLLIN, .revents = 0},
                       {.fd = wake_fd, .events = POLLIN, .revents = 0}};
    const int n = ::poll(events, 2, static_cast<int>(timeout.count()));
    if (n < 0) {
        return errno_error(errno, "answer");
    }
    if (n == 0) {
        return errno_error(ETIMEDOUT, "answer");
    }
    if (events[1].revents != 0) {
        return errno_error(ECANCELED, "answer");
    }
    AnswerPart part;
    part.bytes.resize(4096);
    const ssize_t got = ::read(fd_.get(), part.bytes.data(), part.bytes.size());
    if (got < 0) {
        return errno_error(errno, "answer");
    }
    part.bytes.resize(static_cast<std::size_t>(got));
    part.complete = got == 0;
    return part;
}

Status LlamuxDevice::cancel() {
    if (::ioctl(fd_.get(), LLAMUX_IOC_CANCEL) != 0) {
        return errno_error(errno, "cancel");
    }
    return {};
}

}  // namespace llamux
