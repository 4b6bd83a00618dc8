// SPDX-License-Identifier: GPL-2.0-only
//
// A program that is started and held before its first instruction, so that
// what is to be done for it is done before it runs; and the wait for the end
// of it, or of any process.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "core/result.hpp"
#include "kernel/files.hpp"
#include "kernel/process.hpp"

namespace llamux {

// Until the process has ended (true) or a signal to stop came (false). ESRCH:
// there is no such process.
Result<bool> wait_for_end(pid_t pid, StopSignals& signals);

class HeldProgram {
  public:
    static Result<HeldProgram> start(const std::vector<std::string>& words);
    HeldProgram(HeldProgram&& other) noexcept;
    HeldProgram& operator=(HeldProgram&&) = delete;
    // A program that was never let go ends.
    ~HeldProgram();

    pid_t pid() const { return pid_; }
    Status let_go();
    // Its exit status, 128 + n if signal n ended it; hands on our signals.
    int wait(StopSignals& signals);

  private:
    HeldProgram(pid_t pid, Fd gate) : pid_(pid), gate_(std::move(gate)) {}

    pid_t pid_;
    Fd gate_;
};

}  // namespace llamux
