// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* Telling user space of a packet that the kernel treated otherwise than was foretold.
 *
 * What changes the kernel's way of a packet is in force before anybody can know of it: a route, for example, is
 * replaced before the generation of routes is raised and before it is announced (net/ipv4/fib_trie.c:fib_table_insert).
 * A packet that passes in between is treated in the new way although nothing has changed as far as a program can see.
 * So a program cannot say whether what was foretold was wrong. Whoever is told can: nothing is announced later either.
 */
#ifndef DWELL_BYPASS_DOUBT_H
#define DWELL_BYPASS_DOUBT_H

#include "derive.h"

struct doubt {
	struct key6 key; /* as in the map watched */
	__u8 family;
	__u8 direction; /* enum direction */
	__u16 slot;
	__u16 other;
	__u16 _pad;
	__u32 len; /* bytes of the frame without a tunnel's headers, and how many were foretold */
	__u32 told_len;
	__u32 summed; /* whether a device has yet to work the checksum out, and whether it was to be foretold */
	__u32 told_summed;
	__u64 epoch; /* sum of the epochs at which it was foretold */
	__u64 ns;    /* the kernel's monotonic clock */
	struct rewrite is;
	struct rewrite told;
	struct front front;
	struct front told_front;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16);
} doubts SEC(".maps");

static __always_inline void widen_key(struct key6 *wide, const union key *k, bool v6)
{
	if (v6) {
		*wide = k->v6;
		return;
	}
	wide->ifindex = k->v4.ifindex;
	wide->src[0] = k->v4.src;
	wide->dst[0] = k->v4.dst;
	wide->sport = k->v4.sport;
	wide->dport = k->v4.dport;
	wide->vni_proto = k->v4.vni_proto;
}

/* The packet on the bench is not as the entry said. If there is no room, it is counted as foretold wrong. It has a stack of
 * its own, for which there is no room in that of who calls it.
 */
static __noinline int tell_doubt(struct __sk_buff *ctx, const struct note *n, struct bench *b, const struct flow *flow, __u32 offset)
{
	struct doubt *d = bpf_ringbuf_reserve(&doubts, sizeof(*d), 0);

	b->doubted = d != NULL;
	if (!d)
		return REASON_MISMATCH;
	__builtin_memset(&d->key, 0, sizeof(d->key));
	widen_key(&d->key, &b->key, n->v6);
	d->family = n->v6 ? AF_INET6 : AF_INET;
	d->direction = n->port ? FROM_TENANT : TO_TENANT;
	d->slot = b->flow.slot;
	d->other = b->flow.other;
	d->_pad = 0;
	d->len = ctx->len - offset;
	d->told_len = told_len(n, &b->flow.rewrite);
	d->summed = summed(ctx) == CHECKSUM_PARTIAL;
	d->told_summed = n->partial;
	d->epoch = n->epoch;
	d->ns = bpf_ktime_get_ns();
	d->is = b->flow.rewrite;
	d->told = flow->rewrite;
	d->front = b->front;
	d->told_front = b->told;
	bpf_ringbuf_submit(d, 0);
	return REASON_MISMATCH;
}

#endif
