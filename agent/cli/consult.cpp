// SPDX-License-Identifier: GPL-2.0-only
//
// See consult.hpp.
#include "cli/consult.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <thread>

#include "advise/advise.hpp"
#include "report/text.hpp"

namespace llamux {

Result<Config> read_config(const Globals& globals) {
    return load_config(globals.roots.config,
                       globals.roots.config != Roots::of_this_machine().config);
}

Result<std::unique_ptr<Service>> open_service(const Globals& globals) {
    Result<Config> config = read_config(globals);
    if (!config) {
        return config.error();
    }
    return Service::make(globals.roots, std::move(*config), {});
}

Result<Consultation> consult(const Globals& globals, std::chrono::milliseconds window,
                             std::uint32_t flags) {
    Consultation look;
    Result<std::unique_ptr<Service>> service = open_service(globals);
    if (!service) {
        return service.error();
    }
    look.service = std::move(*service);
    if (const Status started = look.service->start_telemetry(); !started) {
        look.no_telemetry = started.error().message;
    }
    Result<std::unique_ptr<Device>> device = look.service->open_device();
    if (!device) {
        return device.error();
    }
    look.device = std::move(*device);
    // The first reading opens the window, the second closes it.
    Result<Sensed> sensed = look.service->sense().read();
    if (!sensed) {
        return sensed.error();
    }
    if (const auto opened = look.device->snapshot(sensed->signals.get()); !opened) {
        return opened.error().in("looking at every cgroup needs root (CAP_SYS_ADMIN)");
    }
    std::this_thread::sleep_for(window);
    sensed = look.service->sense().read();
    if (!sensed) {
        return sensed.error();
    }
    const Result<Advice> advice = look.device->advise(sensed->signals.get(), flags);
    if (!advice) {
        return advice.error();
    }
    Result<Suggestion> suggestion = make_suggestion(*advice, sensed->tree, look.service->clock());
    if (!suggestion) {
        return suggestion.error();
    }
    look.sensed = std::move(*sensed);
    look.snapshot = advice->snapshot;
    const Result<Experience> experience = look.service->experience().load();
    look.suggestion = experience ? weigh(std::move(*suggestion), *experience) : *suggestion;
    if (look.suggestion.change() != nullptr) {
        if (const Status saved = look.service->suggestions().save(look.suggestion); !saved) {
            return saved.error();
        }
    }
    return look;
}

void add_window_option(CLI::App& command, double& window_seconds) {
    command.add_option("--window", window_seconds, "Seconds to look before answering")
        ->capture_default_str()
        ->check(CLI::Range(0.1, 60.0));
}

std::chrono::milliseconds to_milliseconds(double seconds) {
    return std::chrono::milliseconds(static_cast<long>(seconds * 1000));
}

int exit_status_of(const Error& error) {
    switch (error.code) {
        case EPERM:
        case EACCES:
            return kExitNotPermitted;
        case ENOENT:
        case ENODEV:
        case ENXIO:
        case ENODATA:
        case ENOTUNIQ:
        case ESTALE:
        case EHOSTUNREACH:
        case ECONNABORTED:
            return kExitNoData;
        default:
            return kExitProblem;
    }
}

int tell_error(const Globals& globals, const Error& error) {
    const int status = exit_status_of(error);
    if (globals.json) {
        print_json(Json{{"error", error.message}, {"exit_status", status}});
    } else {
        // A configuration with many mistakes is one error of many lines.
        std::string_view rest = error.message;
        do {
            const std::string_view line = rest.substr(0, rest.find('\n'));
            rest.remove_prefix(std::min(rest.size(), line.size() + 1));
            std::fprintf(stderr, "llamux-agent: %s\n", printable(line).c_str());
        } while (!rest.empty());
    }
    return status;
}

void audit(Service& service, const Event& event) {
    if (const Status written = service.audit(service.record_of(event)); !written) {
        std::fprintf(stderr, "llamux-agent: no audit log: %s\n",
                     printable(written.error().message).c_str());
    }
}

void print_json(const Json& json) {
    std::printf("%s\n", dump_line(json).c_str());
}

int exit_status_of(const Suggestion& suggestion) {
    return suggestion.facts.empty() ? kExitHealthy : kExitProblem;
}

}  // namespace llamux
