# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh disable=SC2034
#
# For guest tests in shell, sourced: checks of commands that go on after a
# failure. End with: exit $failed

log=/tmp/expect.log
failed=0

fail() {
	echo "FAILED: $*"
	cat $log
	failed=1
}

# expect STATUS TEXT COMMAND...: exit status and a line in its output
expect() {
	status=$1 text=$2
	shift 2
	"$@" >$log 2>&1
	got=$?
	[ $got = "$status" ] || fail "exit status $got, not $status: $*"
	grep -q -- "$text" $log || fail "no line with '$text': $*"
	echo "ok: $text"
}

# wait_for COMMAND...: until it succeeds, at most some minutes: nothing but a
# failure takes that long, and a loaded host has no upper bound
wait_for() {
	for _ in $(seq 3000); do
		"$@" 2>/dev/null && return 0
		sleep 0.1
	done
	return 1
}
