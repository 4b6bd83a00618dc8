#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Builds and runs the benchmarks; results as tables here and as JSON in
# build/bench/. Say what else runs on the machine when quoting a number.
#
#   tests/bench/run.sh [--quick]
set -eu

repo=$(cd "$(dirname "$0")/../.." && pwd)
build=$repo/build
out=$build/bench

[ -f "$build/build.ninja" ] || cmake -S "$repo" --preset release
cmake --build "$build" --target engine_bench
mkdir -p "$out"

echo "machine: $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2- | sed 's/^ *//')," \
	"$(nproc) CPUs, load $(cut -d' ' -f1 /proc/loadavg), commit $(git -C "$repo" describe --always --dirty)"
"$build/tests/bench/engine_bench" --json "$out/engine.json" "$@"

if cmake --build "$build" --target help | grep -q '^simd_bench:'; then
	cmake --build "$build" --target simd_bench
	"$build/tests/bench/simd_bench" --benchmark_out="$out/simd.json" \
		--benchmark_out_format=json
fi
echo "JSON: $out"
