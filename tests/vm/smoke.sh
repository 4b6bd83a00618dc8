#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Catches: a guest that lacks what every other guest test relies on (the wrong
# kernel, no cgroup controllers, PSI, bpffs, BTF or scratch disk).

failed=0
check() {
	what=$1
	shift
	if "$@"; then
		echo "ok: $what"
	else
		echo "MISSING: $what"
		failed=1
	fi
}
has_line() { grep -q "$1" "$2"; }

check "kernel is Linux $LLAMUX_KERNEL" sh -c 'uname -r | grep -q "^$LLAMUX_KERNEL\."'
for controller in cpu memory io; do
	check "controller $controller" has_line "\b$controller\b" /sys/fs/cgroup/cgroup.subtree_control
done
for resource in cpu memory io; do
	check "PSI of $resource" has_line "^some avg10=" /proc/pressure/$resource
done
check "bpffs" has_line " /sys/fs/bpf bpf " /proc/mounts
check "tracefs" test -e /sys/kernel/tracing/events/sched/sched_switch/format
check "BTF" test -s /sys/kernel/btf/vmlinux
check "AVX2" has_line "\bavx2\b" /proc/cpuinfo
check "two CPUs" test "$(nproc)" = 2
check "modules of this kernel" modprobe -n virtio_blk
check "scratch disk" sh -c 'modprobe virtio_blk && udevadm settle 2>/dev/null; test -b /dev/vda'
check "group below the root" sh -c 'd=/sys/fs/cgroup/smoke; mkdir $d && echo 50 >$d/cpu.weight &&
	grep -qx 50 $d/cpu.weight && test -e $d/memory.high -a -e $d/cpu.pressure && rmdir $d'
check "repository" test -f "$LLAMUX_REPO/CMakeLists.txt"
exit $failed
