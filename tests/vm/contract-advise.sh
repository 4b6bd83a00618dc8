#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Catches: a service that acts without being told to, repeats itself, does not
# act when told to, leaves something behind when it stops, or takes from a
# system service what a user's load asks for.
# Clauses 1, 4 and 8 of docs/SAFETY.md. Runs in a guest with systemd.

# shellcheck source=tests/vm/systemd.sh
. "$(dirname "$0")/systemd.sh"

install_agent '{"interval_seconds": 1, "ask_again_seconds": 1, "measure": {"windows": 5}}'
load_module
start_neighbours
systemctl start llamux-agent || fail "the service does not start"

# By default it advises, and once.
wait_for_log "suggestion: [0-9a-f]* *.*/system.slice/.*.service cpu.weight"
sleep 5
# Anew only when nothing was wrong in between, as it looks now and then.
agent_log | grep -o "suggestion: [0-9a-f]*\|healthy:" | uniq -d | grep suggestion >$log &&
	fail "the same advice twice in a row"
agent_log | grep -q "applied:" && fail "it acts without being told to"
is 100 cat $batch/cpu.weight
is 100 property batch CPUWeight
expect 0 "nothing was changed yet" llamux-agent history
# What programs may ask systemd's journal for.
expect 0 "LLAMUX_KNOB=cpu.weight" journalctl --quiet --output=verbose \
	_SYSTEMD_UNIT=llamux-agent.service LLAMUX_EVENT=suggestion

# Told to act, it measures, and what it does is over when it stops.
echo '{"interval_seconds": 1, "apply": true, "measure": {"windows": 5}}' >/etc/llamux/agent.json
systemctl reload llamux-agent || fail "no reload"
wait_for_log "watching, advising and acting"
wait_for_log "applied: change"
systemctl stop llamux-agent || fail "no stop"
expect 0 "undone" llamux-agent history
for unit in batch web; do
	is 100 property $unit CPUWeight
	is 100 cat /sys/fs/cgroup/system.slice/$unit.service/cpu.weight
	[ ! -e /run/systemd/system.control/$unit.service.d ] || fail "a drop-in of $unit is left"
done
systemctl stop web batch

# A user's service suffers from a system service: nothing is taken from that.
install_agent '{"interval_seconds": 1, "ask_again_seconds": 1, "apply": true}'
start_unit batch CPUWeight=100 -- "$workload" hog --threads 4
start_unit web CPUWeight=100 Slice=user-1000.slice User=nobody -- \
	"$workload" service --threads 2 --rate 50 --work-us 22000
systemctl start llamux-agent
wait_for_log "what users run does not take from what the system runs"
is 100 cat $batch/cpu.weight
is 100 cat /sys/fs/cgroup/system.slice/cpu.weight
agent_log | grep "applied:.*system.slice" >$log && fail "a system service pays for a user's load"
finish
