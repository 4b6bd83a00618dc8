// SPDX-License-Identifier: GPL-2.0-only
/*
 * The maps. The first two are the interface (include/llamux/telemetry.h); the
 * rest remembers what is under way and is nobody else's business.
 */
#include "llamux.bpf.h"

char LICENSE[] SEC("license") = "GPL";

struct llamux_cgroups_map llamux_cgroups SEC(".maps");
struct llamux_system_map llamux_system SEC(".maps");
struct llamux_tasks_map llamux_tasks SEC(".maps");
struct llamux_cpus_map llamux_cpus SEC(".maps");
struct llamux_meta_map llamux_meta SEC(".maps");
