/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel structures that the programs read, and what changed in them.
 *
 * Only the fields in use are declared; CO-RE finds their real offsets when a
 * program is loaded, so one object runs on every kernel from 6.1 on. A type
 * with a ___suffix is another kernel's shape of the same structure. Callers
 * use the accessors at the end and never name a kernel version.
 */
#ifndef LLAMUX_CORE_COMPAT_BPF_H
#define LLAMUX_CORE_COMPAT_BPF_H

#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

typedef _Bool bool;

#define NULL ((void *)0)
#define PF_KTHREAD 0x00200000 /* include/linux/sched.h */

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct kernfs_node {
	__u64 id;
};

struct cgroup {
	int level;
	struct kernfs_node *kn;
};

struct cgroup_subsys_state {
	struct cgroup *cgroup;
};

struct css_set {
	struct cgroup *dfl_cgrp;
};

struct task_group {
	struct cgroup_subsys_state css;
};

struct cfs_rq {
	int throttle_count;
	struct task_group *tg;
};

struct sched_entity {
	struct cfs_rq *cfs_rq;
};

struct task_struct {
	int pid;
	int on_cpu;
	unsigned int flags;
	unsigned long maj_flt;
	struct css_set *cgroups;
	struct sched_entity se;
};

struct bpf_iter_meta;

struct bpf_iter__task {
	union {
		struct bpf_iter_meta *meta;
	};
	union {
		struct task_struct *task;
	};
};

struct mem_cgroup {
	struct cgroup_subsys_state css;
};

struct folio {
	unsigned long flags;
	unsigned long memcg_data;
	unsigned int _folio_nr_pages;
};

/* commit 53fbef56e07d ("mm: introduce memdesc_flags_t"), 6.18 */
typedef struct {
	unsigned long f;
} memdesc_flags_t;

/* commit 4996fc547f5b ("mm: let _folio_nr_pages overlay memcg_data..."), 6.14 */
struct folio___v6_18 {
	memdesc_flags_t flags;
	unsigned int _nr_pages;
};

struct blkcg {
	struct cgroup_subsys_state css;
};

struct blkcg_gq {
	struct blkcg *blkcg;
};

struct bio {
	struct blkcg_gq *bi_blkg;
};

struct request {
	unsigned int __data_len;
	struct bio *bio;
};

#pragma clang attribute pop

enum pageflags {
	PG_head,
	PG_swapbacked,
};

static __always_inline unsigned long folio_flags(struct folio *folio)
{
	struct folio___v6_18 *newer = (void *)folio;

	if (bpf_core_field_exists(newer->flags.f))
		return BPF_CORE_READ(newer, flags.f);
	return BPF_CORE_READ(folio, flags);
}

static __always_inline bool folio_has_flag(unsigned long flags, unsigned int bit)
{
	return flags & (1ul << (bit & 63));
}

/* A large folio is one object, but as many pages as the kernel counts. */
static __always_inline __u32 folio_nr_pages(struct folio *folio)
{
	struct folio___v6_18 *newer = (void *)folio;

	if (!folio_has_flag(folio_flags(folio), bpf_core_enum_value(enum pageflags, PG_head)))
		return 1;
	if (bpf_core_field_exists(folio->_folio_nr_pages))
		return BPF_CORE_READ(folio, _folio_nr_pages);
	if (bpf_core_field_exists(newer->_nr_pages))
		return BPF_CORE_READ(newer, _nr_pages);
	return 1;
}

/* Swap-backed pages (anonymous, shmem) are what the kernel counts as anon. */
static __always_inline bool folio_is_file(struct folio *folio)
{
	return !folio_has_flag(folio_flags(folio),
			       bpf_core_enum_value(enum pageflags, PG_swapbacked));
}

#endif
