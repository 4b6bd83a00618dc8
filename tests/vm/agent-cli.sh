#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Catches: a command that does not work on the real module and model, answers
# without evidence or undo, a wrong exit status, JSON that is none, an error
# without a clear line, a change that is left behind.
# $1: llamux-agent, $2: workload, $3: GGUF file. Runs in a guest.

# shellcheck source=tests/vm/expect.sh
. "$(dirname "$0")/expect.sh"

config=/tmp/agent.json
agent="$1 --config $config --state-dir /tmp/agent-state"
workload=$2
model=$3
web=/sys/fs/cgroup/web.slice
batch=/sys/fs/cgroup/batch.slice

# json NAME EXPRESSION COMMAND...: its output is one object, as tests/cli/schema.py
# has it
json() {
	name=$1 expression=$2
	shift 2
	"$@" >$log 2>&1
	"$LLAMUX_REPO/tests/cli/schema.py" "$name" "$expression" $log ||
		fail "not so: $name: $expression: $*"
	echo "ok: $name: $expression"
}

in_cgroup() {
	directory=$1
	shift
	sh -c "echo \$\$ >$directory/cgroup.procs; exec $*" >/dev/null &
}

# This machine will be so full that the model would pause.
echo '{"pause_model_permille": 0, "measure": {"windows": 9}}' >$config

# Without the module, and not permitted.
expect 2 "the module is not loaded (no /dev/llamux): modprobe llamux" $agent ask "why?"
expect 1 "module .*not loaded" $agent status
expect 1 "no .*module" $agent support
expect 0 "nothing was changed yet" $agent history
expect 2 "0 is not a change in force" $agent rollback 0

# A module without a model: rules decide, and it says so.
insmod "$LLAMUX_KO" || exit 1
expect 1 "none loaded: rules decide" $agent status
expect 0 "Nothing is wrong" $agent advise
expect 3 "needs root" setpriv --reuid=65534 --clear-groups $agent advise
rmmod llamux

# All of it, healthy.
insmod "$LLAMUX_KO" model="$model" || exit 1
expect 0 "llamux-pilot" $agent status
expect 0 "Nothing is wrong" $agent ask "why is my system slow?"
json ask 'o["suggestion"]["facts"] == []' $agent --json ask "is it slow?"
json status 'o["in_force"] == []' $agent --json status
json support 'o["support"] != []' $agent --json support
json monitor 'o["model"]' $agent --json monitor --interval 0.2
json history 'o["changes"] == []' $agent --json history
json error 'o["exit_status"] == 2' $agent --json explain 000000000000

# Another way to write its prompts, and back.
expect 0 "prompt format  plain" $agent model load --chat-template plain "$model"
expect 1 "need the control token" $agent model load --chat-template chatml "$model"
expect 0 "prompt format  pilot" $agent model load "$model"
grep -q "^loading: 100 %  3.8 of 3.8 MB" $log || fail "it does not show how far it is"
script --quiet --return --command "$agent model load $model" /tmp/drawn </dev/null >/dev/null ||
	fail "not loaded on a terminal"
grep -q "loading \[#*\] 100 %" /tmp/drawn || fail "no bar on a terminal"
json "model info" 'o["name"].startswith("llamux-pilot")' $agent --json model load "$model"
json "model info" 'o["name"].startswith("llamux-pilot")' $agent --json model info

# A noisy neighbour.
mkdir $web $batch
in_cgroup $web "$workload" service --threads 2 --rate 50 --work-us 22000
in_cgroup $batch "$workload" hog --threads 4
sleep 3
expect 1 "undo: llamux-agent rollback" $agent ask "why is my web service slow?"
grep -q "another group takes the cpu" $log || fail "no verdict"
# Which of them is told first depends on the host: a single long wait, or many
# short ones.
grep -q "^  longest wait for a cpu\|^  time its tasks waited for a cpu" $log ||
	fail "no evidence"
grep -q "ranked by the model" $log || fail "not ranked by the model"
expect 1 "cpu.weight of /" $agent advise --rules-only
json advise 'o["facts"][0]["victim"] == "/web.slice"' $agent --json advise
id=$(python3 -c "import json; print(json.load(open('$log'))['id'])")
expect 0 "What the model saw" $agent explain "$id"
grep -q "it was not applied" $log || fail "explain says what came of it"
grep -q "^Tried here before" $log || fail "explain says what was tried here"
json explain 'o["suggestion"]["id"] == "'"$id"'" and o["changes"] == []' $agent --json explain "$id"

# A recording of it, and what is decided on that without module or root.
expect 0 "looks" $agent record --seconds 3 /tmp/slow.gz
expect 1 "File exists" $agent record --seconds 1 /tmp/slow.gz
expect 1 "ranked by model" setpriv --bounding-set -all "$1" replay /tmp/slow.gz
cp $log /tmp/first-replay
expect 1 "suggestion" setpriv --bounding-set -all "$1" replay /tmp/slow.gz
cmp -s $log /tmp/first-replay || fail "a replay decides otherwise the second time"
json replay 'o["events"] != []' "$1" --json replay /tmp/slow.gz
json record 'o["frames"] > 0' $agent --json record --seconds 1 /tmp/short.gz

expect 2 "suggestion 000000000000" $agent explain 000000000000

values() { echo "$(cat $batch/cpu.weight) $(cat $web/cpu.weight) $(cat /proc/sys/vm/swappiness)"; }

# judged WHICH UNDO APPLY...: the change WHICH is measured; kept with numbers and then
# taken back, or undone with a reason. Which of them, depends on how noisy the
# windows are on a loaded host; what is kept and why, on units of agent_loop_test.
judged() {
	which=$1 undo=$2
	shift 2
	if "$@" >$log 2>&1; then
		grep -q "went from" $log || fail "kept without numbers"
		[ "$(values)" != "100 100 60" ] || fail "nothing was written"
		expect 0 "kept" $agent history
		expect 0 "$which" $agent status
		expect 0 "$undo" $agent rollback --print "$which"
		json "rollback --print" 'len(o["commands"]) == 1' $agent --json rollback --print "$which"
		json rollback 'o["changes"][0]["state"] == "undone"' $agent --json rollback "$which"
	else
		grep -q "no effect: \|worse: " $log || fail "undone without a reason"
		expect 0 "undone" $agent history
		expect 2 "is not a change in force" $agent rollback "$which"
	fi
	[ "$(values)" = "100 100 60" ] || fail "the old value is not back"
}

# The change, its commands, and back.
judged "$id" "printf %s '100' > '/sys/fs/cgroup/.*/cpu.weight'" $agent apply "$id"

# A person's own idea: refused, or measured like any other.
expect 1 "refused" $agent apply --knob vm.swappiness --value 250
expect 2 "not a knob" $agent apply --knob vm.drop_caches --value 3
expect 2 "no cgroup /none" $agent apply --knob cpu.weight --group /none --value 50
judged 2 "printf %s '60' > '/proc/sys/vm/swappiness'" $agent apply --knob vm.swappiness --value 100

# A group that is gone between suggestion and write.
json advise 'o["facts"] != []' $agent --json advise
id=$(python3 -c "import json; print(json.load(open('$log'))['id'])")
for group in $web $batch; do
	echo 1 >$group/cgroup.kill
	wait_for rmdir $group || fail "$group cannot be removed"
done
expect 1 "refused" $agent apply "$id"
json apply 'not o["kept"] and o["change"] is None' $agent --json apply "$id"
json history 'o["changes"] != []' $agent --json history
expect 0 "no change" $agent status
rm -rf /sys/fs/bpf/llamux
exit $failed
