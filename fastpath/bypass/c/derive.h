// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* What the kernel did to a packet, from what it was when it arrived and what it is as it leaves. */
#ifndef DWELL_BYPASS_DERIVE_H
#define DWELL_BYPASS_DERIVE_H

#include "note.h"
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
	struct tcp_conn tcp; /* of a packet of TCP that is tracked */
	__u64 made; /* entries that this CPU has made */
	bool doubted; /* user space was told of the packet, which is not as was foretold */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bench);
} benches SEC(".maps");

static __always_inline bool is_multicast(const __u8 *mac) { return mac[0] & 1; }

/* Where the kernel sends a routed packet, if it is by this device that it routes it, and not by its bridge: include/net/route.h:rt_nexthop, ip6_route.h:rt6_nexthop */
static __always_inline bool read_next_hop(struct __sk_buff *ctx, struct rewrite *w, const __be32 *dst_address, bool v6)
{
	unsigned long dst = SKB(ctx)->_skb_refdst & DST_PTRMASK;

	if (!dst || CAST(struct dst_entry, (void *)dst)->dev->ifindex != (int)ctx->ifindex)
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

	/* The source port is made of the packet as it is after translation. */
	if (n->vni || w->flags & FLOW_TRANSLATED || (!routed && !same_macs(w->macs_in, w->macs_out)))
		return REASON_DIFFERS;
	w->flags |= FLOW_ENCAPSULATED;
	w->tos = n->shape.tos;
	w->vni = vni_of(&b->outer);
	w->hash = n->hash;
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
	w->label = v6 && (ttl || offset) ? n->front.v6.ip.flow & bpf_htonl(FLOW_LABEL) : 0;
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
	/* A packet that was routed in another namespace has no route here. */
	if (!(SKB(ctx)->_skb_refdst & DST_PTRMASK))
		return REASON_NEXT_HOP;
	/* The neighbours of a device that is a bridge's port are the bridge's: the kernel cannot be asked for them by
	 * the port's name. Their changes are announced.
	 */
	if (dev->role == DEVICE_NIC && read_next_hop(ctx, w, w->dst, v6))
		__builtin_memset(w->macs_out, 0, sizeof(w->macs_out));
	return FAST;
}

/* How long the frame is to be when it leaves: a router cuts off what is behind the IP packet. */
static __always_inline __u32 told_len(const struct note *n, const struct rewrite *w)
{
	return w->flags & FLOW_ROUTED ? ETH_HLEN + n->shape.length : n->len;
}

/* Whether the rewrite makes of the packet that arrived exactly the one that leaves: the checksum, which only
 * what is understood has changed, tells of the bytes that are not compared.
 */
static __always_inline bool foretells(struct __sk_buff *ctx, const struct note *n, struct bench *b, const struct rewrite *w, __u32 offset, bool v6)
{
	const __u64 *told = (void *)&b->told, *is = (void *)&b->front;
	bool partial = summed(ctx) == CHECKSUM_PARTIAL;
	__u64 differ = 0;

	b->told = n->front;
	rewrite_front(&b->told, &n->shape, w, partial, v6);
	if (w->next_family && !offset)
		__builtin_memcpy(b->told.macs, b->front.macs, sizeof(b->told.macs));
#pragma unroll
	for (__u32 i = 0; i < sizeof(struct front) / sizeof(__u64); i++)
		differ |= told[i] ^ is[i];
	return !differ && partial == n->partial && ctx->len - offset == told_len(n, w);
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
	if (n->shape.proto == IPPROTO_TCP && (!read_tcp_conn(&b->tcp, tracked) || !is_established(&b->tcp)))
		return REASON_STATE;
	f->zone = nf_conn_zoned ? b->conn.zone : 0;
	left = conn_left(&b->conn);
	if (left <= 0)
		return REASON_STATE;
	if ((__u32)left / 3 < *lease)
		*lease = (__u32)left / 3;
	return FAST;
}

#endif
