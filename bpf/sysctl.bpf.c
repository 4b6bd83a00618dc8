// SPDX-License-Identifier: GPL-2.0-only
/*
 * Notes who writes a sysctl. Never refuses a write and decides nothing. An
 * object of its own: it hangs on the root cgroup, not on a tracepoint, and the
 * telemetry works without it.
 */
#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_helpers.h>

#include <llamux/sysctl.h>

char LICENSE[] SEC("license") = "GPL";

struct llamux_sysctl_name {
	char path[LLAMUX_SYSCTL_NAME_BYTES];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32);
	__type(key, struct llamux_sysctl_name);
	__type(value, struct llamux_sysctl_write);
} llamux_sysctls SEC(".maps");

SEC("cgroup/sysctl")
int llamux_sysctl(struct bpf_sysctl *ctx)
{
	const int allow = 1;
	struct llamux_sysctl_name name = {};
	struct llamux_sysctl_write write = {};

	if (!ctx->write ||
	    bpf_sysctl_get_name(ctx, name.path, sizeof(name.path), 0) < 0)
		return allow;
	if (!bpf_map_lookup_elem(&llamux_sysctls, &name))
		return allow;
	write.boot_ns = bpf_ktime_get_boot_ns();
	write.pid = bpf_get_current_pid_tgid() >> 32;
	write.uid = (__u32)bpf_get_current_uid_gid();
	bpf_get_current_comm(write.command, sizeof(write.command));
	bpf_map_update_elem(&llamux_sysctls, &name, &write, BPF_EXIST);
	return allow;
}
