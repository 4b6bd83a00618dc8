#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Catches: a change of a unit that is left when the agent is killed, the unit is
# started anew, or the module is gone; files written where systemd rules.
# The contract of docs/SAFETY.md. Runs in a guest with systemd. What each
# property does, and every step at which the agent may die: agent-changes.

# shellcheck source=tests/vm/systemd.sh
. "$(dirname "$0")/systemd.sh"

install_agent '{"measure": {"windows": 8}}'
load_module
mkdir -p /run/systemd/system
cat >/run/systemd/system/batch.service <<UNIT
[Service]
CPUAccounting=yes
ExecStart=/bin/sleep infinity
UNIT
# With a group of its own below, which systemd did not delegate; and which it did.
for unit in nest delegated; do
	cat >/run/systemd/system/$unit.service <<UNIT
[Service]
Type=notify
NotifyAccess=all
CPUWeight=100
ExecStart=/bin/sh -c 'cd /sys/fs/cgroup/system.slice/$unit.service && mkdir main other && \\
	echo \$\$\$\$ >main/cgroup.procs && echo +cpu >cgroup.subtree_control && systemd-notify --ready && \\
	exec sleep infinity'
UNIT
done
echo Delegate=yes >>/run/systemd/system/delegated.service
systemctl daemon-reload
systemctl start nest batch || fail "no units"
control=/run/systemd/system.control/batch.service.d

unit_is_as_before() {
	is "[not set]" property batch CPUWeight
	is 100 cat $batch/cpu.weight
	[ ! -e $control ] || fail "a drop-in is left"
}

# systemd knows what is in force, and what to do to have it back.
try cpu.weight batch.service 50
is 50 property batch CPUWeight
[ -e $control/50-CPUWeight.conf ] || fail "systemd did not write it"
expect 0 "systemctl set-property --runtime 'batch.service' 'CPUWeight='" \
	llamux-agent rollback --all --print
over
unit_is_as_before

# kill -9, and then: nothing else, a new start, no module, a stop.
for then in true "systemctl restart batch" "rmmod llamux" "systemctl stop batch"; do
	try cpu.weight batch.service 50
	kill -KILL "$pid"
	wait "$pid"
	is 50 property batch CPUWeight
	$then || fail "$then"
	llamux-agent run --once --interval 0.2 >$log 2>&1
	grep -q "undone.*batch.service" $log || fail "not made good after: $then"
	[ -d /sys/module/llamux ] || load_module
	systemctl start batch
	unit_is_as_before
	echo "ok: killed, then: $then"
done

# In use it can not be unloaded, and the change is seen through.
try cpu.weight batch.service 50
rmmod llamux 2>$log && fail "unloaded while it is measured with"
over
unit_is_as_before

expect 1 "systemd rules the group and has not delegated it (nest.service)" \
	llamux-agent apply --knob cpu.weight --group /system.slice/nest.service/other --value 50
# Below a group that systemd did delegate, files are written.
systemctl start delegated || fail "no delegated unit"
try cpu.weight delegated.service/other 50
is 50 cat /sys/fs/cgroup/system.slice/delegated.service/other/cpu.weight
over
is 100 cat /sys/fs/cgroup/system.slice/delegated.service/other/cpu.weight
# Groups made by hand, as Docker's cgroupfs driver makes them, are systemd's, too.
container=/sys/fs/cgroup/docker/0123456789ab
mkdir -p $container || fail "no group by hand"
echo +cpu >/sys/fs/cgroup/docker/cgroup.subtree_control
sh -c "echo \$\$ >$container/cgroup.procs; exec sleep infinity" &
inside=$!
expect 1 "systemd rules the group and has not delegated it (-.slice)" \
	llamux-agent apply --knob cpu.weight --group /docker/0123456789ab --value 50
is 100 cat $container/cpu.weight
kill $inside
wait_for rmdir $container /sys/fs/cgroup/docker

expect 1 "the group is protected" \
	llamux-agent apply --knob cpu.weight --group /system.slice/dbus.service --value 50
expect 2 "not a knob" \
	llamux-agent apply --knob memory.max --group /system.slice/batch.service --value 1000000
systemctl stop nest delegated
rm /run/systemd/system/batch.service /run/systemd/system/nest.service \
	/run/systemd/system/delegated.service
finish
