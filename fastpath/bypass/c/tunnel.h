// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* Putting frames into a tunnel, and taking them out. */
#ifndef DWELL_BYPASS_TUNNEL_H
#define DWELL_BYPASS_TUNNEL_H

#include "rewrite.h"
#include "run.h"

/* Writes what the entry makes of the first bytes. */
static __always_inline bool write_front(struct __sk_buff *ctx, struct run *run, const struct rewrite *w, __u32 offset, bool v6)
{
	rewrite_front(&run->front, &run->shape, w, run->partial, v6);
	if (run->shape.proto == IPPROTO_TCP)
		return !bpf_skb_store_bytes(ctx, offset, run->front.macs, ETH_HLEN + (v6 ? IPV6_HLEN : IPV4_HLEN) + TCP_HLEN, 0);
	return !bpf_skb_store_bytes(ctx, offset, run->front.macs, ETH_HLEN + (v6 ? IPV6_HLEN : IPV4_HLEN) + UDP_HLEN, 0);
}

/* Whether the headers of the tunnel in which it comes are those that were learnt. */
static __always_inline enum reason check_tunnel(struct __sk_buff *ctx, const struct run *run, const struct flow *flow, __u32 offset)
{
	const struct rewrite *w = &flow->rewrite;
	const __u32 *kept = (void *)w->outer, *is;
	struct outer o;
	__u32 differ = 0;

	if (!offset)
		return FAST;
	keep_inner(&o, &run->outer);
	is = (void *)&o;
#pragma unroll
	for (__u32 i = 0; i < sizeof(o) / sizeof(__u32); i++)
		differ |= kept[i] ^ is[i];
	if (differ || ctx->pkt_type || !sum_is_right(&run->outer.ip))
		return REASON_TUNNEL;
	return FAST;
}

/* As drivers/net/vxlan and net/ipv4/ip_tunnel_core.c:iptunnel_xmit do. The identification is the kernel's to
 * draw, there as here. If it fails, nothing is changed: what is written has been made writable.
 */
static __always_inline bool encapsulate(struct __sk_buff *ctx, struct run *run, const struct flow *flow, bool v6)
{
	__u64 flags = F_ADJ_FIXED_GSO | F_ADJ_ENCAP_L3_IPV4 | F_ADJ_ENCAP_L4_UDP | F_ADJ_ENCAP_L2_ETH |
		      (__u64)ETH_HLEN << F_ADJ_ENCAP_L2_SHIFT;
	struct outer *o = &run->outer;

	if (ctx->len != ETH_HLEN + run->shape.length)
		return false;
	if (bpf_skb_adjust_room(ctx, TUNNEL_HLEN, ADJ_ROOM_MAC, flags))
		return false;
	__builtin_memcpy(o, flow->rewrite.outer, sizeof(*o));
	o->length = bpf_htons(ETH_HLEN + run->shape.length + 16);
	o->ip.length = bpf_htons(ETH_HLEN + run->shape.length + 16 + IPV4_HLEN);
	o->ip.id = bpf_get_prandom_u32();
	o->ip.check = ~header_sum(&o->ip);
	return !bpf_skb_store_bytes(ctx, 0, o->macs, TUNNEL_HLEN, 0) && write_front(ctx, run, &flow->rewrite, TUNNEL_HLEN, v6);
}

static __always_inline bool decapsulate(struct __sk_buff *ctx, struct run *run, const struct flow *flow, bool v6)
{
	if (bpf_skb_adjust_room(ctx, -TUNNEL_HLEN, ADJ_ROOM_MAC, F_ADJ_FIXED_GSO | (v6 ? F_ADJ_DECAP_L3_IPV6 : F_ADJ_DECAP_L3_IPV4)))
		return false;
	return write_front(ctx, run, &flow->rewrite, 0, v6);
}

#endif
