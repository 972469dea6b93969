// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* The ring that carries records to the reader, and how a record gets into it.
 *
 * The maps here are those of the tracer. Another object that includes this is loaded
 * with them in place of its own: see Tracer.Shared in package bpf.
 */
#ifndef DWELL_RING_H
#define DWELL_RING_H

#include "record.h"

/* Read-only, and set before the programs are loaded. They have a section of their own,
 * and so a map, to be shared without what else is constant.
 */

/* Unread bytes in the ring from which on the reader is woken. */
const volatile __u64 wake_bytes SEC(".rodata.ring") = 1 << 23;

/* The unread bytes are looked at each time that a CPU's event number & this is 0. */
const volatile __u64 wake_mask SEC(".rodata.ring") = 63;

/* So that who sends pings does not know which of them a gate lets through: gate.h. */
const volatile __u64 gate_seed SEC(".rodata.ring") = 0;

/* Events, one packed struct record each. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 << 20);
} events SEC(".maps");

struct counters {
	__u64 emitted;
	__u64 lost;	     /* the ring was full */
	__u64 xmit_overflow; /* xmit_stack was full and was emptied */
	__u64 xmit_mismatch; /* a net_dev_start_xmit without its net_dev_xmit */
	__u64 gated;	     /* a gate was closed */
};

/* key: 0. value: this CPU's counters. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct counters);
} stats SEC(".maps");

static __always_inline struct counters *this_cpu_counters(void)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&stats, &key);
}

/* Hands a packed record to user space. An interrupt may emit on the same CPU at the
 * same time, hence the atomic additions.
 */
static __always_inline void emit(const struct record *r, __u32 size)
{
	struct counters *c = this_cpu_counters();
	__u64 flags = BPF_RB_NO_WAKEUP;

	if (!c)
		return;
	if (!(c->emitted & wake_mask) && bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) >= wake_bytes)
		flags = BPF_RB_FORCE_WAKEUP;
	if (bpf_ringbuf_output(&events, (void *)r, size, flags))
		__sync_fetch_and_add(&c->lost, 1);
	else
		__sync_fetch_and_add(&c->emitted, 1);
}

#endif
