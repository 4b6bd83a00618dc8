#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Builds and runs the benchmarks; results as tables here and as JSON and a plot
# in build/bench/. Peers come from PyPI into a virtual environment there. Say
# what else runs on the machine when quoting a number.
#
#   tests/bench/run.sh [--quick]
#
# --quick: fewer rounds, and no User Mode Linux, which takes ten minutes to build.
# LLAMUX_BENCH_MODEL: a file to compare on instead of one with TinyLlama's
# geometry and random weights.
set -eu

repo=$(cd "$(dirname "$0")/../.." && pwd)
build=$repo/build
out=$build/bench
peers="xllamacpp ik-llama-cpp-python"

has_target() { cmake --build "$build" --target help | grep -q "^$1:"; }

# A Python with the peers' packages; one line for each that cannot be had.
install_peers() {
	if [ ! -x "$out/venv/bin/pip" ] && ! /usr/bin/python3 -m venv "$out/venv"; then
		echo "bench: python3-venv is missing: no peers"
		return
	fi
	for package in $peers; do
		"$out/venv/bin/pip" show -q "$package" 2>/dev/null ||
			"$out/venv/bin/pip" install -q --disable-pip-version-check "$package" ||
			echo "bench: package $package cannot be had"
	done
}

# Prints the path of the file to compare on: that of tests/golden/test-tinyllama.
model_file() {
	model=${LLAMUX_BENCH_MODEL:-$build/tinyllama/random-q4_k_m.gguf}
	if [ ! -f "$model" ]; then
		mkdir -p "$(dirname "$model")"
		"$build/tests/support/make_tinyllama" "$model" >&2
	fi
	echo "$model"
}

guests="6.12 uml-plain"
[ "${1:-}" != --quick ] || guests=6.12

[ -f "$build/build.ninja" ] || cmake -S "$repo" --preset release
cmake --build "$build" --target engine_bench bench_server make_tinyllama llamux-agent kmod
mkdir -p "$out"

echo "machine: $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2- | sed 's/^ *//')," \
	"$(nproc) CPUs, load $(cut -d' ' -f1 /proc/loadavg), commit $(git -C "$repo" describe --always --dirty)"

model=$(model_file)
install_peers
/usr/bin/python3 "$repo/tests/bench/compare.py" --server "$build/tests/bench/bench_server" \
	--python "$out/venv/bin/python" --out "$out" "$@" "$model"

if [ "$guests" != 6.12 ]; then
	"$repo/tests/support/setup.sh" uml
	cmake -S "$repo" --preset uml
	cmake --build "$build" --target uml-plain
	echo "in the kernel, at native speed:"
	/usr/bin/python3 "$repo/tests/bench/uml.py" --server "$build/tests/bench/bench_server" \
		--python "$out/venv/bin/python" --out "$out" "$model" ||
		echo "bench: no figures of a User Mode Linux"
fi

smollm2=$build/downloads/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
if [ -f "$smollm2" ]; then
	echo "while a guest thrashes:"
	/usr/bin/python3 "$repo/tests/bench/thrash.py" --python "$out/venv/bin/python" \
		--out "$out" "$smollm2" || echo "bench: no figures under thrash"
	for kernel in $guests; do
		echo "how late others wake up, Linux $kernel:"
		/usr/bin/python3 "$repo/tests/bench/neighbour.py" --kernel "$kernel" --out "$out" \
			"$smollm2" || echo "bench: no figures beside inference"
	done
else
	echo "bench: SmolLM2 is missing (make setup fetches it): no figures under thrash or beside inference"
fi

/usr/bin/python3 "$repo/tests/bench/idle.py" --out "$out" "$build/agent/llamux-agent"

"$build/tests/bench/engine_bench" --json "$out/engine.json" "$@"

if has_target simd_bench; then
	cmake --build "$build" --target simd_bench
	"$build/tests/bench/simd_bench" --benchmark_out="$out/simd.json" \
		--benchmark_out_format=json
fi
echo "JSON: $out"
