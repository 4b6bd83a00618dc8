// SPDX-License-Identifier: GPL-2.0-only
//
// The engine's C headers for C++ tests and tools.
#pragma once

extern "C" {
#include "engine/advise.h"
#include "engine/baseline.h"
#include "engine/candidates.h"
#include "engine/detect.h"
#include "engine/exec.h"
#include "engine/measure.h"
#include "engine/model.h"
#include "engine/port.h"
#include "engine/prompt.h"
#include "engine/sampler.h"
#include "engine/score.h"
#include "engine/tensor.h"
#include "engine/tokenizer.h"
#include "engine/transformer.h"
#include "math/ops.h"
#include "simd/kernels.h"
}
