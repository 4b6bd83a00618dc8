// SPDX-License-Identifier: GPL-2.0-only
//
// llamux-agent model: the models that can be had, and the one in the kernel.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "cli/consult.hpp"
#include "kernel/model_store.hpp"
#include "kernel/terminal.hpp"
#include "kernel/thread_io.hpp"
#include "report/progress.hpp"
#include "report/text.hpp"

namespace llamux {
namespace {

struct ModelOptions {
    std::string manifest;
    std::string host;
    std::string model;          // name in the manifest, or (load) a file
    std::string chat_template;  // a key of kChatTemplates; empty: as the file says
};

// As the module names them.
const std::map<std::string, llamux_chat_template> kChatTemplates = {
    {"plain", LLAMUX_TEMPLATE_PLAIN},    {"zephyr", LLAMUX_TEMPLATE_ZEPHYR},
    {"chatml", LLAMUX_TEMPLATE_CHATML},  {"llama-2", LLAMUX_TEMPLATE_LLAMA2},
    {"llama-3", LLAMUX_TEMPLATE_LLAMA3},
};

// The manifest and where its models are, as configured.
struct Shelf {
    std::vector<ModelEntry> entries;
    ModelStore store;
    std::string host;
};

Result<Shelf> open_shelf(const Globals& globals, const ModelOptions& options) {
    const Result<Config> config = read_config(globals);
    if (!config) {
        return config.error();
    }
    const std::string path =
        options.manifest.empty() ? globals.roots.data + "/manifest.json" : options.manifest;
    Result<std::vector<ModelEntry>> entries = read_manifest(path);
    if (!entries) {
        return entries.error();
    }
    const std::string fetched = config->models.directory.empty() ? globals.roots.state + "/models"
                                                                 : config->models.directory;
    const std::size_t slash = path.rfind('/');
    const std::string shipped = slash == std::string::npos ? "." : path.substr(0, slash);
    return Shelf{std::move(*entries), ModelStore(fetched, shipped),
                 options.host.empty() ? config->models.host : options.host};
}

Result<ModelEntry> find_entry(const Shelf& shelf, const std::string& name) {
    std::string known;
    for (const ModelEntry& entry : shelf.entries) {
        if (entry.name == name) {
            return entry;
        }
        known += " " + entry.name;
    }
    return Error{ENOENT, "there is no model " + name + "; known:" + known};
}

Json entry_json(const Shelf& shelf, const ModelEntry& entry) {
    return Json{{"name", entry.name},
                {"file", shelf.store.path_of(entry)},
                {"bytes", entry.bytes},
                {"sha256", entry.sha256},
                {"shipped", entry.shipped},
                {"present", shelf.store.is_here(entry)},
                {"partial_bytes", shelf.store.partial_bytes(entry)},
                {"url", url_of(entry, shelf.host)}};
}

std::string whereabouts(const Shelf& shelf, const ModelEntry& entry) {
    if (shelf.store.is_here(entry)) {
        return shelf.store.path_of(entry);
    }
    const std::uint64_t partial = shelf.store.partial_bytes(entry);
    return partial == 0
               ? "not here: llamux-agent model fetch " + entry.name
               : fmt::format("{} % of it is here: llamux-agent model fetch {}",
                             partial * 100 / std::max<std::uint64_t>(entry.bytes, 1), entry.name);
}

int list(const Globals& globals, const ModelOptions& options) {
    const Result<Shelf> shelf = open_shelf(globals, options);
    if (!shelf) {
        return tell_error(globals, shelf.error());
    }
    Json json = Json::array();
    Table table({"MODEL", "MB", "FILE"});
    for (const ModelEntry& entry : shelf->entries) {
        json.push_back(entry_json(*shelf, entry));
        table.add({printable(entry.name), fmt::format("{:.1f}", entry.bytes / 1e6),
                   printable(whereabouts(*shelf, entry))});
    }
    if (globals.json) {
        print_json(Json{{"models", json}});
    } else {
        std::printf("%s", table.text(output_columns()).c_str());
    }
    return kExitHealthy;
}

// The progress goes to standard error: what a script reads stays clean.
Status fetch_shown(const Globals& globals, const Shelf& shelf, const ModelEntry& entry) {
    const bool terminal = ::isatty(STDERR_FILENO) == 1;
    Progress progress(entry.name, terminal, error_columns());
    SystemClock clock;
    const auto show = [&](std::uint64_t have_bytes, std::uint64_t all_bytes) {
        if (!globals.json) {
            std::fputs(progress.update(have_bytes, all_bytes, clock.boot_ns()).c_str(), stderr);
        }
    };
    const Status fetched = shelf.store.fetch(entry, shelf.host, show);
    std::fputs(progress.finish().c_str(), stderr);
    return fetched;
}

int fetch(const Globals& globals, const ModelOptions& options) {
    const Result<Shelf> shelf = open_shelf(globals, options);
    if (!shelf) {
        return tell_error(globals, shelf.error());
    }
    const Result<ModelEntry> entry = find_entry(*shelf, options.model);
    if (!entry) {
        return tell_error(globals, entry.error());
    }
    const bool was_here = shelf->store.is_here(*entry) && shelf->store.verify(*entry).ok();
    if (!was_here && entry->shipped) {
        return tell_error(globals, Error{ENOENT, entry->name + " comes with the package; " +
                                                     shelf->store.path_of(*entry) +
                                                     " is missing or damaged: install it again"});
    }
    if (!was_here) {
        if (const Status fetched = fetch_shown(globals, *shelf, *entry); !fetched) {
            return tell_error(globals, fetched.error());
        }
    }
    const std::string path = shelf->store.path_of(*entry);
    if (globals.json) {
        print_json(entry_json(*shelf, *entry));
    } else {
        std::printf("%s: %s, verified\n", printable(path).c_str(),
                    was_here ? "was here already" : "fetched");
    }
    return kExitHealthy;
}

int verify(const Globals& globals, const ModelOptions& options) {
    const Result<Shelf> shelf = open_shelf(globals, options);
    if (!shelf) {
        return tell_error(globals, shelf.error());
    }
    if (!options.model.empty()) {
        if (const Result<ModelEntry> entry = find_entry(*shelf, options.model); !entry) {
            return tell_error(globals, entry.error());
        }
    }
    int status = kExitNoData;  // nothing was there to be verified
    Json json = Json::array();
    for (const ModelEntry& entry : shelf->entries) {
        const bool is_meant =
            options.model.empty() ? shelf->store.is_here(entry) : entry.name == options.model;
        if (!is_meant) {
            continue;
        }
        const Status sound = shelf->store.verify(entry);
        const std::string words = sound ? "as the manifest says" : sound.error().message;
        const int this_status = sound ? kExitHealthy : exit_status_of(sound.error());
        status = status == kExitNoData ? this_status : std::max(status, this_status);
        json.push_back(Json{{"name", entry.name}, {"sound", sound.ok()}, {"why", words}});
        if (!globals.json) {
            std::printf("%s: %s\n", printable(entry.name).c_str(), printable(words).c_str());
        }
    }
    if (globals.json) {
        print_json(Json{{"models", json}});
    } else if (json.empty()) {
        std::printf("no model is here\n");
    }
    return status;
}

Json info_json(const llamux_model_info& info) {
    return Json{{"name", printable(info.name)},
                {"quantisation", printable(info.quantisation)},
                {"isa", printable(info.isa)},
                {"format", printable(info.format)},
                {"n_layer", info.n_layer},
                {"n_embd", info.n_embd},
                {"n_ff", info.n_ff},
                {"n_head", info.n_head},
                {"n_head_kv", info.n_head_kv},
                {"n_vocab", info.n_vocab},
                {"n_ctx", info.n_ctx},
                {"n_tensors", info.n_tensors},
                {"n_params", info.n_params},
                {"generation", info.generation},
                {"file_bytes", info.file_bytes},
                {"weight_bytes", info.weight_bytes},
                {"load_ns", info.load_ns}};
}

void print_info(const llamux_model_info& info) {
    const auto line = [](const char* what, const std::string& text) {
        std::printf("%-14s %s\n", what, text.c_str());
    };
    line("name", printable(info.name));
    line("quantisation", printable(info.quantisation));
    line("kernels", printable(info.isa));
    line("prompt format", printable(info.format));
    line("shape", fmt::format("{} layers, {} wide, {} in the middle, {} heads, {} for keys",
                              info.n_layer, info.n_embd, info.n_ff, info.n_head, info.n_head_kv));
    line("vocabulary", fmt::format("{} tokens", info.n_vocab));
    line("context", fmt::format("{} tokens", info.n_ctx));
    line("parameters", fmt::format("{} in {} tensors", info.n_params, info.n_tensors));
    line("file", fmt::format("{} bytes", info.file_bytes));
    line("memory", fmt::format("{} bytes", info.weight_bytes));
    line("loaded", fmt::format("in {:.0f} ms, as number {}",
                               static_cast<double>(info.load_ns) / 1e6, info.generation));
}

int info(const Globals& globals) {
    const Result<std::unique_ptr<Device>> device = LlamuxDevice::open(globals.roots.device);
    if (!device) {
        return tell_error(globals, device.error());
    }
    const Result<llamux_model_info> model = (*device)->model_info();
    if (!model) {
        return tell_error(globals, model.error().code == ENODATA
                                       ? Error{ENODATA, "no model is loaded: rules decide"}
                                       : model.error());
    }
    if (globals.json) {
        print_json(info_json(*model));
    } else {
        print_info(*model);
    }
    return kExitHealthy;
}

// A name of the manifest is verified first; a file is taken as it is, and the
// module checks that it can run it.
Result<std::string> file_to_load(const Globals& globals, const ModelOptions& options) {
    if (options.model.find('/') != std::string::npos || options.model.ends_with(".gguf")) {
        return options.model;
    }
    const Result<Shelf> shelf = open_shelf(globals, options);
    if (!shelf) {
        return shelf.error();
    }
    const Result<ModelEntry> entry = find_entry(*shelf, options.model);
    if (!entry) {
        return entry.error();
    }
    if (const Status sound = shelf->store.verify(*entry); !sound) {
        return sound.error();
    }
    return shelf->store.path_of(*entry);
}

// The module reads the file in one call, which the kernel counts for this thread
// as it goes on: another one shows it.
Status load_shown(const Globals& globals, Device& device, const std::string& path,
                  llamux_chat_template chat_template) {
    std::error_code error;
    const std::uint64_t all_bytes = std::filesystem::file_size(path, error);
    Progress progress("loading", ::isatty(STDERR_FILENO) == 1, error_columns());
    SystemClock clock;
    const auto show = [&](std::uint64_t have_bytes) {
        if (!globals.json && !error) {
            std::fputs(progress.update(have_bytes, all_bytes, clock.boot_ns()).c_str(), stderr);
        }
    };
    const pid_t loader = ::gettid();
    const std::optional<std::uint64_t> before = bytes_read_by(loader, globals.roots.proc);
    std::jthread watcher([&](const std::stop_token& stop) {
        std::mutex mutex;
        std::unique_lock lock(mutex);
        std::condition_variable_any woken;
        while (!stop.stop_requested()) {
            const std::optional<std::uint64_t> now = bytes_read_by(loader, globals.roots.proc);
            if (before && now) {
                show(std::min(*now - *before, all_bytes));
            }
            woken.wait_for(lock, stop, std::chrono::milliseconds(100), [] { return false; });
        }
    });
    const Status loaded = device.load_model(path, chat_template);
    watcher.request_stop();
    watcher.join();
    if (loaded) {
        show(all_bytes);
    }
    std::fputs(progress.finish().c_str(), stderr);
    return loaded;
}

int load(const Globals& globals, const ModelOptions& options) {
    const Result<std::string> path = file_to_load(globals, options);
    if (!path) {
        return tell_error(globals, path.error());
    }
    const Result<std::unique_ptr<Device>> device = LlamuxDevice::open(globals.roots.device);
    if (!device) {
        return tell_error(globals, device.error());
    }
    const auto chosen = kChatTemplates.find(options.chat_template);
    const llamux_chat_template chat_template =
        chosen == kChatTemplates.end() ? LLAMUX_TEMPLATE_BY_FILE : chosen->second;
    if (const Status loaded = load_shown(globals, **device, *path, chat_template); !loaded) {
        return tell_error(globals, loaded.error());
    }
    return info(globals);
}

}  // namespace

void add_model(CLI::App& app, Globals& globals) {
    auto options = std::make_shared<ModelOptions>();
    CLI::App* model = app.add_subcommand("model", "Fetch, verify and load models");
    model->require_subcommand(1);
    model->add_option("--manifest", options->manifest, "Description of the models that can be had")
        ->type_name("FILE");
    const auto add = [&](const char* name, const char* help, auto run) {
        CLI::App* command = model->add_subcommand(name, help);
        command->callback(
            [&globals, options, run] { globals.exit_status = run(globals, *options); });
        return command;
    };
    add("list", "The models of the manifest, and which are here", list);
    CLI::App* fetching =
        add("fetch", "Download a model, going on where an earlier try stopped", fetch);
    fetching->add_option("name", options->model, "Model, as `model list` shows it")->required();
    fetching->add_option("--host", options->host, "Where from, instead of the manifest's host")
        ->type_name("URL");
    add("verify", "Compare size and SHA-256 with the manifest", verify)
        ->add_option("name", options->model, "Model; all that are here if left out");
    CLI::App* loading = add("load", "Make a model the kernel's", load);
    loading->add_option("model", options->model, "Model of the manifest, or a GGUF file")
        ->required();
    loading
        ->add_option("--chat-template", options->chat_template,
                     "How its prompts are written, instead of what the file says")
        ->type_name("NAME")
        ->check(CLI::IsMember(kChatTemplates));
    add("info", "What the kernel says about its model",
        [](const Globals& all, const ModelOptions&) { return info(all); });
}

}  // namespace llamux
