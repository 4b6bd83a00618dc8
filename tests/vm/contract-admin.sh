#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Catches: an agent that fights with the administrator, does not say who it was,
# or does not give a knob back.
# The contract of docs/SAFETY.md. Runs in a guest with systemd.

# shellcheck source=tests/vm/systemd.sh
. "$(dirname "$0")/systemd.sh"

install_agent '{"measure": {"windows": 8}}'
load_module
start_unit batch CPUWeight=100 -- sleep infinity
start_unit web CPUWeight=100 -- sleep infinity
sysctl -q vm.swappiness=60

# A sysctl: noticed at once, by whom, and even if the value is the same.
try vm.swappiness "" 80
sysctl -q vm.swappiness=80
ended "set by sysctl (pid [0-9]*, uid 0)"
is 80 cat /proc/sys/vm/swappiness
expect 0 "left alone *vm.swappiness: .*sysctl (pid [0-9]*, uid 0)" llamux-agent status
expect 1 "this knob is left alone" llamux-agent apply --knob vm.swappiness --value 100
sysctl -q vm.swappiness=60
expect 0 "may change it again" llamux-agent unfreeze vm.swappiness
try vm.swappiness "" 80
over
is 60 cat /proc/sys/vm/swappiness

# Others' sysctls are their own business.
try vm.swappiness "" 80
sysctl -q vm.watermark_scale_factor=11
over
is 60 cat /proc/sys/vm/swappiness

# A unit's property, and a file of its group.
try cpu.weight batch.service 50
systemctl set-property --runtime batch.service CPUWeight=300
ended "set by someone else: left"
is 300 property batch CPUWeight
expect 1 "this knob is left alone" \
	llamux-agent apply --knob cpu.weight --group /system.slice/batch.service --value 200
# By whom, and even if the value is the same.
for value in 70 50; do
	try cpu.weight web.service 50
	echo $value >$web/cpu.weight
	ended "set by contract-admin.* (pid $$, uid 0): left"
	is $value cat $web/cpu.weight
	expect 0 "left alone *.*cpu.weight: .*(pid $$, uid 0)" llamux-agent status
	expect 0 "may change it again" llamux-agent unfreeze cpu.weight --group /system.slice/web.service
	systemctl set-property --runtime web.service CPUWeight=100
done
finish
