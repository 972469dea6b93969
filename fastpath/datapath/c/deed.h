// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* Saying what was done to a traced echo. Only the object with TRACED does, and it is run only
 * for ICMP and only while there is a tracer.
 */
#ifndef DWELL_DATAPATH_DEED_H
#define DWELL_DATAPATH_DEED_H

#include "maps.h"

#include "../../../bpf/c/record.h"

#if TRACED

#include "../../../bpf/c/act.h"

/* Where a record is made: it would not fit the stack. Nothing interrupts a program and runs
 * another of these on its CPU.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct record);
} records SEC(".maps");

static __always_inline void record_deed(struct __sk_buff *ctx, __u32 place, enum verdict verdict,
					enum reason reason, __u32 rule, __u64 start)
{
	struct record *r = bpf_map_lookup_elem(&records, &(__u32){0});
	struct action action = {
		.deed = DEED_FIREWALL,
		.verdict = verdict,
		.reason = reason,
		.place = place,
		.tenant = tenant,
		.rule = rule,
		.ns = bpf_ktime_get_ns() - start,
	};

	if (r && find_echo(r, ctx))
		emit_action(r, &action);
}

#else

static __always_inline void record_deed(struct __sk_buff *ctx, __u32 place, enum verdict verdict,
					enum reason reason, __u32 rule, __u64 start)
{
}

#endif
#endif
