// SPDX-License-Identifier: GPL-2.0-only
//
// The engine's C headers for C++ tests and tools.
#pragma once

// In C a function may be named like a struct.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
extern "C" {
#include "engine/advise.h"
#include "engine/baseline.h"
#include "engine/bpe.h"
#include "engine/candidates.h"
#include "engine/command.h"
#include "engine/detect.h"
#include "engine/exec.h"
#include "engine/gguf.h"
#include "engine/measure.h"
#include "engine/model.h"
#include "engine/port.h"
#include "engine/prefix.h"
#include "engine/prompt.h"
#include "engine/sampler.h"
#include "engine/score.h"
#include "engine/tensor.h"
#include "engine/tokenizer.h"
#include "engine/tokenizer_load.h"
#include "engine/transformer.h"
#include "engine/utf8.h"
#include "math/ops.h"
#include "simd/kernels.h"
}
#pragma GCC diagnostic pop
