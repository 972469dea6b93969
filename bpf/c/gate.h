// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* Which pings are recorded, of those that there are too many of or of which a part is enough.
 *
 * Each identifier of an echo has a gate with a threshold: it lets those pings through whose
 * randomness is no less. That is a hash of what no device changes and request and reply share. So
 * at one threshold a ping is recorded at each hook, and on each host, or at none, and what a higher
 * threshold lets through, a lower one does, too. User space counts and sets the thresholds: package
 * internal/gate.
 */
#ifndef DWELL_GATE_H
#define DWELL_GATE_H

#include "ring.h"
#include "siphash.h"

struct gate {
	__u32 passed;	 /* events; CPUs may overwrite each other's additions */
	__u32 threshold; /* the highest of 56 bits */
};

enum {
	GATES = 1 << 16,
	DECISIONS = 64,
};

#define GATE_SHUT 0xffffffffU /* lets nothing through */

/* key: the identifier. User space maps this into its memory. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, GATES);
	__type(key, __u32);
	__type(value, struct gate);
} gates SEC(".maps");

/* The last decisions on a CPU, because a packet passes many hooks there: each a mix of what it is
 * about, with its outcome as the lowest bit. One word, so that a program that interrupts
 * another one cannot leave half of one.
 */
struct decisions {
	__u64 words[DECISIONS];
};

/* key: 0. value: this CPU's. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct decisions);
} decided SEC(".maps");

static __always_inline struct gate *gate_of(const struct record_head *h)
{
	__u32 key = h->id;

	return bpf_map_lookup_elem(&gates, &key);
}

/* A number of a ping and a threshold that nobody can foretell who does not know the seed, to find
 * and tell decisions by.
 */
static __always_inline __u64 decision_mix(const struct record_head *h, __u32 threshold)
{
	const word *payload = (const word *)h->payload;
	__u64 x = (payload[0] ^ gate_seed) * 0x9e3779b97f4a7c15ULL;

	x = (x ^ x >> 32 ^ payload[1]) * 0xbf58476d1ce4e5b9ULL;
	return (x ^ x >> 29 ^ h->seq ^ (__u64)threshold << 16) * 0x94d049bb133111ebULL;
}

static __noinline bool decide(const struct record_head *h, __u32 threshold)
{
	return randomness(trace_key[0], trace_key[1], h) >= threshold;
}

/* Whether a gate that is not open lets an echo through. An ICMP error may quote less of the
 * payload than there is: then it is not known, and is not recorded.
 */
static __always_inline bool is_sampled(const struct record_head *h, __u32 threshold)
{
	__u64 mix = decision_mix(h, threshold), known;
	struct decisions *d;
	__u32 key = 0;
	bool yes;

	if (threshold == GATE_SHUT)
		return false;
	d = bpf_map_lookup_elem(&decided, &key);
	if (!d)
		return decide(h, threshold);
	known = d->words[mix >> 58];
	if (!((known ^ mix) >> 1))
		return known & 1;
	yes = decide(h, threshold);
	d->words[mix >> 58] = (mix & ~1ULL) | yes;
	return yes;
}

/* How many events a packet at a hook makes: what the driver returns is another one. */
static __always_inline __u32 events_at(enum hook hook)
{
	return hook == HOOK_NET_DEV_START_XMIT ? 2 : 1;
}

/* Whether the echo is to be recorded at a hook. */
static __always_inline bool passes(const struct gate *g, struct record_head *h, enum hook hook)
{
	__u32 threshold = *(const volatile __u32 *)&g->threshold;
	struct counters *c;

	h->threshold = threshold;
	if (!threshold || is_sampled(h, threshold))
		return true;
	c = this_cpu_counters();
	if (c)
		__sync_fetch_and_add(&c->gated, events_at(hook));
	return false;
}

#endif
