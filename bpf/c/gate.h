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
	SAMPLING = GATES, /* the key of what all gates have in common */
	DECISIONS = 64,
	HOOKS = HOOK_ACTED + 1,
};

#define GATE_SHUT 0xffffffffU /* lets nothing through */

/* key: the identifier, or SAMPLING. User space maps this into its memory. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, GATES + 1);
	__type(key, __u32);
	__type(value, struct gate);
} gates SEC(".maps");

/* What a gate decides, and because of what. */
enum decision {
	SAMPLED_OUT, /* the threshold of all gates is higher */
	GATED,	     /* only its own is */
	LET_THROUGH,
	DECISION_MASK = 3,
};

/* How many events were left out, and because of what. */
struct left_out {
	__u64 sampled_out;
	__u64 gated;
};

/* The last decisions on a CPU, because a packet passes many hooks there: each a mix of what it is
 * about, with the decision as its lowest bits. One word, so that a program that interrupts
 * another one cannot leave half of one. And how many events were left out, by hook: see
 * count_left_out.
 */
struct decisions {
	__u64 words[DECISIONS];
	struct left_out left_out[HOOKS];
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

/* A number of a ping and a threshold, to tell decisions by. Nobody who does not know the keys can make
 * two that are alike more often than once in 2^30 times: it is NH (UMAC, RFC 4418).
 */
static __always_inline __u64 decision_mix(const struct record_head *h, __u32 threshold)
{
	__u64 a = ((const word *)h->payload)[0], b = ((const word *)h->payload)[1];

	return (__u64)((__u32)a + gate_keys[0]) * ((__u32)(a >> 32) + gate_keys[1]) +
	       (__u64)((__u32)b + gate_keys[2]) * ((__u32)(b >> 32) + gate_keys[3]) +
	       (__u64)(threshold + gate_keys[4]) * (h->seq + gate_keys[5]);
}

static __noinline __u32 decide(const struct record_head *h, __u32 threshold)
{
	__u32 random = randomness(trace_key[0], trace_key[1], h), key = SAMPLING;
	const struct gate *all;

	if (random >= threshold && threshold != GATE_SHUT)
		return LET_THROUGH;
	all = bpf_map_lookup_elem(&gates, &key);
	if (all && (random < all->threshold || all->threshold == GATE_SHUT))
		return SAMPLED_OUT;
	return GATED;
}

/* What a gate that is not open decides about an echo: as for the ping, of which an ICMP error has to
 * quote what is compared.
 */
static __always_inline __u32 decision(struct decisions *d, const struct record_head *h,
				      __u32 threshold)
{
	__u64 mix = decision_mix(h, threshold) & ~(__u64)DECISION_MASK;
	__u32 at = (mix >> 24 ^ mix >> 48) % DECISIONS, made;
	__u64 known = d->words[at];

	if ((known & ~(__u64)DECISION_MASK) == mix)
		return known & DECISION_MASK;
	made = decide(h, threshold) & DECISION_MASK;
	d->words[at] = mix | made;
	return made;
}

/* How many events a packet at a hook makes: what the driver returns is another one. */
static __always_inline __u32 events_at(enum hook hook)
{
	return hook == HOOK_NET_DEV_START_XMIT ? 2 : 1;
}

/* Whether one program on a hook may interrupt another one there, on the same CPU. Since Linux 6.1 one on a
 * tracepoint does not run then; before, only of kfree_skb is it to be expected.
 */
static __always_inline bool may_nest(enum hook hook)
{
	return hook == HOOK_KFREE_SKB || hook == HOOK_NETFILTER_FIRST ||
	       hook == HOOK_NETFILTER_LAST || hook == HOOK_ACTED;
}

/* Counts events that were left out at a hook, where no other hook's are counted: else a program would have
 * to count atomically, which takes 5 ns, or an interrupt between reading and writing would lose some.
 */
static __always_inline void count_left_out(__u64 *count, enum hook hook)
{
	if (may_nest(hook))
		__sync_fetch_and_add(count, events_at(hook));
	else
		*count += events_at(hook);
}

/* Whether the echo is to be recorded at a hook. */
static __always_inline bool passes(const struct gate *g, struct record_head *h, enum hook hook)
{
	__u32 threshold = *(const volatile __u32 *)&g->threshold, key = 0, made;
	struct decisions *d;

	h->threshold = threshold;
	if (!threshold)
		return true;
	d = bpf_map_lookup_elem(&decided, &key);
	if (!d)
		return false; /* there always is one */
	made = decision(d, h, threshold);
	if (made == LET_THROUGH)
		return true;
	if (made == GATED)
		count_left_out(&d->left_out[hook].gated, hook);
	else
		count_left_out(&d->left_out[hook].sampled_out, hook);
	return false;
}

#endif
