// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* Which pings of a flood are recorded.
 *
 * Each identifier of an echo has a gate. At level 0 it is open; at level k it lets only those
 * pings through of whose hash the k highest bits are 0, about one in 2^k. The hash is of what
 * no device changes and request and reply share. So at one level a ping is recorded at each
 * hook or at none, and what a higher level lets through, a lower one does, too. User space
 * counts and sets the levels: package internal/gate.
 */
#ifndef DWELL_GATE_H
#define DWELL_GATE_H

#include "ring.h"

struct gate {
	__u32 passed; /* events; CPUs may overwrite each other's additions */
	__u32 level;  /* GATE_SHUT and above: nothing */
};

enum {
	GATES = 1 << 16,
	GATE_SHUT = 64,
};

/* key: the identifier. User space maps this into its memory. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, GATES);
	__type(key, __u32);
	__type(value, struct gate);
} gates SEC(".maps");

static __always_inline struct gate *gate_of(const struct record_head *h)
{
	__u32 key = h->id;

	return bpf_map_lookup_elem(&gates, &key);
}

/* Alike in bpf/gate.go. */
static __always_inline __u64 gate_hash(const struct record_head *h)
{
	const word *payload = (const word *)h->payload;
	__u64 x = (payload[0] ^ gate_seed) * 0x9e3779b97f4a7c15ULL;

	x = (x ^ x >> 32 ^ payload[1]) * 0xbf58476d1ce4e5b9ULL;
	return (x ^ x >> 29 ^ h->seq) * 0x94d049bb133111ebULL;
}

/* Whether a gate that is not open lets an echo through. An ICMP error may quote less of the
 * payload than there is: then it is not known, and is not recorded.
 */
static __always_inline bool is_sampled(const struct record_head *h, __u32 level)
{
	return level < GATE_SHUT && !(gate_hash(h) >> (GATE_SHUT - level));
}

/* How many events a packet at a hook makes: what the driver returns is another one. */
static __always_inline __u32 events_at(enum hook hook)
{
	return hook == HOOK_NET_DEV_START_XMIT ? 2 : 1;
}

/* Whether the echo is to be recorded at a hook. */
static __always_inline bool passes(const struct gate *g, const struct record_head *h,
				   enum hook hook)
{
	__u32 level = *(const volatile __u32 *)&g->level;
	struct counters *c;

	if (!level || is_sampled(h, level))
		return true;
	c = this_cpu_counters();
	if (c)
		__sync_fetch_and_add(&c->gated, events_at(hook));
	return false;
}

#endif
