// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* The program at the output of ports and NICs: learns what the kernel did to a packet that was noted when it
 * arrived, or sees that it did as was foretold. It never changes a packet.
 */
#ifndef DWELL_BYPASS_EGRESS_H
#define DWELL_BYPASS_EGRESS_H

#include "deed.h"
#include "learn.h"

enum { NOTHING = -1 };

static __noinline int into_tunnel(struct __sk_buff *ctx);

/* A noted packet that leaves by a device of ours. Returns the slot of the tenant whose flow it has taught, or
 * NOTHING.
 */
static __always_inline int left(struct __sk_buff *ctx, struct note *n, struct bench *b, const struct device *dev, __u32 offset, bool v6)
{
	const struct setting *set = settings_now();
	enum reason reason;

	if (!set || n->ifindex == ctx->ifindex || (!n->port && dev->role != DEVICE_PORT))
		return NOTHING;
	if (dev->role == DEVICE_PORT && mode_of(dev->slot) == MODE_OFF)
		return NOTHING;
	b->flow.slot = 0;
	reason = learn(ctx, n, b, dev, set, offset, v6);
	count_learning(n, b, reason);
	if (reason && reason < REASONS)
		tell(set, &b->key, reason, v6);
	return reason && reason < REASONS ? NOTHING : b->flow.slot;
}

/* A noted packet that leaves in a tunnel. */
static __noinline int into_tunnel(struct __sk_buff *ctx)
{
	struct bench *b = bpf_map_lookup_elem(&benches, &(__u32){0});
	const struct setting *set = settings_now();
	__u32 index = ctx->ifindex;
	const struct device *dev = bpf_map_lookup_elem(&devices, &index);
	struct note *n = find_note(ctx);

	if (!n || !b || !set || !dev)
		return NOTHING;
	n->skb = 0;
	if (!load_outer(ctx, &b->outer) || !is_tunnel(ctx, &b->outer, set->ports)) {
		b->flow.slot = 0;
		count_learning(n, b, REASON_TUNNEL);
		return NOTHING;
	}
	return n->v6 ? left(ctx, n, b, dev, TUNNEL_HLEN, true) : left(ctx, n, b, dev, TUNNEL_HLEN, false);
}

/* Whether the packet was received last where it was noted, or by that device's bridge or tunnel: it has not been in
 * another namespace, whose rules nobody watches.
 */
static __always_inline bool is_straight(struct __sk_buff *ctx, const struct note *n)
{
	__u32 last = CAST(struct sk_buff, ctx)->skb_iif;
	const struct device *dev;

	if (last == n->ifindex || (last && last == n->master))
		return true;
	dev = n->vni ? bpf_map_lookup_elem(&devices, &last) : NULL;
	return dev && dev->role == DEVICE_TUNNEL;
}

static __always_inline int leaving(struct __sk_buff *ctx, bool v6)
{
	__u32 index = ctx->ifindex;
	struct note *n = find_note(ctx);
	const struct device *dev;
	struct bench *b;

	if (!n)
		return NOTHING;
	if (!TRACED && is_echo(n->shape.proto))
		bpf_tail_call(ctx, &traced, SLOT_EGRESS);
	dev = bpf_map_lookup_elem(&devices, &index);
	b = bpf_map_lookup_elem(&benches, &(__u32){0});
	if (!dev || !b || dev->flags & DEVICE_BLOCKED) {
		n->skb = 0;
		return NOTHING;
	}
	if (n->tunneled && dev->role == DEVICE_NIC)
		return into_tunnel(ctx);
	/* Where it enters the tunnel, the kernel forgets where it was received, its connection and its hash. */
	if (n->v6 != v6 || !is_straight(ctx, n)) {
		n->skb = 0;
		b->flow.slot = 0;
		count_learning(n, b, REASON_MOVED);
		return NOTHING;
	}
	if (dev->role == DEVICE_TUNNEL) {
		n->tracked = SKB(ctx)->_nfct;
		n->hash = bpf_get_hash_recalc(ctx); /* as the tunnel will */
		n->tunneled = 1;
		return NOTHING;
	}
	n->skb = 0;
	return left(ctx, n, b, dev, 0, v6);
}

static __always_inline int at_egress(struct __sk_buff *ctx, bool v6)
{
	int taught = leaving(ctx, v6);

	if (taught != NOTHING)
		record_learn(ctx, taught);
	return TC_NEXT;
}

#endif
