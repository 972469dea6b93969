// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* What is known of the pings that a gate leaves out: of which drop reasons their packets died. */
#ifndef DWELL_LEFTOUT_H
#define DWELL_LEFTOUT_H

#include "device.h"
#include "filter.h"
#include "gate.h"

enum { LEFT_DROPS = 512 };

/* key: a drop reason. value: how many echoes died of it on this CPU that had been left out. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, LEFT_DROPS);
	__type(key, __u32);
	__type(value, __u64);
} left_drops SEC(".maps");

/* Counts the death of an echo that was left out. */
static __always_inline void count_left_drop(__u32 reason)
{
	__u64 *drops = bpf_map_lookup_elem(&left_drops, &reason), none = 0;
	struct counters *c;

	if (!drops) {
		bpf_map_update_elem(&left_drops, &reason, &none, BPF_NOEXIST);
		drops = bpf_map_lookup_elem(&left_drops, &reason);
	}
	if (drops) {
		__sync_fetch_and_add(drops, 1);
		return;
	}
	c = this_cpu_counters();
	if (c)
		__sync_fetch_and_add(&c->left_drops, 1);
}

/* Each raw socket gets a copy of a reply. Of which reason those die that it does not want, and the
 * original, says nothing of whether a process has taken one.
 */
enum skb_drop_reason {
	SKB_DROP_REASON_NO_SOCKET = 3,
	SKB_DROP_REASON_SOCKET_FILTER = 6,
};

#define IS_REASON(code, reason)                                      \
	(bpf_core_enum_value_exists(enum skb_drop_reason, reason) && \
	 (code) == bpf_core_enum_value(enum skb_drop_reason, reason))

/* Counts the death of an echo that its gate has left out, if the filter wants it. */
static __noinline int note_left_out(struct record *r, struct sk_buff *skb, struct net_device *dev,
				     __u32 reason)
{
	if ((r->head.type != ECHO_REQUEST && r->head.type != ECHO_REPLY) ||
	    IS_REASON(reason, SKB_DROP_REASON_NO_SOCKET) ||
	    IS_REASON(reason, SKB_DROP_REASON_SOCKET_FILTER))
		return 0;
	fill_place(&r->head, skb, dev, NULL);
	if (admit(r, dev))
		count_left_drop(reason);
	return 0;
}

#endif
