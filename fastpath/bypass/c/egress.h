// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* The program at the output of ports and NICs: learns what the kernel did to a packet that was noted when it
 * arrived, or sees that it did as was foretold. It never changes a packet.
 */
#ifndef DWELL_BYPASS_EGRESS_H
#define DWELL_BYPASS_EGRESS_H

#include "deed.h"
#include "rewrite.h"

/* Too large for the stack. Nothing interrupts a program and runs another of these on its CPU. */
struct bench {
	struct flow flow; /* an entry in the making */
	struct front front;
	struct front told;
	struct shape shape;
	union key key;
	union key back;
	struct outer outer;
	struct conn conn;
	__u64 made; /* entries that this CPU has made */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bench);
} benches SEC(".maps");

enum { NOTHING = -1 };

static __noinline int into_tunnel(struct __sk_buff *ctx);

static __always_inline bool is_multicast(const __u8 *mac) { return mac[0] & 1; }

/* Where the kernel sends a routed packet: include/net/route.h:rt_nexthop, ip6_route.h:rt6_nexthop */
static __always_inline bool read_next_hop(struct __sk_buff *ctx, struct rewrite *w, const __be32 *dst_address, bool v6)
{
	unsigned long dst = SKB(ctx)->_skb_refdst & DST_PTRMASK;

	if (!dst)
		return false;
	if (v6) {
		struct rt6_info *rt = CAST(struct rt6_info, (void *)dst);

		w->next_family = AF_INET6;
		if (rt->rt6i_flags & RTF_GATEWAY) {
#pragma unroll
			for (int i = 0; i < 4; i++)
				w->next_hop[i] = rt->rt6i_gateway.in6_u.u6_addr32[i];
		} else {
			__builtin_memcpy(w->next_hop, dst_address, sizeof(w->next_hop));
		}
	} else {
		struct rtable *rt = CAST(struct rtable, (void *)dst);

		w->next_family = AF_INET;
		w->next_hop[0] = dst_address[0];
		if (rt->rt_gw_family == AF_INET) {
			w->next_hop[0] = rt->rt_gw4;
		} else if (rt->rt_gw_family == AF_INET6) {
			w->next_family = AF_INET6;
#pragma unroll
			for (int i = 0; i < 4; i++)
				w->next_hop[i] = rt->rt_gw6.in6_u.u6_addr32[i];
		}
	}
	return true;
}

/* Keeps the headers of the tunnel in which the packet came. */
static __always_inline void keep_from(struct rewrite *w, const struct note *n)
{
	w->flags |= FLOW_DECAPSULATED;
	w->outer_len = TUNNEL_HLEN;
	keep_inner((struct outer *)w->outer, &n->outer);
}

/* Keeps those of the tunnel into which it was put. The frame's MACs are not of a neighbour that the kernel
 * would be asked for.
 */
static __always_inline enum reason keep_to(struct __sk_buff *ctx, struct bench *b, const struct note *n, bool routed)
{
	struct rewrite *w = &b->flow.rewrite;

	if (n->vni || (!routed && !same_macs(w->macs_in, w->macs_out)))
		return REASON_DIFFERS;
	w->flags |= FLOW_ENCAPSULATED;
	w->tos = n->shape.tos;
	w->vni = vni_of(&b->outer);
	w->hash = ctx->hash;
	w->outer_len = TUNNEL_HLEN;
	keep_outer((struct outer *)w->outer, &b->outer);
	return read_next_hop(ctx, w, &b->outer.ip.dst, false) ? FAST : REASON_NEXT_HOP;
}

/* Fills in what the difference between the packet as it arrived and as it leaves looks like. */
static __always_inline enum reason derive(struct __sk_buff *ctx, const struct note *n, struct bench *b, const struct device *dev, __u32 offset, bool v6)
{
	struct rewrite *w = &b->flow.rewrite;
	const struct front *f = &b->front;
	__u32 ttl = v6 ? n->front.v6.ip.hops - f->v6.ip.hops : n->front.v4.ip.ttl - f->v4.ip.ttl;

	if (ttl > 1 || b->shape.proto != n->shape.proto)
		return REASON_DIFFERS;
	__builtin_memset(&b->flow, 0, sizeof(b->flow));
	__builtin_memcpy(w->src, source(f, v6), v6 ? 16 : 4);
	__builtin_memcpy(w->dst, destination(f, v6), v6 ? 16 : 4);
	w->sport = b->shape.sport;
	w->dport = b->shape.dport;
	w->out = ctx->ifindex;
	w->tos = n->shape.tos & 0xfc;
	w->flags = (ttl ? FLOW_ROUTED : 0) | (dev->role == DEVICE_PORT ? FLOW_TO_PORT : 0) | (n->port ? FLOW_FROM_PORT : 0);
	if (w->sport != n->shape.sport || w->dport != n->shape.dport || !same_address(w->src, source(&n->front, v6), v6) ||
	    !same_address(w->dst, destination(&n->front, v6), v6))
		w->flags |= FLOW_TRANSLATED;
	__builtin_memcpy(w->macs_in, n->front.macs, sizeof(w->macs_in));
	__builtin_memcpy(w->macs_out, f->macs, sizeof(w->macs_out));
	w->mark_in = n->mark;
	w->mark = ctx->mark;
	w->priority = ctx->priority;
	if (ttl && !v6)
		w->flags |= FLOW_PRIORITY; /* net/ipv4/ip_forward.c sets it by the DSCP */
	else if (ctx->priority != n->priority)
		return REASON_DIFFERS;
	else
		w->priority = 0;
	if (is_multicast(f->macs))
		return REASON_NEXT_HOP;
	if (n->vni)
		keep_from(w, n);
	if (offset)
		return keep_to(ctx, b, n, ttl);
	if (!ttl)
		return same_macs(w->macs_in, w->macs_out) ? FAST : REASON_DIFFERS;
	if (dev->role == DEVICE_PORT)
		return FAST;
	if (!read_next_hop(ctx, w, w->dst, v6))
		return REASON_NEXT_HOP;
	__builtin_memset(w->macs_out, 0, sizeof(w->macs_out));
	return FAST;
}

/* Whether the rewrite makes of the packet that arrived exactly the one that leaves: the checksum, which only
 * what is understood has changed, tells of the bytes that are not compared.
 */
static __always_inline bool foretells(struct __sk_buff *ctx, const struct note *n, struct bench *b, const struct rewrite *w, __u32 offset, bool v6)
{
	const __u64 *told = (void *)&b->told, *is = (void *)&b->front;
	bool partial = summed(ctx) == CHECKSUM_PARTIAL;
	__u32 len = w->flags & FLOW_ROUTED ? ETH_HLEN + n->shape.length : n->len;
	__u64 differ = 0;

	if (partial != n->partial || ctx->len - offset != len)
		return false;
	b->told = n->front;
	rewrite_front(&b->told, &n->shape, w, partial, v6);
	if (w->next_family && !offset)
		__builtin_memcpy(b->told.macs, b->front.macs, sizeof(b->told.macs));
#pragma unroll
	for (__u32 i = 0; i < sizeof(struct front) / sizeof(__u64); i++)
		differ |= told[i] ^ is[i];
	return !differ;
}

/* Fills in the connection, and how long it may be relied on. */
static __always_inline enum reason read_track(const struct note *n, struct bench *b, __u64 tracked, __u32 *lease, bool v6)
{
	__u32 info = tracked & CT_INFO_MASK;
	struct flow *f = &b->flow;
	enum reason reason;
	__s32 left;

	tracked &= ~(__u64)CT_INFO_MASK;
	if (!tracked) /* nobody tracks it, and so nobody translates it */
		return f->rewrite.flags & FLOW_TRANSLATED ? REASON_STATE : FAST;
	if (info == CT_INFO_NEW)
		return REASON_UNREPLIED;
	if (info != CT_INFO_ESTABLISHED && info != CT_INFO_REPLY)
		return REASON_STATE;
	f->conn = tracked;
	f->rewrite.flags |= FLOW_TRACKED | (info == CT_INFO_REPLY ? FLOW_REPLY : 0);
	if (!read_conn(&b->conn, tracked) ||
	    !conn_is(&b->conn, source(&n->front, v6), destination(&n->front, v6), &n->shape, &f->rewrite, v6))
		return REASON_STATE;
	reason = check_extensions(tracked);
	if (reason)
		return reason;
	if (n->shape.proto == IPPROTO_TCP && !is_established(tracked))
		return REASON_STATE;
	left = conn_left(tracked);
	if (left <= 0)
		return REASON_STATE;
	if ((__u32)left / 3 < *lease)
		*lease = (__u32)left / 3;
	return FAST;
}

static __always_inline __s64 *usage_of(__u32 slot) { return bpf_map_lookup_elem(&usage, &slot); }

/* Makes an entry of what is on the bench, if the tenant may have one more. */
static __always_inline enum reason make(struct bench *b, bool v6)
{
	__u32 slot = b->flow.slot;
	const struct tenant *t = bpf_map_lookup_elem(&tenants, &slot);
	__s64 *used = usage_of(slot);
	long err;

	if (!t || !used || *(volatile __s64 *)used >= t->capacity)
		return REASON_FULL;
	b->made++;
	b->flow.id = (__u64)(bpf_get_smp_processor_id() + 1) << 48 | b->made;
	err = v6 ? bpf_map_update_elem(&flows6, &b->key.v6, &b->flow, BPF_NOEXIST)
		 : bpf_map_update_elem(&flows4, &b->key.v4, &b->flow, BPF_NOEXIST);
	if (err)
		return REASON_FULL;
	__sync_fetch_and_add(used, 1);
	return FAST;
}

/* Asks user space to approve the flow, not more often than 10 times a second. */
static __always_inline void ask(struct bench *b, struct flow *flow, const struct flow *back, __u64 now, bool v6)
{
	struct candidate *c;
	__u64 *unasked_here;

	if (now - flow->asked < hz / 10)
		return;
	flow->asked = now;
	c = bpf_ringbuf_reserve(&candidates, sizeof(*c), 0);
	if (!c) {
		unasked_here = bpf_map_lookup_elem(&unasked, &(__u32){0});
		if (unasked_here)
			(*unasked_here)++;
		return;
	}
	__builtin_memset(c, 0, sizeof(*c));
	c->family = v6 ? AF_INET6 : AF_INET;
	c->id = flow->id;
	c->back_id = back->id;
	if (v6) {
		c->key6 = b->key.v6;
		c->back6 = b->back.v6;
	} else {
		c->key4 = b->key.v4;
		c->back4 = b->back.v4;
	}
	bpf_ringbuf_submit(c, 0);
}

/* Whether the other direction undoes what this one does, and the kernel has shown that, too. */
static __always_inline bool answers(const struct bench *b, const struct flow *flow, const struct flow *back, __u32 agreed, bool v6)
{
	const struct rewrite *w = &back->rewrite;

	if (back->ended || back->agreed < agreed || ((w->flags ^ flow->rewrite.flags) & (FLOW_TRACKED | FLOW_ROUTED)))
		return false;
	if (w->flags & FLOW_TRACKED && (back->conn != flow->conn || !((w->flags ^ flow->rewrite.flags) & FLOW_REPLY)))
		return false;
	return same_address(w->src, v6 ? b->key.v6.dst : &b->key.v4.dst, v6) &&
	       same_address(w->dst, v6 ? b->key.v6.src : &b->key.v4.src, v6) &&
	       w->out == (v6 ? b->key.v6.ifindex : b->key.v4.ifindex);
}

/* The entry agrees with what the kernel did while the epochs were these. */
static __always_inline void renew(struct flow *flow, const struct note *n, __u64 epoch, __u32 lease, __u64 now)
{
	bool fresh = flow->lease > now && flow->route == n->route && flow->epoch == epoch;

	if (!fresh || flow->longest < n->shape.segment)
		flow->longest = n->shape.segment;
	flow->route = n->route;
	flow->epoch = epoch;
	flow->lease = now + lease;
	flow->used = now;
	__sync_fetch_and_add(&flow->agreed, 1);
}

static __always_inline bool same_rewrite(const struct rewrite *a, const struct rewrite *b)
{
	const __u64 *x = (void *)a, *y = (void *)b;
	__u64 differ = 0;

#pragma unroll
	for (__u32 i = 0; i < sizeof(*a) / sizeof(__u64); i++)
		differ |= x[i] ^ y[i];
	return !differ;
}

/* The kernel has cut the packet into segments on its way, because a device cannot. Of the first is learnt how
 * long they may be.
 */
static __always_inline enum reason learn_segment(const struct note *n, const struct bench *b, struct flow *flow, __u64 now)
{
	if (flow && !flow->ended && flow->lease > now && flow->route == n->route && flow->epoch == b->flow.epoch && b->shape.length == n->shape.segment &&
	    flow->longest < n->shape.segment && same_rewrite(&b->flow.rewrite, &flow->rewrite))
		flow->longest = n->shape.segment;
	return REASON_OFFLOAD;
}

/* Compares with the entry that there is. */
static __always_inline enum reason compare(struct __sk_buff *ctx, const struct note *n, struct bench *b, struct flow *flow,
					   const struct setting *set, __u32 lease, __u64 now, bool v6)
{
	struct flow *back;

	if (flow->ended)
		return REASON_ENDED;
	if (!same_rewrite(&b->flow.rewrite, &flow->rewrite) || flow->conn != b->flow.conn) {
		flow->ended = REASON_MOVED;
		if (n->foretold && flow->conn == b->flow.conn && b->flow.rewrite.out == flow->rewrite.out)
			return REASON_MISMATCH;
		return REASON_MOVED;
	}
	renew(flow, n, b->flow.epoch, lease, now);
	if (flow->agreed < set->agreed)
		return FAST;
	if (n->shape.proto == IPPROTO_TCP && flow->conn && mode_of(flow->slot) == MODE_ON && !is_liberal(flow->conn))
		flow->approval = 0;
	if (flow->approval == set->approval)
		return FAST;
	back_key(&b->back, &flow->rewrite, n->shape.proto, v6);
	back = find_flow(&b->back, v6);
	if (back && answers(b, flow, back, set->agreed, v6))
		ask(b, flow, back, now, v6);
	return FAST;
}

/* What the packet teaches. */
static __always_inline enum reason learn(struct __sk_buff *ctx, const struct note *n, struct bench *b, const struct device *dev,
					 const struct setting *set, __u32 offset, bool v6)
{
	__u64 now = bpf_jiffies64();
	__u32 lease = set->lease;
	struct flow *flow;
	enum reason reason;

	__builtin_memset(&b->front, 0, sizeof(b->front));
	__builtin_memset(&b->shape, 0, sizeof(b->shape));
	if (route_generation(ctx, v6) != n->route)
		return REASON_CHANGED;
	if (read_front(ctx, &b->front, &b->shape, offset, v6) && (v6 ? b->front.v6.ip.hops : b->front.v4.ip.ttl) > 1)
		return REASON_DIFFERS;
	reason = derive(ctx, n, b, dev, offset, v6) ?: read_track(n, b, offset ? n->tracked : SKB(ctx)->_nfct, &lease, v6);
	__builtin_memset(&b->key, 0, sizeof(b->key));
	key_of(&b->key, n->ifindex, &n->front, &n->shape, n->vni, v6);
	if (reason)
		return reason;
	b->flow.slot = n->port ? n->slot : dev->slot;
	b->flow.other = n->port && dev->role == DEVICE_PORT ? dev->slot : 0;
	if (!epoch_since(n, b->flow.slot, b->flow.other, &b->flow.epoch))
		return REASON_CHANGED;
	flow = find_flow(&b->key, v6);
	if (n->shape.segment != n->shape.length && b->shape.length != n->shape.length)
		return learn_segment(n, b, flow, now);
	if (!foretells(ctx, n, b, &b->flow.rewrite, offset, v6)) {
		if (!flow)
			return REASON_DIFFERS;
		flow->ended = REASON_DIFFERS;
		return n->foretold && flow->conn == b->flow.conn ? REASON_MISMATCH : REASON_DIFFERS;
	}
	if (flow)
		return compare(ctx, n, b, flow, set, lease, now, v6);
	b->flow.lease = now + lease;
	b->flow.route = n->route;
	b->flow.used = now;
	b->flow.agreed = 1;
	b->flow.slow = 1;
	b->flow.longest = n->shape.segment;
	reason = make(b, v6);
	return reason ?: REASONS; /* one was made */
}

static __always_inline void count_learning(const struct note *n, const struct bench *b, enum reason reason)
{
	enum direction d = n->port ? FROM_TENANT : TO_TENANT;
	struct count *counts = counts_of(b->flow.slot ?: n->slot, d);

	if (!counts)
		return;
	if (reason == REASONS)
		counts->learnt++;
	else if (reason == REASON_MISMATCH)
		counts->differ++;
	else if (!reason && n->foretold)
		counts->same++;
	else if (reason && reason < REASONS)
		counts->unlearnt[reason]++;
}

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

	if (!n || !b || !set || !dev || !load_outer(ctx, &b->outer) || !is_tunnel(ctx, &b->outer, set->ports))
		return NOTHING;
	n->skb = 0;
	return n->v6 ? left(ctx, n, b, dev, TUNNEL_HLEN, true) : left(ctx, n, b, dev, TUNNEL_HLEN, false);
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
	/* Where it enters the tunnel, the kernel forgets that it was received, and its connection. */
	if (n->v6 != v6 || !CAST(struct sk_buff, ctx)->skb_iif) {
		n->skb = 0;
		return NOTHING;
	}
	if (dev->role == DEVICE_TUNNEL) {
		n->tracked = SKB(ctx)->_nfct;
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
