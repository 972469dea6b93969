// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* What a packet was when it arrived, for when it leaves. A packet that is forwarded without waiting
 * leaves on the CPU on which it arrived, and others of that CPU wait until then: a few slots a CPU do,
 * by the address of its sk_buff. A packet that waits on its way may find its note gone, and then nothing
 * is learnt from it.
 */
#ifndef DWELL_BYPASS_NOTE_H
#define DWELL_BYPASS_NOTE_H

#include "flow.h"
#include "outer.h"

enum { NOTES = 64 };

struct note {
	__u64 skb;  /* its address, 0 for none */
	__u64 any;  /* the epoch of all changes */
	__u64 epoch; /* of the flow, if foretold */
	__u64 tracked; /* as _nfct was where it was put into a tunnel */
	__u32 ifindex;
	struct generations routes;
	__u32 mark;
	__u32 priority;
	__u32 len; /* of the frame */
	__u32 vni; /* of the tunnel in which it came, or 0 */
	__u32 master; /* of the device */
	__u32 hash; /* as it was where it was put into a tunnel */
	__u16 slot;
	__u8 foretold; /* an entry said what the kernel would do, and all that it depends on held */
	__u8 partial;
	__u8 v6;
	__u8 port;
	__u8 tunneled; /* it was put into a tunnel */
	struct shape shape;
	struct front front;
	struct outer outer; /* of the tunnel in which it came */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, NOTES);
	__type(key, __u32);
	__type(value, struct note);
} notes SEC(".maps");

/* Where an address becomes a number: what was a pointer cannot be reckoned with. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} addresses SEC(".maps");

static __always_inline struct note *note_slot(struct __sk_buff *ctx)
{
	volatile __u64 *place = bpf_map_lookup_elem(&addresses, &(__u32){0});
	__u64 address;
	__u32 slot;

	if (!place)
		return NULL;
	*place = (__u64)ctx;
	address = *place;
	/* sk_buffs are 256 bytes apart, or 512 in pairs. */
	slot = (address >> 8 ^ address >> 14) & (NOTES - 1);
	return bpf_map_lookup_elem(&notes, &slot);
}

/* The note of a packet that leaves, if it is this packet's. */
static __always_inline struct note *find_note(struct __sk_buff *ctx)
{
	struct note *n = note_slot(ctx);

	return n && n->skb == (__u64)ctx ? n : NULL;
}

/* An earlier packet at this address left none behind. */
static __always_inline void drop_note(struct __sk_buff *ctx)
{
	struct note *n = note_slot(ctx);

	if (n && n->skb == (__u64)ctx)
		n->skb = 0;
}

/* The present epochs of a flow, if nothing at all has changed since the packet arrived. What is raised first is
 * read last: so an epoch that is newer than the packet's way is never taken for its own.
 */
static __always_inline bool epoch_since(const struct note *n, __u32 slot, __u32 other, __u64 *epoch)
{
	__u64 barrier = 0;

	*epoch = epoch_of(slot, other);
	__sync_fetch_and_add(&barrier, 1);
	return epoch_at(EPOCH_ANY) == n->any;
}

#endif
