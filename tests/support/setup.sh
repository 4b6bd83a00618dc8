#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Installs what Llamux needs to be built, tested and shown on Debian 12, and
# fetches the guest kernels. May be run any number of times; when everything is
# there it takes a fraction of a second and touches no network. One line per
# step; one clear line for each package that cannot be had.
#
# It must not change how the machine boots: kernel images are only unpacked
# below build/downloads, never installed.
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
# llamux.ko: headers of Debian 12's two kernels, and what kbuild calls
required|llamux.ko for Linux 6.1|linux-headers-amd64
required|llamux.ko for Linux 6.12|linux-headers-6.12-amd64
required|llamux.ko|libelf-dev kmod xz-utils zstd
optional|BTF of llamux.ko|pahole
# BPF: clang compiles CO-RE objects, bpftool makes skeletons and dumps maps
required|the BPF telemetry|clang llvm bpftool libbpf-dev zlib1g-dev
# agent: logging, JSON configuration, command line, systemd over D-Bus
required|llamux-agent|libspdlog-dev nlohmann-json3-dev libcli11-dev libsystemd-dev
# guest kernels: emulator, initramfs, tools the guest tests call
required|the guest tests and the demo|qemu-system-x86 busybox-static python3 iproute2 procps util-linux
required|load for the demo and the guest tests|stress-ng
# unit tests, and an independent tokenizer to compare with
required|the unit tests|libgtest-dev libgmock-dev
required|the tokenizer comparison|libsentencepiece-dev
# sanitizers and libFuzzer for clang
required|the fuzz preset|libclang-rt-14-dev
# style checks of tests/lint; perl runs the kernel's checkpatch
required|tests/lint|clang-format perl
# micro benchmarks
optional|make bench|libbenchmark-dev
LIST
)

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

# fetch_deb PACKAGE: prints the path of the downloaded .deb, in a fresh folder.
fetch_deb() {
	dir=$(mktemp -d "$downloads/tmp.XXXXXX") || exit 1
	chmod 755 "$dir"
	(cd "$dir" && apt-get download "$1" >>"$log" 2>&1) || { rm -rf "$dir"; return 1; }
	ls "$dir"/*.deb
}

# fetch_kernel SERIES HEADERS-METAPACKAGE
# leaves build/downloads/kernels/SERIES/{release,vmlinuz,modules}: links to the
# installed image if there is one for these headers, else an unpacked package.
fetch_kernel() {
	series=$1
	release=$(dpkg-query -W -f '${Depends}' "$2" | grep -o 'linux-headers-[^ ,]*' | head -1)
	release=${release#linux-headers-}
	[ -n "$release" ] || die "cannot tell the kernel release from package $2"
	dir=$downloads/kernels/$series
	if [ "$(cat "$dir/release" 2>/dev/null)" = "$release" ] &&
	   [ -r "$dir/vmlinuz" ] && [ -r "$dir/modules/modules.dep" ]; then
		say "guest kernel $series: $release is there"
		return
	fi

	rm -rf "$dir"
	mkdir -p "$dir"
	if [ -r "/boot/vmlinuz-$release" ] && [ -r "/lib/modules/$release/modules.dep" ]; then
		ln -s "/boot/vmlinuz-$release" "$dir/vmlinuz"
		ln -s "/lib/modules/$release" "$dir/modules"
	else
		say "guest kernel $series: downloading the image of $release"
		deb=$(fetch_deb "linux-image-$release") ||
			die "package linux-image-$release cannot be had: no guest tests on $series"
		dpkg-deb -x "$deb" "$dir/root" && rm -r "$(dirname "$deb")" &&
			/sbin/depmod -b "$dir/root" "$release" ||
			die "cannot unpack linux-image-$release into $dir"
		ln -s "root/boot/vmlinuz-$release" "$dir/vmlinuz"
		ln -s "root/lib/modules/$release" "$dir/modules"
	fi
	echo "$release" >"$dir/release"
	say "guest kernel $series: $release"
}

# The kernel's own style checker is only shipped inside the kernel source.
fetch_checkpatch() {
	dir=$downloads/checkpatch
	files="checkpatch.pl spelling.txt const_structs.checkpatch"
	if [ -s "$dir/const_structs.checkpatch" ] && [ -s "$dir/checkpatch.pl" ]; then
		say "checkpatch: there"
		return
	fi
	say "checkpatch: taking it out of linux-source-6.12 (150 MB, once)"
	mkdir -p "$dir"
	deb=$(fetch_deb linux-source-6.12) ||
		die "package linux-source-6.12 cannot be had: tests/lint needs its checkpatch"
	dpkg-deb --fsys-tarfile "$deb" |
		tar -xO ./usr/src/linux-source-6.12.tar.xz | xz -dc -T0 |
		tar -x -C "$dir" --strip-components=2 \
			$(for file in $files; do echo "linux-source-6.12/scripts/$file"; done) ||
		die "cannot unpack checkpatch from $deb"
	rm -r "$(dirname "$deb")"
}

: >"$log"
install_packages
fetch_kernel 6.1 linux-headers-amd64
fetch_kernel 6.12 linux-headers-6.12-amd64
fetch_checkpatch
say "done"
