/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who wrote a sysctl last: record of the map that bpf/sysctl.bpf.c fills and
 * the agent reads. The agent makes one entry for each file it looks after; what
 * has no entry is not recorded.
 */
#ifndef LLAMUX_SYSCTL_H
#define LLAMUX_SYSCTL_H

#include <linux/types.h>

/* Where the agent pins map and program. */
#define LLAMUX_SYSCTL_BPFFS_DIR "/sys/fs/bpf/llamux-sysctl"

/* Key: path below /proc/sys, "vm/swappiness", filled up with zeros. */
#define LLAMUX_SYSCTL_NAME_BYTES 40

struct llamux_sysctl_write {
	__u64 boot_ns; /* CLOCK_BOOTTIME; 0: not written since it is watched */
	__u32 pid;     /* of the process, as the first pid namespace has it */
	__u32 uid;
	char command[16];
};

#endif
