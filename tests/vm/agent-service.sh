#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Catches: a service that fails without a clear line, runs twice, leaves BPF
# programs behind after a clean stop, or does not notice what it may not do.
# $1: llamux-agent. Runs in a guest, without the module.

# shellcheck source=tests/vm/expect.sh
. "$(dirname "$0")/expect.sh"

agent=$1
state=/tmp/agent-state

run="$agent --state-dir $state run"

expect 2 "degraded: the module is not loaded (no /dev/llamux)" $run --once --interval 0.2
[ "$(grep -c degraded $log)" = 1 ] || fail "said more than once"
expect 3 "CAP_BPF" setpriv --reuid=65534 --clear-groups $run --once
expect 3 "give it CAP_PERFMON$" setpriv --bounding-set -perfmon $run --once

printf '{"aply": true,\n"interval_seconds": "x"}' >/tmp/bad.json
expect 1 "aply is not a field" "$agent" --config /tmp/bad.json --state-dir $state run --once
grep -q "interval_seconds must be" $log || fail "only the first mistake is told"
expect 1 "No such file" "$agent" --config /tmp/none.json --state-dir $state run --once

$run --interval 1 >$log 2>&1 &
pid=$!
wait_for grep -q degraded $log || fail "the service does not start"
[ -e /sys/fs/bpf/llamux/llamux_cgroups ] || fail "no pinned map while it runs"
grep -q "^0::/llamux-agent$" /proc/$pid/cgroup || fail "not in a group of its own"
# CAP_DAC_OVERRIDE and CAP_SYS_ADMIN, and no way to more
for set in CapEff CapPrm; do
	grep -q "^$set:[[:space:]]*0000000000200002$" /proc/$pid/status || fail "it keeps other rights: $set"
done
grep -q "^NoNewPrivs:[[:space:]]*1$" /proc/$pid/status || fail "it can get rights again"
[ "$(awk '{ print $19 }' /proc/$pid/stat)" = 5 ] || fail "not nice"
"$agent" --state-dir $state run --once >/tmp/second.log 2>&1
[ $? = 1 ] && grep -q "another llamux-agent runs" /tmp/second.log || fail "a second one runs"
kill -TERM $pid
wait $pid
[ $? = 0 ] || fail "SIGTERM is not a clean stop"
[ ! -e /sys/fs/bpf/llamux/llamux_cgroups ] || fail "BPF maps are left after a clean stop"
echo "ok: start, second instance, stop"

# for programs: each event as a line of the audit log
$run --once --interval 0.2 --json >/tmp/events 2>$log
[ $? = 2 ] || fail "--json has another exit status"
"$LLAMUX_REPO/tests/cli/schema.py" audit 'o["event"] == "degraded"' /tmp/events ||
	fail "not what the schema says"
echo "ok: --json"

# metrics: off unless they are asked for, then what Prometheus scrapes
ip link set lo up
printf '{"metrics": {"listen": "127.0.0.1:9756", "textfile": "/tmp/llamux.prom"}}' >/tmp/metrics.json
scrape() { python3 -c 'import urllib.request as u
print(u.urlopen("http://127.0.0.1:9756/metrics", timeout=5).read().decode())' 2>/dev/null; }
looked() { scrape | grep -q "^llamux_looks_total [1-9]"; }
$run --interval 1 >$log 2>&1 &
pid=$!
wait_for grep -q degraded $log || fail "the service does not start without metrics"
looked && fail "metrics are offered without being asked for"
kill -TERM $pid
wait $pid
"$agent" --config /tmp/metrics.json --state-dir $state run --interval 1 >$log 2>&1 &
pid=$!
wait_for looked || fail "no metrics"
scrape | grep -q "^llamux_degraded 1$" || fail "the metrics do not say that the module is missing"
grep -q "^llamux_looks_total" /tmp/llamux.prom || fail "no textfile"
rss=$(awk '/^VmRSS/ { print $2 }' /proc/$pid/status)
[ "$rss" -lt 15360 ] || fail "$rss kB resident"
kill -TERM $pid
wait $pid
[ $? = 0 ] || fail "SIGTERM is not a clean stop with metrics"
echo "ok: metrics"

# kill -9, and the next one takes over what is pinned
$run --interval 1 >$log 2>&1 &
pid=$!
wait_for grep -q degraded $log || fail "it does not start again"
kill -KILL $pid
wait $pid
[ -e /sys/fs/bpf/llamux/llamux_cgroups ] || fail "killed, but the maps are gone"
expect 2 "watching and advising" $run --once --interval 0.2
exit $failed
