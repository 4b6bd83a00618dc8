// SPDX-License-Identifier: GPL-2.0-only
/*
 * How long block devices take, and for whom.
 */
#include "llamux.bpf.h"

char LICENSE[] SEC("license") = "GPL";

/* Key: address of the request, which the driver uses again and again. */
struct llamux_requests_map llamux_requests SEC(".maps");

/*
 * A request is often issued by a kworker, so the group its bio was charged to
 * counts. That is the nearest one with the io controller: where it is off,
 * the root. Then the issuing task tells more, if it is one.
 */
static __always_inline __u64 request_cgroup_id(struct request *rq)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct bio *bio = rq->bio;
	struct cgroup *cgroup;

	if (bio && bpf_core_field_exists(bio->bi_blkg) && bio->bi_blkg) {
		cgroup = bio->bi_blkg->blkcg->css.cgroup;
		if (cgroup->level > 0 || task->flags & PF_KTHREAD || !task->pid)
			return cgroup_id(cgroup);
	}
	return task_cgroup_id(task);
}

SEC("tp_btf/block_rq_issue")
int BPF_PROG(llamux_blk_iss, struct request *rq)
{
	struct llamux_system_record *system;
	__u64 key = (__u64)rq;
	struct llamux_request request = {
		.issued_ns = bpf_ktime_get_ns(),
		.cgroup_id = request_cgroup_id(rq),
		.bytes = rq->__data_len,
	};

	if (!bpf_map_update_elem(&llamux_requests, &key, &request, BPF_ANY))
		return 0;
	system = system_record();
	if (system)
		__sync_fetch_and_add(&system->dropped_block_io, 1);
	return 0;
}

SEC("tp_btf/block_rq_complete")
int BPF_PROG(llamux_blk_done, struct request *rq, int error, unsigned int n_bytes)
{
	struct llamux_system_record *system = system_record();
	struct llamux_cgroup_record *record;
	struct llamux_request *request;
	__u64 key = (__u64)rq;
	__u64 took;
	__u32 slot;

	/* One request may complete in parts; the last part ends it. */
	if (!system || n_bytes < rq->__data_len)
		return 0;
	request = bpf_map_lookup_elem(&llamux_requests, &key);
	if (!request)
		return 0;
	took = take_elapsed(&request->issued_ns, bpf_ktime_get_ns());
	record = record_of(request->cgroup_id, system);
	count(record, system, block_io_ns, took);
	count(record, system, block_io_count, 1);
	count(record, system, block_io_bytes, request->bytes);
	slot = hist_slot(took);
	system->block_io_hist[slot]++;
	bpf_map_delete_elem(&llamux_requests, &key);
	return 0;
}
