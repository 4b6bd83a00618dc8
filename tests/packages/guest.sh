#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Catches: packages that do not install, run, survive an upgrade or a new kernel,
# or leave something when they are removed and purged: a file, a service, the
# module, a changed knob.
# $1: before, after: in which of two boots, 6.1 and then 6.12, on one disk.
# $2, $3: versions, the older one first.

# shellcheck source=tests/vm/systemd.sh
. "$LLAMUX_REPO/tests/vm/systemd.sh"

# shellcheck source=tests/packages/host.sh
. "$LLAMUX_REPO/tests/packages/host.sh"

export DEBIAN_FRONTEND=noninteractive
old=$2
new=$3
release=$(uname -r)
other=$(cd /lib/modules && echo 6.12.*)

# install VERSION: its packages
install() {
	offer_built_modules "$LLAMUX_BUILD/deb/$1"
	cd "$LLAMUX_BUILD/deb/$1" || exit 1
	expect 0 "Setting up llamux-agent ($1)" apt-get install --yes ./llamux*.deb
	cat $log
	for package in llamux-agent llamux-dkms llamux-models llamux-dev; do
		is "$1 installed" dpkg-query -W -f '${Version} ${db:Status-Status}' $package
	done
	cd /
}

# change_and_die: a change of a unit that nobody is left to take back
change_and_die() {
	try cpu.weight batch.service 50
	kill -KILL "$pid"
	wait "$pid"
	is 50 cat $batch/cpu.weight
}

unit_is_as_before() {
	wait_for sh -c "[ \"\$(cat $batch/cpu.weight)\" = 100 ]"
	is 100 cat $batch/cpu.weight
	is 100 property batch CPUWeight
	[ ! -e /run/systemd/system.control/batch.service.d ] || fail "a drop-in is left"
}

start_unit batch CPUWeight=100 -- sleep infinity

before() {
	hide_other_kernels
	install "$old"
	expect 0 "llamux/$old, $release, x86_64: installed" dkms status
	is "/lib/modules/$release/updates/dkms/llamux.ko" modinfo -n llamux
	is active property llamux-agent ActiveState
	is enabled systemctl is-enabled llamux-agent
	wait_for test -e /dev/llamux || fail "the module is not loaded"
	wait_for sh -c 'llamux-agent status | grep -q llamux-pilot' || fail "no model in the kernel"
	expect 0 "llamux-pilot" llamux-agent status
	expect 0 "frozen" llamux-agent freeze vm.swappiness --why "to be kept over the upgrade"

	was=$(property llamux-agent MainPID)
	change_and_die
	install "$new"
	unit_is_as_before
	[ "$(property llamux-agent MainPID)" != "$was" ] || fail "the old service still runs"
	is active property llamux-agent ActiveState
	expect 0 "to be kept over the upgrade" llamux-agent status
	expect 0 "undone" llamux-agent history
	expect 0 "llamux/$new, $release, x86_64: installed" dkms status
	grep -q "llamux/$old," $log && fail "DKMS still has the old version"

	umount --lazy /lib/modules
	# What the package of a kernel's headers calls when it is configured.
	expect 0 "" /etc/kernel/header_postinst.d/dkms "$other"
	expect 0 "llamux/$new, $other, x86_64: installed" dkms status
	grep -q "llamux/$new, $release, x86_64: installed" $log || fail "the present kernel lost it"
	systemctl stop llamux-agent
	sync
}

after() {
	is "$other" uname -r
	expect 0 "llamux/$new, $release, x86_64: installed" dkms status
	systemctl start llamux-agent || fail "the service does not start with the new kernel"
	[ -e /dev/llamux ] || fail "the unit did not bring the module"
	expect 0 "llamux-pilot" llamux-agent status
	expect 0 "to be kept over the upgrade" llamux-agent status

	change_and_die
	dpkg -L llamux-agent llamux-dkms llamux-models llamux-dev | grep llam >/tmp/files
	expect 0 "Removing llamux-agent" apt-get remove --yes llamux-agent llamux-dkms llamux-models llamux-dev
	cat $log
	unit_is_as_before
	is inactive property llamux-agent ActiveState
	is "" pgrep -x llamux-agent
	is "" sh -c 'dkms status 2>/dev/null'
	[ ! -d /sys/module/llamux ] || fail "the module is still loaded"
	for left in /sys/fs/bpf/llamux* /lib/modules/*/updates/dkms/llamux.ko* /usr/src/llamux-*; do
		[ ! -e "$left" ] || fail "removed, but there is $left"
	done
	[ -s /var/lib/llamux/journal.jsonl ] || fail "what was done is forgotten without a purge"

	# Of llamux-dev nothing is left, so apt does not know it any more.
	expect 0 "Purging configuration files for llamux-agent" \
		apt-get purge --yes llamux-agent llamux-dkms llamux-models
	for left in $(cat /tmp/files) /etc/llamux /var/lib/llamux /var/lib/dkms/llamux \
		/etc/systemd/system/*/llamux* /var/lib/systemd/deb-systemd-helper*/*llamux*; do
		[ ! -e "$left" ] || fail "purged, but there is $left"
	done
}

"$1"
systemctl stop batch
exit $failed
