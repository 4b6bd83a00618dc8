// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bound BPF maps -> snapshot. See telemetry.h; the arithmetic, and all
 * distrust of values, is in engine/snapshot.c.
 */
#include "telemetry.h"
#include "engine/snapshot.h"
#include "worker.h"

#include <linux/bpf.h>
#include <linux/cpumask.h>
#include <linux/err.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/rwsem.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <uapi/llamux.h>

/*
 * bpf_map_get() is in this namespace on Debian's 6.12, which has "bpf: Add
 * namespace to BPF internal symbols" of 6.16. 6.1 ignores the import.
 */
MODULE_IMPORT_NS(BPF_INTERNAL);

/* A key may come twice: see collect_keys(). */
#define MAX_KEYS (2 * LLAMUX_MAX_CGROUPS)

struct llx_telemetry_window {
	u64 sequence;	/* of the last snapshot */
	u64 generation;	/* of the maps it was made from; 0: no snapshot yet */
	struct llx_reading *last;
	struct llx_reading *next; /* scratch; changes places with last */
	u64 keys[MAX_KEYS];
};

/* What is bound. Both maps or none. */
static struct {
	struct rw_semaphore lock; /* all fields; read side: for a whole reading */
	struct bpf_map *cgroups;
	struct bpf_map *system;
	u64 generation;		  /* grows with each change, from 1 */
} bound = {
	.lock = __RWSEM_INITIALIZER(bound.lock),
	.generation = 1,
};

/* Returns a map with a reference, or an error. */
static struct bpf_map *get_map(int fd, enum bpf_map_type type, u32 key_size, u32 value_size,
			       u32 max_entries)
{
	struct bpf_map *map = bpf_map_get(fd);

	if (IS_ERR(map))
		return map;
	if (map->map_type == type && map->key_size == key_size &&
	    map->value_size == value_size && map->max_entries == max_entries &&
	    map->ops->map_lookup_percpu_elem)
		return map;
	bpf_map_put(map);
	return ERR_PTR(-EINVAL);
}

static void replace_maps(struct bpf_map *cgroups, struct bpf_map *system)
{
	down_write(&bound.lock);
	swap(bound.cgroups, cgroups);
	swap(bound.system, system);
	bound.generation++;
	up_write(&bound.lock);

	if (cgroups)
		bpf_map_put(cgroups);
	if (system)
		bpf_map_put(system);
}

int llx_telemetry_bind(const struct llamux_bind *bind)
{
	struct bpf_map *cgroups, *system;

	if (bind->cgroups_fd == -1) {
		llx_telemetry_unbind();
		return 0;
	}

	cgroups = get_map(bind->cgroups_fd, BPF_MAP_TYPE_LRU_PERCPU_HASH,
			  sizeof(struct llamux_cgroup_key), sizeof(struct llamux_cgroup_record),
			  LLAMUX_MAX_CGROUPS);
	if (IS_ERR(cgroups))
		return PTR_ERR(cgroups);
	system = get_map(bind->system_fd, BPF_MAP_TYPE_PERCPU_ARRAY, sizeof(u32),
			 sizeof(struct llamux_system_record), 1);
	if (IS_ERR(system)) {
		bpf_map_put(cgroups);
		return PTR_ERR(system);
	}
	replace_maps(cgroups, system);
	return 0;
}

void llx_telemetry_unbind(void)
{
	replace_maps(NULL, NULL);
}

int llx_telemetry_window_init(struct llx_telemetry_window **window)
{
	struct llx_telemetry_window *made = kvzalloc(sizeof(*made), GFP_KERNEL);

	if (!made)
		return -ENOMEM;
	made->last = kvzalloc(sizeof(*made->last), GFP_KERNEL);
	made->next = kvzalloc(sizeof(*made->next), GFP_KERNEL);
	if (!made->last || !made->next) {
		llx_telemetry_window_free(made);
		return -ENOMEM;
	}
	*window = made;
	return 0;
}

void llx_telemetry_window_free(struct llx_telemetry_window *window)
{
	if (!window)
		return;
	kvfree(window->next);
	kvfree(window->last);
	kvfree(window);
}

static int compare_keys(const void *a, const void *b)
{
	u64 x = *(const u64 *)a;
	u64 y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

/*
 * Fills @keys in ascending order, each once. Whenever the key to go on from was
 * evicted meanwhile, the map starts again with its first: hence the cap, and
 * keys that come twice. A snapshot then may lack groups, but no time is lost
 * for ever.
 */
static u32 collect_keys(struct bpf_map *map, u64 *keys)
{
	u32 n_unique = 0;
	u32 n = 0;
	u32 i;

	while (n < MAX_KEYS) {
		int err;

		rcu_read_lock();
		err = map->ops->map_get_next_key(map, n ? &keys[n - 1] : NULL, &keys[n]);
		rcu_read_unlock();
		if (err)
			break;
		n++;
	}
	sort(keys, n, sizeof(*keys), compare_keys, NULL);
	for (i = 0; i < n; i++)
		if (!i || keys[i] != keys[i - 1])
			keys[n_unique++] = keys[i];
	return min_t(u32, n_unique, LLAMUX_MAX_CGROUPS);
}

/* Returns false if the group was evicted meanwhile. */
static bool read_group(struct bpf_map *map, u64 id, struct llx_group_reading *group)
{
	struct llamux_cgroup_key key = { .cgroup_id = id };
	const struct llamux_cgroup_record *record;
	bool found = false;
	unsigned int cpu;

	group->cgroup_id = id;
	memset(&group->record, 0, sizeof(group->record));
	rcu_read_lock();
	for_each_possible_cpu(cpu) {
		record = map->ops->map_lookup_percpu_elem(map, &key, cpu);
		if (!record)
			continue;
		llx_record_add(&group->record, record);
		found = true;
	}
	rcu_read_unlock();
	return found;
}

static void read_system(struct bpf_map *map, struct llamux_system_record *sum)
{
	const struct llamux_system_record *record;
	u32 key = 0;
	unsigned int cpu;

	memset(sum, 0, sizeof(*sum));
	rcu_read_lock();
	for_each_possible_cpu(cpu) {
		record = map->ops->map_lookup_percpu_elem(map, &key, cpu);
		if (record)
			llx_system_record_add(sum, record);
	}
	rcu_read_unlock();
}

/* Called with bound.lock held for reading and maps bound. */
static int read_maps(struct llx_telemetry_window *window, struct llx_reading *reading)
{
	u32 n_keys = collect_keys(bound.cgroups, window->keys);
	u32 i;

	reading->n_groups = 0;
	for (i = 0; i < n_keys; i++) {
		if (read_group(bound.cgroups, window->keys[i],
			       &reading->groups[reading->n_groups]))
			reading->n_groups++;
		cond_resched();
		if (fatal_signal_pending(current))
			return -EINTR;
	}
	read_system(bound.system, &reading->system);
	return 0;
}

int llx_telemetry_snapshot(struct llx_telemetry_window *window,
			   const struct llamux_signals *signals, struct llamux_snapshot *out)
{
	struct llx_reading *reading = window->next;
	u64 generation;
	int err = 0;

	if (signals && llx_signals_check(signals))
		return -EINVAL;

	down_read(&bound.lock);
	reading->time_ns = ktime_get_boottime_ns();
	reading->has_maps = bound.cgroups;
	if (reading->has_maps)
		err = read_maps(window, reading);
	generation = bound.generation;
	up_read(&bound.lock);
	if (err)
		return err;

	reading->inference_ns = llx_worker_users_ns();
	reading->has_signals = signals;
	if (signals)
		reading->signals = *signals;
	llx_snapshot_make(window->generation == generation ? window->last : NULL, reading,
			  num_online_cpus(), window->sequence + 1, out);
	swap(window->last, window->next);
	window->generation = generation;
	window->sequence++;
	return 0;
}
