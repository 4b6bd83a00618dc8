#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Catches: what people ask for (a model, a goal, a knob to be left alone) that is
# not done, not shown, or not taken back where systemd and the service rule.
# The contract of docs/SAFETY.md. Runs in a guest with systemd.

# shellcheck source=tests/vm/systemd.sh
. "$(dirname "$0")/systemd.sh"

# A module without a model, and the shipped one by its name in the manifest.
install_agent '{"interval_seconds": 1, "groups": {"background": ["/system.slice/batch.service"]}}'
insmod "$LLAMUX_KO" || exit 1
expect 2 "no model is loaded" llamux-agent model info
expect 1 "none loaded: rules decide" llamux-agent status
expect 0 "pilot .*/share/llamux/llamux-pilot-q8_0.gguf" llamux-agent model list
expect 0 "pilot" llamux-agent model verify pilot
expect 2 "there is no model nonesuch" llamux-agent model load nonesuch
expect 0 "llamux-pilot" llamux-agent model load pilot
expect 0 "prompt format *pilot" llamux-agent model info
expect 0 '"name":"llamux-pilot' llamux-agent --json model info
expect 0 "llamux-pilot" llamux-agent status

start_unit batch CPUWeight=100 -- sleep infinity
systemctl start llamux-agent || fail "the service does not start"
swappiness=$(cat /proc/sys/vm/swappiness)
weight_is() { [ "$(property "$1" CPUWeight)" = "$2" ]; }
swappiness_is_back() { [ "$(cat /proc/sys/vm/swappiness)" = "$swappiness" ]; }

# A goal for a program: in force while that runs, and over with it.
expect 0 "+ cpu.weight of /system.slice/batch.service: 50" llama "optimize for gaming" --dry-run
is 100 property batch CPUWeight
start_unit game CPUWeight=100 -- /usr/local/bin/llama "optimize for gaming" --yes -- sleep infinity
wait_for weight_is game 200 || fail "the program does not come first"
wait_for weight_is batch 50 || fail "the background does not stand back"
expect 0 "held by a goal" llamux-agent status
llamux-agent history >$log
grep -q "for the goal gaming" $log || fail "the history does not say which goal"
pkill -P "$(property game MainPID)" -x sleep
wait_for weight_is batch 100 || fail "its program has ended, but the goal has not"
wait_for swappiness_is_back || fail "vm.swappiness is not back"
expect 0 "no change" llamux-agent status

# Its command is killed: the service takes everything back once the program is gone.
start_unit game CPUWeight=100 -- /usr/local/bin/llama gaming --yes -- sleep infinity
wait_for weight_is batch 50 || fail "no goal"
systemctl kill --signal=KILL game
wait_for weight_is batch 100 || fail "a goal without its program, and nobody ends it"
wait_for swappiness_is_back || fail "vm.swappiness is not back"

# What someone froze is given back first, and then left: by goals, too.
expect 0 "cpu.weight" llamux-agent goal build --yes
is 50 property batch CPUWeight
expect 0 "frozen" llamux-agent freeze cpu.weight --group /system.slice/batch.service --why "until Friday"
is 100 property batch CPUWeight
is 100 cat $batch/cpu.weight
expect 0 "left alone .*cpu.weight.*until Friday" llamux-agent status
expect 1 "this knob is left alone" \
	llamux-agent apply --knob cpu.weight --group /system.slice/batch.service --value 50
expect 0 "left: /system.slice/batch.service cpu.weight: .*until Friday" llamux-agent goal server --yes
is 100 property batch CPUWeight
systemctl restart llamux-agent
expect 0 "until Friday" llamux-agent status
expect 0 "may change it again" llamux-agent unfreeze cpu.weight --group /system.slice/batch.service
expect 0 "Goal: default" llamux-agent goal default --yes
expect 0 "cpu.weight" llamux-agent goal build --yes
is 50 property batch CPUWeight
expect 0 "undone" llamux-agent goal default --yes
is 100 property batch CPUWeight
is "$swappiness" cat /proc/sys/vm/swappiness
expect 0 "no change" llamux-agent status
finish
