// SPDX-License-Identifier: GPL-2.0-only
//
// Workloads for the demo and the fault suite: a service with a metric that its
// users feel (service.hpp), and what hurts it (loads.hpp). `workload COMMAND
// --help` has the options. It puts itself nowhere: the caller chooses the cgroup.
#include <CLI/CLI.hpp>

#include "loads.hpp"
#include "service.hpp"

namespace {

using namespace llamux::gym;

const CLI::Range kThreads(1, 256);
const CLI::Range kRate(0, 10'000'000);
const CLI::Range kMebibytes(1, 1 << 20);

// What the culprits take. Each uses some of it.
struct LoadOptions {
    int threads = 1;
    int seconds = 0;
    int rate = 0;
    int work_us = 200;
    int mib = 64;
    int from_mib = 0;
    std::uint64_t seed = 1;
    std::string file;
};

void add_service(CLI::App& app, ServiceOptions& options, int& status) {
    CLI::App* command = app.add_subcommand("service", "Open-loop request queue");
    Request& request = options.request;
    command->add_option("--threads", options.threads)->check(kThreads);
    command->add_option("--rate", options.rate, "requests a second")->check(CLI::Range(1, 100000));
    command->add_option("--work-us", request.work_us, "CPU time of a request")
        ->check(CLI::Range(0, 1'000'000));
    command->add_option("--hold-us", request.hold_us, "time in which a request holds a shared lock")
        ->check(CLI::Range(0, 1'000'000));
    command->add_option("--pages", request.pages, "pages a request touches")
        ->check(CLI::Range(0, 100'000));
    command->add_option("--memory-mib", options.memory_mib, "memory these pages are in");
    command->add_option("--reads", request.reads, "file these pages are read from");
    command->add_option("--appends", request.appends, "file a request appends to and syncs");
    command->add_option("--give-up-ms", options.give_up_ms)->check(CLI::Range(1, 60000));
    command->add_option("--seconds", options.seconds, "0: until killed");
    command->add_option("--seed", options.seed);
    command->add_option("--out", options.out, "file for the lines; default stdout");
    command->callback([&] { status = run_service(options); });
}

void add_loads(CLI::App& app, LoadOptions& o, int& status) {
    const auto add = [&](const char* name, const char* what, const std::function<int()>& run) {
        CLI::App* command = app.add_subcommand(name, what);
        command->add_option("--threads", o.threads)->check(kThreads);
        command->callback([&status, run] { status = run(); });
        return command;
    };
    const auto add_rate = [&](CLI::App* command) {
        command->add_option("--rate", o.rate, "a second and thread; 0: no limit")->check(kRate);
    };
    const auto add_file = [&](CLI::App* command) {
        command->add_option("--file", o.file)->required();
        command->add_option("--seed", o.seed);
        return command;
    };
    add("hog", "Threads that never sleep", [&] {
        return run_hog(o.threads, o.seconds);
    })->add_option("--seconds", o.seconds, "0: until killed");
    add_rate(
        add("forks", "Processes that end at once", [&] { return run_forks(o.threads, o.rate); }));
    add("migrations", "Threads that change CPUs", [&] {
        return run_migrations(o.threads, o.work_us);
    })->add_option("--work-us", o.work_us, "CPU time between two moves");
    CLI::App* leak = app.add_subcommand("leak", "Memory that grows");
    leak->add_option("--rate", o.rate, "MiB a second")->required()->check(kMebibytes);
    leak->add_option("--mib", o.mib, "most of it")->check(kMebibytes);
    leak->add_option("--from-mib", o.from_mib, "at once");
    leak->add_option("--seed", o.seed);
    leak->callback([&] { status = run_leak(o.from_mib, o.rate, o.mib, o.seed); });
    CLI::App* touch = app.add_subcommand("touch", "Memory in use");
    touch->add_option("--mib", o.mib, "of memory")->check(kMebibytes);
    touch->add_option("--rate", o.rate, "pages written to a second")->required()->check(kRate);
    touch->add_option("--seed", o.seed);
    touch->callback([&] { status = run_touch(o.mib, o.rate, o.seed); });
    add_file(add("writer", "Overwrites a file", [&] { return run_writer(o.file, o.mib); }))
        ->add_option("--mib", o.mib, "size of the file")
        ->check(kMebibytes);
    add_file(add("reader", "Reads a file at random, past the page cache",
                 [&] { return run_reader(o.file, o.threads, o.seed); }));
    add_rate(add("flood", "UDP over loopback", [&] { return run_flood(o.threads, o.rate); }));
    add("huge-pages", "Takes and gives back huge pages", [&] { return run_huge_pages(o.threads); });
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("Workloads for the demo and the fault suite");
    app.require_subcommand(1);
    ServiceOptions service;
    LoadOptions load;
    int status = 1;
    add_service(app, service, status);
    add_loads(app, load, status);
    CLI11_PARSE(app, argc, argv);
    return status;
}
