// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* IP headers, extension headers, fragments. */
#ifndef DWELL_PARSE_IP_H
#define DWELL_PARSE_IP_H

#include "parse_cursor.h"

/* A fragment: the first one has the headers, which are looked for further on; of another
 * one only those are told that have a part of an ICMP message. Returns whether it is
 * another one. The fragment's ID is in head.code, until the hook's own code comes there.
 */
static __always_inline bool fragment(struct record *r, const struct cursor *c, bool later, __u32 id)
{
	r->head.code = id;
	if (later)
		r->head.flags |= FLAG_LATER_FRAGMENT;
	else if (!c->quoted)
		r->head.flags |= FLAG_FIRST_FRAGMENT;
	return later;
}

static __always_inline int later_fragment(const struct cursor *c, __u32 size, __u8 proto)
{
	__u8 icmp = c->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;

	return proto == icmp && !c->quoted && c->left >= size ? STEP_FOUND : STEP_STOP;
}

/* Nothing past the end of the IP packet, such as Ethernet's padding, is part of what is in
 * it.
 */
static __always_inline void bound(struct cursor *c, __u32 total)
{
	c->len = total;
	if (c->left > total)
		c->left = total;
}

static __always_inline int step_ip4(struct record *r, struct cursor *c, const struct wire_ip4 *ip)
{
	__u32 size = (ip->ihl & 0x0f) * 4;
	__u16 frag_off = bpf_ntohs(ip->frag_off);

	if (size < IP4_HEADER)
		return STEP_STOP;
	c->v6 = 0;
	c->routed = 0;
	bound(c, bpf_ntohs(ip->tot_len));
	r->head.flags = 0;
	r->head.ttl = ip->ttl;
	__builtin_memset(&r->addr.v6, 0, sizeof(r->addr.v6));
	__builtin_memcpy(&r->addr.v4, ip->src, sizeof(r->addr.v4));
	if (frag_off & (IP4_OFFSET | IP4_MORE) &&
	    fragment(r, c, frag_off & IP4_OFFSET, bpf_ntohs(ip->id)))
		return later_fragment(c, size, ip->protocol);
	return ip->protocol == IPPROTO_TCP ? STEP_STOP : step_over(c, size, ip->protocol);
}

static __always_inline int step_ip6(struct record *r, struct cursor *c, const struct wire_ip6 *ip)
{
	c->v6 = 1;
	c->routed = 0;
	bound(c, IP6_HEADER + bpf_ntohs(ip->payload_len));
	r->head.flags = FLAG_IPV6;
	r->head.ttl = ip->hop_limit;
	__builtin_memcpy(&r->addr.v6, ip->src, sizeof(r->addr.v6));
	return ip->nexthdr == IPPROTO_TCP ? STEP_STOP : step_over(c, IP6_HEADER, ip->nexthdr);
}

/* The header says itself which of the two it is, and so does what is before it. */
static __always_inline int step_ip(struct record *r, struct cursor *c, const union window *w)
{
	__u8 version = w->version >> 4;

	if (version == 4 && c->next != ETH_P_IPV6)
		return step_ip4(r, c, &w->ip4);
	if (version == 6 && c->next != ETH_P_IP)
		return step_ip6(r, c, &w->ip6);
	return STEP_STOP;
}

static __always_inline int step_fragment(struct record *r, struct cursor *c,
					 const struct wire_extension *x)
{
	__u16 frag_off = bpf_ntohs(x->frag_off);

	if (frag_off & (IP6_OFFSET | IP6_MORE) &&
	    fragment(r, c, frag_off & IP6_OFFSET, bpf_ntohl(x->id)))
		return later_fragment(c, sizeof(*x), x->nexthdr);
	return step_over(c, sizeof(*x), x->nexthdr);
}

/* Whether a protocol is a header between IP and what it carries. */
static __always_inline bool is_extension(__u16 next, bool v6)
{
	return next == IPPROTO_AH || (v6 && (next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING ||
					     next == IPPROTO_FRAGMENT || next == IPPROTO_DSTOPTS));
}

static __always_inline int step_extension(struct record *r, struct cursor *c,
					  const struct wire_extension *x)
{
	if (c->next == IPPROTO_FRAGMENT)
		return step_fragment(r, c, x);
	if (c->next == IPPROTO_AH) /* RFC 4302 counts in words, less 2 */
		return step_over(c, (x->len + 2) * 4, x->nexthdr);
	if (c->next == IPPROTO_ROUTING && x->routing.type == ROUTING_SEGMENTS) {
		c->routed = 1;
		c->segments_left = x->routing.segments_left;
	}
	return step_over(c, (x->len + 1) * 8, x->nexthdr);
}

/* IP in IP, and what else has IP's own headers around it. */
static __always_inline int step_ip_in_ip(struct record *r, struct cursor *c)
{
	__u16 next = c->next == IPPROTO_IPIP ? ETH_P_IP : ETH_P_IPV6;

	if (c->next == IPPROTO_ETHERNET) {
		enter(r, c, TUNNEL_SRV6, c->routed ? c->segments_left : 0);
		return step_over(c, 0, ETH_P_TEB);
	}
	if (c->routed)
		enter(r, c, TUNNEL_SRV6, c->segments_left);
	else if (c->v6)
		enter(r, c, TUNNEL_IP6, 0);
	else
		enter(r, c, next == ETH_P_IP ? TUNNEL_IPIP : TUNNEL_SIT, 0);
	return step_over(c, 0, next);
}

#endif
