#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Catches: a failure that nobody sees, a service that stays dead or hangs, one
# that is a burden itself, and two tuners on one knob.
# The contract of docs/SAFETY.md. Runs in a guest with systemd.

# shellcheck source=tests/vm/systemd.sh
. "$(dirname "$0")/systemd.sh"

install_agent '{"interval_seconds": 1, "ask_again_seconds": 1, "apply": true}'

# drop_in LINE...: of the service, from its next start on
drop_in() {
	mkdir -p /run/systemd/system/llamux-agent.service.d
	printf '%s\n' '[Service]' "$@" >/run/systemd/system/llamux-agent.service.d/test.conf
	systemctl daemon-reload
	systemctl restart llamux-agent || fail "the service does not start with: $*"
}

# No module: it watches, says so, and goes on by itself when there is one.
systemctl start llamux-agent || fail "the service does not start without the module"
wait_for_log "degraded: .*module"
expect 0 "degraded: .*module" journalctl --quiet --output=cat --unit=llamux-agent --priority=warning \
	LLAMUX_EVENT=degraded
expect 1 "module .*not loaded" llamux-agent status
load_module
wait_for_log "recovered: the module answers"
expect 0 "llamux-pilot" llamux-agent status

# Its own group, and what it takes.
is 0::/system.slice/llamux-agent.service cat /proc/"$(property llamux-agent MainPID)"/cgroup
sed -n 's/^VmRSS:[ \t]*\([0-9]*\) kB/\1/p' /proc/"$(property llamux-agent MainPID)"/status >/tmp/rss
echo "resident: $(cat /tmp/rss) kB"
[ "$(cat /tmp/rss)" -le 15360 ] || fail "more than 15 MiB resident"

# A tuner that looks after the weights.
cp /bin/sleep /tmp/ananicy-cpp
start_unit tuner -- /tmp/ananicy-cpp infinity
systemctl restart llamux-agent
start_neighbours
expect 1 "ananicy-cpp .*left to it: cpu.weight" llamux-agent support
wait_for_log "refused: another program looks after this knob"
is 100 cat $batch/cpu.weight
is 100 cat $web/cpu.weight
systemctl stop tuner web batch

# It dies, and it hangs. Only now with a short watchdog, which on a loaded host
# may also bite a service that does not hang.
drop_in RestartSec=100ms
was=$(property llamux-agent MainPID)
kill -KILL "$was"
anew() { [ "$(property llamux-agent MainPID)" != "$was" ] &&
	[ "$(property llamux-agent ActiveState)" = active ]; }
wait_for anew || fail "killed, and not started again"
drop_in RestartSec=100ms WatchdogSec=8s
was=$(property llamux-agent MainPID)
kill -STOP "$was"
wait_for anew || fail "hangs, and is not started again"
echo "ok: started again after kill -9, and by the watchdog"
rm -r /run/systemd/system/llamux-agent.service.d
systemctl daemon-reload
systemctl restart llamux-agent || fail "the service does not start as it is installed"

# A configuration with a mistake changes nothing, and is said.
echo '{"aply": true}' >/etc/llamux/agent.json
systemctl reload llamux-agent
wait_for_log "the configuration stays as it was: .*aply"
is active property llamux-agent ActiveState

# The score that docs/AGENT.md states, of the unit as it runs.
systemd-analyze --no-pager security llamux-agent | tail -1 >$log
cat $log
grep -q "exposure level for llamux-agent.service: [0-2]\." $log || fail "more exposed than stated"
finish
