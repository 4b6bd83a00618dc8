#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# panic.sh BUILD KERNEL: catches last words that are missing, come twice, or
# keep the kernel from ending its panic.
set -u

build=$1
kernel=$2
log=$build/vm/panic-$kernel.log
run_vm=$(dirname "$0")/../run-vm

# The variable is the guest's.
# shellcheck disable=SC2016
"$run_vm" --build "$build" --kernel "$kernel" --log "$log" -- \
	sh -c 'insmod $LLAMUX_KO && echo c >/proc/sysrq-trigger'
status=$?
if [ $status != 99 ]; then
	echo "panic.sh: the guest ended with $status, not with a panic (99)"
	exit 1
fi
lines=$(grep -c 'llamux: .* / .* / ' "$log")
if [ "$lines" != 1 ]; then
	echo "panic.sh: $lines haiku in $log, not 1"
	exit 1
fi
grep 'llamux: .* / .* / ' "$log"
