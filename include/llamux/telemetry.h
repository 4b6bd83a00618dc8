/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Telemetry records: one layout from BPF map to snapshot to prompt to report.
 *
 * BPF programs (bpf/) fill struct llamux_cgroup_record and struct
 * llamux_system_record; the module (kmod/telemetry.c) reads them through bound
 * map file descriptors, subtracts the previous reading and merges what only
 * files tell (struct llamux_signals, read by the agent) into one struct
 * llamux_snapshot. That snapshot is what the detectors, the prompt, the
 * validator and the report all see.
 *
 * Every counter only grows. Times are nanoseconds unless the name says
 * otherwise, shares are permille (0..1000). No strings: names never travel
 * this way. A layout change bumps LLAMUX_TELEMETRY_SCHEMA.
 */
#ifndef LLAMUX_TELEMETRY_H
#define LLAMUX_TELEMETRY_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#define LLAMUX_TELEMETRY_SCHEMA 2

/* Where the agent pins the maps, and their names below it. */
#define LLAMUX_BPFFS_DIR "/sys/fs/bpf/llamux"
#define LLAMUX_MAP_CGROUPS "llamux_cgroups"
#define LLAMUX_MAP_SYSTEM "llamux_system"

#define LLAMUX_MAX_CGROUPS 1024 /* in the map; the least recently used gives way */

/*
 * Latency histograms: slot s counts values in [2^s, 2^(s+1)) microseconds,
 * slot 0 also those below one microsecond, the last slot everything above.
 */
#define LLAMUX_HIST_SLOTS 20

struct llamux_cgroup_key {
	__u64 cgroup_id; /* inode number of the cgroup's directory */
};

/* Value of LLAMUX_MAP_CGROUPS, an LRU per-CPU hash: sum over the CPUs. */
struct llamux_cgroup_record {
	__u64 run_ns;		  /* time on a CPU */
	__u64 runq_wait_ns;	  /* runnable, but waiting for a CPU */
	__u64 runq_wait_count;	  /* waits that ended */
	__u64 switches;		  /* context switches away from its tasks */
	__u64 migrations;	  /* its tasks moved to another CPU */
	__u64 preempted_by_self;  /* still runnable, a task of the same cgroup came */
	__u64 preempted_by_other; /* still runnable, another cgroup's task came */
	__u64 preempted_others;	  /* took the CPU from another cgroup's runnable task */
	__u64 throttled_count;	  /* its CPU quota ran out (optional probe) */
	__u64 direct_reclaim_ns;
	__u64 direct_reclaim_count;
	__u64 compaction_ns;
	__u64 compaction_count;
	__u64 major_faults;	  /* optional probe */
	__u64 refaults_anon;
	__u64 refaults_file;
	__u64 oom_victims;
	__u64 forks;
	__u64 block_io_ns;	  /* issue to completion, summed over requests */
	__u64 block_io_count;
	__u64 block_io_bytes;
	__u64 runq_wait_hist[LLAMUX_HIST_SLOTS];
};

/* Value of LLAMUX_MAP_SYSTEM, a per-CPU array of one: sum over the CPUs. */
struct llamux_system_record {
	struct llamux_cgroup_record total; /* all cgroups, idle task left out */
	__u64 kswapd_wakes;
	__u64 kswapd_ns;	  /* between wake and sleep */
	__u64 softirq_ns;
	__u64 idle_ns;
	__u64 dropped_records;	  /* events lost: no room in the cgroup map */
	__u64 dropped_wakeups;	  /* wake-up times lost: no room or contention */
	__u64 dropped_block_io;
	__u64 block_io_hist[LLAMUX_HIST_SLOTS];
};

/* ------------------------------------------------------------------------
 * What only files tell: PSI, knobs, limits. The agent reads them just before
 * it asks for a snapshot. All optional: a missing value is
 * LLAMUX_UNKNOWN, a limit of "max" is LLAMUX_NO_LIMIT.
 */
#define LLAMUX_UNKNOWN (~(__u64)0)
#define LLAMUX_NO_LIMIT (~(__u64)0 - 1)

/* Totals of one pressure file, in microseconds since boot. */
struct llamux_psi {
	__u64 some_us;
	__u64 full_us;
};

struct llamux_pressure {
	struct llamux_psi cpu;
	struct llamux_psi memory;
	struct llamux_psi io;
};

#define LLAMUX_GROUP_PROTECTED (1u << 0) /* never tightened: init, sshd, session */
#define LLAMUX_GROUP_SELF (1u << 1)	 /* Llamux's own agent or inference threads */
#define LLAMUX_GROUP_BACKGROUND (1u << 2) /* the administrator marked it so */
#define LLAMUX_GROUP_LATENCY (1u << 3)	 /* the administrator marked it so */
#define LLAMUX_GROUP_FLAGS 0xfu

struct llamux_group_signals {
	__u64 cgroup_id;
	__u64 parent_id;	   /* 0: child of the root */
	__u32 flags;		   /* LLAMUX_GROUP_* */
	__u32 reserved;		   /* must be 0 */
	struct llamux_pressure psi;
	__u64 throttled_us;	   /* cpu.stat, counter */
	__u64 throttled_count;	   /* cpu.stat nr_throttled, counter */
	__u64 periods_count;	   /* cpu.stat nr_periods, counter */
	__u64 memory_current_bytes;
	__u64 memory_swap_bytes;
	__u64 memory_high_events;  /* memory.events high, counter */
	/* present values of the knobs the action table names */
	__u64 cpu_weight;
	__u64 cpu_idle;
	__u64 cpu_max_quota_us;	   /* LLAMUX_NO_LIMIT: max */
	__u64 cpu_max_period_us;
	__u64 memory_low_bytes;
	__u64 memory_high_bytes;
	__u64 io_weight;
};

#define LLAMUX_SIGNAL_IO_WEIGHT_WORKS (1u << 0) /* iocost or BFQ is in force */
#define LLAMUX_SIGNAL_SWAP_FAST (1u << 1)	/* swap is zram or behind zswap */
#define LLAMUX_SIGNAL_MGLRU (1u << 2)
#define LLAMUX_SIGNAL_FLAGS 0x7u

struct llamux_system_signals {
	__u32 flags;		   /* LLAMUX_SIGNAL_* */
	__u32 n_cpus;		   /* online */
	struct llamux_pressure psi;
	__u64 memory_total_bytes;
	__u64 memory_available_bytes;
	__u64 memory_dirty_bytes;
	__u64 memory_writeback_bytes;
	__u64 swap_total_bytes;
	__u64 swap_free_bytes;
	__u64 swap_in_pages;	   /* vmstat pswpin, counter */
	__u64 swap_out_pages;	   /* vmstat pswpout, counter */
	__u64 allocstalls;	   /* vmstat, counter */
	__u64 dirty_throttle_us;   /* balance_dirty_pages sleeps, counter */
	__u64 cpu_mhz_permille;	   /* present clock in permille of the maximum */
	/* present values of the knobs the action table names */
	__u64 vm_swappiness;
	__u64 vm_dirty_background_ratio;
	__u64 vm_dirty_ratio;
	__u64 vm_dirty_background_bytes;
	__u64 vm_dirty_bytes;
	__u64 vm_watermark_scale_factor;
};

#define LLAMUX_MAX_GROUPS 64

struct llamux_signals {
	__u32 size;		   /* sizeof(struct llamux_signals) */
	__u32 n_groups;
	struct llamux_system_signals system;
	struct llamux_group_signals groups[LLAMUX_MAX_GROUPS];
};

/* ------------------------------------------------------------------------
 * The snapshot: what happened in one window. The two embedded records and fields
 * whose comment says counter are differences, the other signals values at its end.
 */
struct llamux_group_snapshot {
	struct llamux_cgroup_record record;   /* difference over the window */
	struct llamux_group_signals signals;  /* counters: difference */
	__u32 runq_wait_p99_us;		      /* from the histogram, upper bound of its slot */
	__u32 cpu_permille;		      /* of all CPUs over the window */
};

struct llamux_snapshot {
	__u32 schema;		   /* LLAMUX_TELEMETRY_SCHEMA */
	__u32 flags;		   /* LLAMUX_SNAPSHOT_* */
	__u64 sequence;		   /* per open file, from 1 */
	__u64 window_start_ns;	   /* CLOCK_BOOTTIME */
	__u64 window_ns;	   /* 0: first reading, counters are since boot */
	struct llamux_system_record record;   /* difference over the window */
	struct llamux_system_signals signals; /* counters: difference */
	__u32 runq_wait_p99_us;
	__u32 block_io_p99_us;
	__u32 n_groups;		   /* entries of groups[] in use, most CPU time first */
	__u32 n_groups_dropped;	   /* seen, but no room */
	__u32 inference_permille;  /* of all CPUs: the module's threads, but for rankings */
	__u32 reserved;
	struct llamux_group_snapshot groups[LLAMUX_MAX_GROUPS];
};

#define LLAMUX_SNAPSHOT_FIRST (1u << 0)	  /* no earlier reading to subtract */
#define LLAMUX_SNAPSHOT_NO_MAPS (1u << 1) /* no maps bound: signals only */
#define LLAMUX_SNAPSHOT_NO_SIGNALS (1u << 2)
#define LLAMUX_SNAPSHOT_LOST (1u << 3)	  /* the maps dropped events in the window */

#endif
