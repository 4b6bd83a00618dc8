#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh disable=SC2034
#
# For tests in guests with systemd, sourced: the agent as its unit runs it, and
# services that need its help.

# shellcheck source=tests/vm/expect.sh
. "$LLAMUX_REPO/tests/vm/expect.sh"

workload=$LLAMUX_BUILD/tests/gym/workload
model=$LLAMUX_REPO/models/llamux-pilot-q8_0.gguf
web=/sys/fs/cgroup/system.slice/web.service
batch=/sys/fs/cgroup/system.slice/batch.service

# A fresh agent: nothing in its journal, no configuration but $1.
install_agent() {
	[ -x /usr/local/sbin/llamux-agent ] || cmake --install "$LLAMUX_BUILD" >/dev/null || exit 1
	PATH=/usr/local/sbin:$PATH
	rm -rf /var/lib/llamux
	mkdir -p /etc/llamux
	echo "$1" >/etc/llamux/agent.json
	systemctl daemon-reload
	since=$(date +%s)
}

load_module() {
	insmod "$LLAMUX_KO" model="$model" || exit 1
}

# start_unit NAME PROPERTY... -- COMMAND...
start_unit() {
	name=$1
	shift
	properties=
	while [ "$1" != -- ]; do
		properties="$properties -p $1"
		shift
	done
	shift
	# shellcheck disable=SC2086 # a list of words
	systemd-run --quiet --collect --unit="$name" $properties "$@" || exit 1
}

# A web service, and a batch job that takes its CPUs.
start_neighbours() {
	start_unit web CPUWeight=100 -- "$workload" service --threads 2 --rate 50 --work-us 22000
	start_unit batch CPUWeight=100 -- "$workload" hog --threads 4
}

# What the service has logged since install_agent.
agent_log() {
	journalctl --quiet --no-pager --output=cat --unit=llamux-agent --since="@$since"
}

logged() {
	agent_log >$log
	grep -q -- "$1" $log
}

# wait_for_log TEXT
wait_for_log() {
	if wait_for logged "$1"; then
		echo "ok: the service says '$1'"
	else
		fail "the service does not say '$1'"
	fi
}

property() {
	systemctl show --value -p "$2" "$1"
}

# is VALUE COMMAND...: prints it
is() {
	wanted=$1
	shift
	got=$("$@" 2>&1)
	: >$log
	[ "$got" = "$wanted" ] || fail "'$got', not '$wanted': $*"
}

# try KNOB GROUP VALUE: in the background, until the value is in force. Groups
# are units' names; "": the system. $pid and $applied are set.
try() {
	applied=/tmp/applied.log
	if [ -n "$2" ]; then
		llamux-agent apply --knob "$1" --group "/system.slice/$2" --value "$3" >$applied 2>&1 &
	else
		llamux-agent apply --knob "$1" --value "$3" >$applied 2>&1 &
	fi
	pid=$!
	wait_for grep -q "written and read back" $applied || {
		cat $applied
		fail "not in force: $*"
	}
}

# ended TEXT: what try() began comes to an end, and says so
ended() {
	wait "$pid"
	cat $applied >$log
	grep -q -- "$1" $applied || fail "it does not end with '$1'"
	echo "ok: $1"
}

# over: what try() began comes to an end by itself, and is taken back where it
# was kept: on a loaded host two windows may differ by chance.
over() {
	if wait "$pid"; then
		llamux-agent rollback --all || fail "kept, and not taken back"
	else
		ended "no effect\|worse"
	fi
}

finish() {
	systemctl stop llamux-agent web batch 2>/dev/null
	exit $failed
}
