/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints: events/llamux/ in tracefs. No user text.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM llamux

#if !defined(LLX_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define LLX_TRACE_H

#include "queue.h"

#include <linux/tracepoint.h>

TRACE_EVENT(llamux_request_start,
	TP_PROTO(const struct llx_request *request),
	TP_ARGS(request),
	TP_STRUCT__entry(
		__field(const void *, request)
		__field(uid_t, uid)
		__field(u64, waited_ns)
	),
	TP_fast_assign(
		__entry->request = request;
		__entry->uid = __kuid_val(request->user->uid);
		__entry->waited_ns = request->started_ns - request->submitted_ns;
	),
	TP_printk("request=%p uid=%u waited_ns=%llu", __entry->request,
		  __entry->uid, __entry->waited_ns)
);

TRACE_EVENT(llamux_request_done,
	TP_PROTO(const struct llx_request *request, int status),
	TP_ARGS(request, status),
	TP_STRUCT__entry(
		__field(const void *, request)
		__field(uid_t, uid)
		__field(int, status)
		__field(u64, ran_ns)
	),
	TP_fast_assign(
		__entry->request = request;
		__entry->uid = __kuid_val(request->user->uid);
		__entry->status = status;
		__entry->ran_ns = ktime_get_ns() - request->started_ns;
	),
	TP_printk("request=%p uid=%u status=%d ran_ns=%llu", __entry->request,
		  __entry->uid, __entry->status, __entry->ran_ns)
);

/* A section was longer than all before it. */
TRACE_EVENT(llamux_fpu_longest,
	TP_PROTO(u64 length_ns),
	TP_ARGS(length_ns),
	TP_STRUCT__entry(
		__field(u64, length_ns)
	),
	TP_fast_assign(
		__entry->length_ns = length_ns;
	),
	TP_printk("length_ns=%llu", __entry->length_ns)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
