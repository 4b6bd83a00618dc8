// SPDX-License-Identifier: GPL-2.0-only
// Catches: a loader that loses counters when the agent restarts, goes on with
// maps or programs that do not fit, fails as a whole where one probe is
// missing, leaves something behind, or gives no clear reason. Runs as root in
// a guest.
#include <bpf/btf.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/syscall.h>

#include <filesystem>
#include <string>
#include <vector>

#include "counters.hpp"
#include "kernel/bpf_source.hpp"
#include "load.hpp"

namespace llamux::test {
namespace {

// Twin of struct llamux_meta (bpf/llamux.bpf.h).
struct Meta {
    std::uint64_t object_hash;
    std::uint32_t schema;
    std::uint32_t refused;
};

BpfOptions options() {
    BpfOptions result;
    result.pin_directory = "/sys/fs/bpf/llamux_source_test";
    return result;
}

std::string pinned(const std::string& name) {
    return options().pin_directory + "/" + name;
}

// Programs in the kernel whose name begins with llamux_, of whatever loader.
std::size_t n_programs() {
    std::size_t n = 0;
    for (std::uint32_t id = 0; bpf_prog_get_next_id(id, &id) == 0;) {
        const Fd fd(bpf_prog_get_fd_by_id(id));
        bpf_prog_info info = {};
        std::uint32_t length = sizeof(info);
        if (fd.is_open() && bpf_obj_get_info_by_fd(fd.get(), &info, &length) == 0) {
            n += std::string_view(info.name).starts_with("llamux_");
        }
    }
    return n;
}

const Probe& probe_of(const std::vector<Probe>& probes, const std::string& name) {
    for (const Probe& probe : probes) {
        if (probe.name == name) {
            return probe;
        }
    }
    static const Probe none;
    ADD_FAILURE() << "no probe " << name;
    return none;
}

void change_meta(std::uint64_t hash_change, std::uint32_t schema_change) {
    const Fd fd(bpf_obj_get(pinned("llamux_meta").c_str()));
    const std::uint32_t key = 0;
    Meta meta = {};
    ASSERT_EQ(bpf_map_lookup_elem(fd.get(), &key, &meta), 0);
    EXPECT_EQ(meta.schema, std::uint32_t{LLAMUX_TELEMETRY_SCHEMA});
    meta.object_hash += hash_change;
    meta.schema += schema_change;
    ASSERT_EQ(bpf_map_update_elem(fd.get(), &key, &meta, BPF_ANY), 0);
}

class Source : public testing::Test {
  protected:
    void SetUp() override { ASSERT_TRUE(BpfSource::unload(options().pin_directory)); }
    void TearDown() override {
        ASSERT_TRUE(BpfSource::unload(options().pin_directory));
        EXPECT_FALSE(std::filesystem::exists(options().pin_directory));
    }

    // ensure(), which must work, and what is then counted for the group.
    void ensure(bool reused, std::uint64_t forks_before) {
        Result<BpfSource> source = BpfSource::ensure(options());
        ASSERT_TRUE(source) << source.error().message;
        EXPECT_EQ(source->reused(), reused);
        EXPECT_EQ(cgroup_record(source->cgroups_fd(), group_.id()).forks, forks_before);
        EXPECT_EQ(run_in(group_, [] { fork_times(7); }), 0);
        EXPECT_EQ(cgroup_record(source->cgroups_fd(), group_.id()).forks, forks_before + 7);
    }

    Group group_{"bpf_source"};
};

TEST_F(Source, CountingGoesOnWithoutTheAgent) {
    ensure(false, 0);
    // here nobody holds a descriptor
    EXPECT_EQ(run_in(group_, [] { fork_times(11); }), 0);
    const std::size_t n = n_programs();
    ensure(true, 18);
    EXPECT_EQ(n_programs(), n) << "nothing was loaded a second time";
}

TEST_F(Source, OtherProgramsGoOnWithTheSameCounters) {
    ensure(false, 0);
    change_meta(1, 0);
    ensure(false, 7);
    ensure(true, 14);
}

TEST_F(Source, OtherSchemaStartsFromZero) {
    ensure(false, 0);
    change_meta(0, 1);
    ensure(false, 0);
}

TEST_F(Source, SetThatIsNotWholeIsReplaced) {
    ensure(false, 0);
    const std::size_t n = n_programs();
    ASSERT_EQ(unlink(pinned("llamux_meta").c_str()), 0);
    ensure(false, 0);
    ASSERT_EQ(unlink(pinned("links/llamux_switch").c_str()), 0);
    ensure(false, 7);  // the maps are fine
    EXPECT_EQ(n_programs(), n) << "the former programs are gone";
}

TEST_F(Source, MapOfAnotherLayoutIsReplaced) {
    ensure(false, 0);
    ASSERT_EQ(unlink(pinned(LLAMUX_MAP_SYSTEM).c_str()), 0);
    const Fd wrong(bpf_map_create(BPF_MAP_TYPE_PERCPU_ARRAY, "wrong", 4,
                                  sizeof(llamux_system_record) - 8, 1, nullptr));
    ASSERT_EQ(bpf_obj_pin(wrong.get(), pinned(LLAMUX_MAP_SYSTEM).c_str()), 0);
    ensure(false, 0);
    ensure(true, 7);
}

TEST_F(Source, ProbeThatIsSwitchedOffIsLeftOut) {
    BpfOptions without = options();
    without.leave_out = {"refaults", "context switches"};
    Result<BpfSource> source = BpfSource::ensure(without);
    ASSERT_TRUE(source) << source.error().message;
    EXPECT_EQ(probe_of(source->probes(), "refaults").line(),
              "probe refaults: not active (switched off); missing: refaults of file and "
              "anonymous pages");
    EXPECT_TRUE(probe_of(source->probes(), "context switches").active) << "a required one";
    EXPECT_FALSE(std::filesystem::exists(pinned("links/llamux_refault")));
    ensure(false, 0);  // wanted again: the set does not fit
    EXPECT_TRUE(std::filesystem::exists(pinned("links/llamux_refault")));
}

// Takes all places of the trampoline at a function (BPF_MAX_TRAMP_LINKS).
class FullTrampoline {
  public:
    explicit FullTrampoline(const char* function) {
        btf* types = btf__load_vmlinux_btf();
        const bpf_insn code[] = {
            {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
            {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
        LIBBPF_OPTS(bpf_prog_load_opts, load);
        load.expected_attach_type = BPF_TRACE_FENTRY;
        load.attach_btf_id =
            static_cast<std::uint32_t>(btf__find_by_name_kind(types, function, BTF_KIND_FUNC));
        btf__free(types);
        for (int i = 0; i < 38; i++) {
            programs_.emplace_back(
                bpf_prog_load(BPF_PROG_TYPE_TRACING, "filler", "GPL", code, 2, &load));
            links_.emplace_back(
                bpf_link_create(programs_.back().get(), 0, BPF_TRACE_FENTRY, nullptr));
        }
    }
    bool is_full() const { return links_.back().is_open(); }

  private:
    std::vector<Fd> programs_;
    std::vector<Fd> links_;
};

TEST_F(Source, ProbeThatCannotBeAttachedIsLeftOut) {
    {
        const FullTrampoline filler("workingset_refault");
        ASSERT_TRUE(filler.is_full());
        Result<BpfSource> source = BpfSource::ensure(options());
        ASSERT_TRUE(source) << source.error().message;
        for (const Probe& probe : source->probes()) {
            EXPECT_EQ(probe.active, probe.name != "refaults") << probe.line();
        }
        EXPECT_EQ(probe_of(source->probes(), "refaults").reason,
                  "llamux_refault: Argument list too long");
        EXPECT_FALSE(std::filesystem::exists(pinned("links/llamux_refault")));
    }
    const Result<std::vector<Probe>> survey = BpfSource::survey(options());
    ASSERT_TRUE(survey);
    EXPECT_FALSE(probe_of(*survey, "refaults").active);
    Result<BpfSource> again = BpfSource::ensure(options());
    ASSERT_TRUE(again);
    EXPECT_TRUE(again->reused()) << "counting is not interrupted for a probe that failed before";
    EXPECT_EQ(probe_of(again->probes(), "refaults").reason,
              "the kernel refused it when the telemetry was started");
}

// ---- clear errors, and nothing left behind ------------------------------------

TEST_F(Source, NotABpfFileSystem) {
    BpfOptions elsewhere = options();
    elsewhere.pin_directory = "/tmp/llamux_source_test";
    const Result<BpfSource> source = BpfSource::ensure(elsewhere);
    ASSERT_FALSE(source);
    EXPECT_EQ(source.error().code, ENOTDIR);
    EXPECT_EQ(source.error().message,
              "/tmp/llamux_source_test is not on a BPF file system (mount -t bpf bpf /tmp)");
    EXPECT_FALSE(std::filesystem::exists(elsewhere.pin_directory));
}

// Runs ensure() with only these capabilities and compares the error.
void expect_refused_with(std::vector<unsigned> capabilities, const std::string& message) {
    const pid_t pid = fork();
    if (pid == 0) {
        __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
        __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {};
        for (unsigned capability : capabilities) {
            sets[CAP_TO_INDEX(capability)].effective |= CAP_TO_MASK(capability);
            sets[CAP_TO_INDEX(capability)].permitted |= CAP_TO_MASK(capability);
        }
        if (syscall(SYS_capset, &header, sets) != 0) {
            _exit(2);
        }
        const Result<BpfSource> source = BpfSource::ensure(options());
        const bool as_expected =
            !source && source.error().code == EPERM && source.error().message == message;
        if (!as_expected) {
            fprintf(stderr, "got: %s\n", source ? "success" : source.error().message.c_str());
        }
        _exit(as_expected ? 0 : 1);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    EXPECT_EQ(status, 0) << message;
}

TEST_F(Source, MissingCapabilityIsNamed) {
    expect_refused_with({}, "BPF telemetry needs CAP_BPF and CAP_PERFMON (or CAP_SYS_ADMIN)");
    expect_refused_with({CAP_BPF}, "BPF telemetry needs CAP_PERFMON (or CAP_SYS_ADMIN)");
    expect_refused_with({CAP_PERFMON}, "BPF telemetry needs CAP_BPF (or CAP_SYS_ADMIN)");
}

TEST_F(Source, UnloadOfNothing) {
    EXPECT_TRUE(BpfSource::unload(options().pin_directory));
    const std::size_t before = n_programs();
    ensure(false, 0);
    EXPECT_GT(n_programs(), before);
    EXPECT_TRUE(BpfSource::unload(options().pin_directory));
    // trampolines and programs are freed after a grace period
    for (int i = 0; i < 100 && n_programs() != before; i++) {
        usleep(20'000);
    }
    EXPECT_EQ(n_programs(), before);
    EXPECT_TRUE(BpfSource::unload(options().pin_directory));
}

}  // namespace
}  // namespace llamux::test
