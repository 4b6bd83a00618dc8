// SPDX-License-Identifier: GPL-2.0-only
//
// Catches: a write that nobody notices, our own that is taken for someone else's,
// one from before that is taken for a later one, and marks without end. On plain
// files, which fanotify watches as it does those of cgroups (tests/vm/
// agent_changes_test.cpp has real ones). It needs CAP_SYS_ADMIN.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "kernel/cgroup_watch.hpp"
#include "support/fake_machine.hpp"

namespace llamux {
namespace {

class CgroupWatchTest : public testing::Test {
  protected:
    void SetUp() override {
        if (const Status opened = watch.open(); !opened) {
            GTEST_SKIP() << "who writes a group's files is not checked: " << opened.error().message;
        }
        machine.add_group("/hog");
        watch.begin(group(), kFile, {});
        ASSERT_TRUE(watch.is_watching(group(), kFile));
    }

    Cgroup group() const {
        Result<Cgroup> opened = CgroupFs(machine.roots.cgroup).open("/hog", 0);
        EXPECT_TRUE(opened);
        return std::move(*opened);
    }
    // Another process writes what is there already. Which one?
    pid_t another_writes(const std::function<void(pid_t)>& before = {}) const {
        int ends[2];
        EXPECT_EQ(::pipe(ends), 0);
        const pid_t child = ::fork();
        if (child == 0) {
            char go = 0;
            (void)!::read(ends[0], &go, 1);
            ::_exit(group().write(kFile, "100\n").ok() ? 0 : 1);
        }
        if (before) {
            before(child);
        }
        EXPECT_EQ(::write(ends[1], "g", 1), 1);
        int status = -1;
        EXPECT_EQ(::waitpid(child, &status, 0), child);
        EXPECT_EQ(status, 0);
        ::close(ends[0]);
        ::close(ends[1]);
        return child;
    }

    static constexpr const char* kFile = "cpu.weight";
    FakeMachine machine;
    CgroupWatch watch{machine.roots.proc, machine.clock};
};

TEST_F(CgroupWatchTest, WhoeverWritesIsKnownWhateverTheValue) {
    const std::uint64_t looked_ns = machine.clock.boot_ns();
    machine.clock.advance_ms(1000);
    const pid_t pid = another_writes();
    machine.write("proc/" + std::to_string(pid) + "/comm", "echo");
    const std::optional<Writing> writing = watch.last_writing(group(), kFile);
    ASSERT_TRUE(writing);
    EXPECT_EQ(writer_words(*writing),
              "echo (pid " + std::to_string(pid) + ", uid " + std::to_string(::geteuid()) + ")");
    EXPECT_EQ(writing->boot_ns, looked_ns) << "not before that, for all that is known";
    EXPECT_EQ(watch.last_writing()->pid, pid) << "of any file";
}

TEST_F(CgroupWatchTest, WhoHasEndedHasNoName) {
    const pid_t pid = another_writes();
    EXPECT_EQ(writer_words(*watch.last_writing(group(), kFile)),
              "a program that has ended (pid " + std::to_string(pid) + ")");
}

TEST_F(CgroupWatchTest, WhatWeWriteOrIsWrittenForUsIsNobodyElses) {
    ASSERT_TRUE(group().write(kFile, "50\n"));
    another_writes([this](pid_t pid) { watch.begin(group(), kFile, {pid}); });
    EXPECT_FALSE(watch.last_writing(group(), kFile));
    EXPECT_FALSE(watch.last_writing());
}

TEST_F(CgroupWatchTest, WhatWasBeforeIsForgotten) {
    another_writes();
    watch.begin(group(), kFile, {});
    EXPECT_FALSE(watch.last_writing(group(), kFile));
}

TEST_F(CgroupWatchTest, OtherFilesAreNotWatched) {
    machine.add_group("/web");
    const Result<Cgroup> web = CgroupFs(machine.roots.cgroup).open("/web", 0);
    another_writes();
    EXPECT_FALSE(watch.is_watching(*web, kFile));
    EXPECT_FALSE(watch.last_writing(*web, kFile));
}

TEST_F(CgroupWatchTest, AThousandFilesAreNotWatchedAtOnce) {
    for (int i = 0; i < 1000; i++) {
        const std::string file = "file" + std::to_string(i);
        machine.set_group_file("/hog", file, "");
        watch.begin(group(), file, {});
    }
    int n_watched = 0;
    for (int i = 0; i < 1000; i++) {
        n_watched += watch.is_watching(group(), "file" + std::to_string(i)) ? 1 : 0;
    }
    EXPECT_LE(n_watched, 256);
    EXPECT_TRUE(watch.is_watching(group(), "file999"));
    ASSERT_FALSE(watch.is_watching(group(), kFile));
    watch.begin(group(), kFile, {});
    const pid_t pid = another_writes();
    EXPECT_EQ(watch.last_writing(group(), kFile)->pid, pid) << "watched anew";
}

}  // namespace
}  // namespace llamux
