// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* Finding an ICMP echo in a packet: bare, in tunnels, quoted by an ICMP error.
 *
 * Packet bytes are read in a way that cannot fault (cast.h); what is read past the end of the
 * packet's linear part is never used. Most packets are not for us, and cost one read.
 */
#ifndef DWELL_PARSE_H
#define DWELL_PARSE_H

#include "cast.h"
#include "parse_walk.h"

/* Where a packet begins, how many linear bytes there are from there on, and the Ethernet
 * type that says what they are.
 */
struct l3 {
	const __u8 *start;
	__u32 len;
	__be16 proto;
};

/* The beginning of an IP packet: as much as a bare echo without options has to be looked at. */
union bare {
	struct {
		struct wire_ip4 ip;
		struct wire_icmp icmp;
	} v4;
	struct {
		struct wire_ip4 ip;
		__be16 source, dest;
	} v4_udp;
	struct {
		struct wire_ip6 ip;
		struct wire_icmp icmp;
	} v6;
	struct {
		struct wire_ip6 ip;
		__be16 source, dest;
	} v6_udp;
	__u64 words[8];
};

_Static_assert(sizeof(union bare) == 64, "whole words");

enum {
	IP4_PLAIN = 0x45,
	IP4_FRAGMENT = IP4_OFFSET | IP4_MORE,
};

/* What a look at a packet's first bytes says. */
enum glance { NOT_FOR_US, BARE, WALK };

static __always_inline enum glance glance4(const union bare *b)
{
	switch (b->v4.ip.protocol) {
	case IPPROTO_ICMP:
		return b->v4.ip.ihl == IP4_PLAIN && !(b->v4.ip.frag_off & bpf_htons(IP4_FRAGMENT))
			       ? BARE
			       : WALK;
	case IPPROTO_UDP:
		return b->v4.ip.ihl == IP4_PLAIN && !port_kind(b->v4_udp.dest) ? NOT_FOR_US : WALK;
	case IPPROTO_IPIP:
	case IPPROTO_IPV6:
	case IPPROTO_GRE:
	case IPPROTO_AH:
	case IPPROTO_MPLS:
		return WALK;
	}
	return NOT_FOR_US;
}

static __always_inline enum glance glance6(const union bare *b)
{
	switch (b->v6.ip.nexthdr) {
	case IPPROTO_ICMPV6:
		return BARE;
	case IPPROTO_UDP:
		return port_kind(b->v6_udp.dest) ? WALK : NOT_FOR_US;
	case IPPROTO_TCP:
		return NOT_FOR_US;
	case IPPROTO_IPIP:
	case IPPROTO_IPV6:
	case IPPROTO_GRE:
	case IPPROTO_MPLS:
	case IPPROTO_ETHERNET:
		return WALK;
	}
	return is_extension(b->v6.ip.nexthdr, true) ? WALK : NOT_FOR_US;
}

/* Completes an echo without options or tunnels. If it is not one, an ICMP error may be. */
static __always_inline enum glance bare4(struct record *r, const union bare *b,
					 const struct l3 *l3)
{
	__u32 total = bpf_ntohs(b->v4.ip.tot_len);
	__u8 type;

	if (l3->len < IP4_HEADER + ICMP_HEADER || total < IP4_HEADER + ICMP_HEADER)
		return NOT_FOR_US;
	type = echo_type(&b->v4.icmp, false);
	if (!type)
		return is_error(&b->v4.icmp, false) ? WALK : NOT_FOR_US;
	r->head.flags = 0;
	r->head.parts = PART_ADDRESSES4;
	r->head.type = type;
	r->head.ttl = b->v4.ip.ttl;
	__builtin_memset(&r->addr.v6, 0, sizeof(r->addr.v6));
	__builtin_memcpy(&r->addr.v4, b->v4.ip.src, sizeof(r->addr.v4));
	fill_echo(&r->head, &b->v4.icmp, total - IP4_HEADER, l3->len - IP4_HEADER);
	return BARE;
}

static __always_inline enum glance bare6(struct record *r, const union bare *b,
					 const struct l3 *l3)
{
	__u32 len = bpf_ntohs(b->v6.ip.payload_len);
	__u8 type;

	if (l3->len < IP6_HEADER + ICMP_HEADER || len < ICMP_HEADER)
		return NOT_FOR_US;
	type = echo_type(&b->v6.icmp, true);
	if (!type)
		return is_error(&b->v6.icmp, true) ? WALK : NOT_FOR_US;
	r->head.flags = FLAG_IPV6;
	r->head.parts = PART_ADDRESSES6;
	r->head.type = type;
	r->head.ttl = b->v6.ip.hop_limit;
	__builtin_memcpy(&r->addr.v6, b->v6.ip.src, sizeof(r->addr.v6));
	fill_echo(&r->head, &b->v6.icmp, len, l3->len - IP6_HEADER);
	return BARE;
}

static __always_inline bool is_ip(__be16 proto)
{
	return proto == bpf_htons(ETH_P_IP) || proto == bpf_htons(ETH_P_IPV6);
}

/* Whether packets of an Ethernet type other than IP's may have IP inside. */
static __always_inline bool may_carry_ip(__be16 proto)
{
	return proto == bpf_htons(ETH_P_8021Q) || proto == bpf_htons(ETH_P_8021AD) ||
	       proto == bpf_htons(ETH_P_QINQ1) || proto == bpf_htons(ETH_P_MPLS_UC) ||
	       proto == bpf_htons(ETH_P_MPLS_MC) || proto == bpf_htons(ETH_P_PPP_SES) ||
	       proto == bpf_htons(ETH_P_TEB);
}

static __always_inline enum glance look(struct record *r, const struct l3 *l3)
{
	enum glance seen;
	union bare b;

	if (!is_ip(l3->proto))
		return may_carry_ip(l3->proto) ? WALK : NOT_FOR_US;
	if (l3->len <= IP4_HEADER ||
	    !read_words(b.words, l3->start, sizeof(b) / sizeof(*b.words)))
		return NOT_FOR_US;
	if (b.v4.ip.ihl >> 4 == 4) {
		seen = glance4(&b);
		return seen == BARE ? bare4(r, &b, l3) : seen;
	}
	if (b.v4.ip.ihl >> 4 != 6)
		return NOT_FOR_US;
	seen = glance6(&b);
	return seen == BARE ? bare6(r, &b, l3) : seen;
}

/* Fills in what the packet says. Returns false if it is not an echo, nor has one inside;
 * else it has written, as if the record had been zero before:
 *   head.flags (IPV6, FIRST_FRAGMENT, LATER_FRAGMENT; no others), head.parts (ADDRESSES4 or
 *   ADDRESSES6, TUNNEL, TUNNEL2; no others), head.type, ttl, depth, id, seq, payload_len
 *   and payload; all bytes of addr and tunnels, also where there is none: the verifiers of
 *   older kernels do not let uninitialized bytes be copied.
 * Of a fragment head.code is its ID. With LATER_FRAGMENT nothing is known of the echo but
 * where it goes; head.type is 0. skb is NULL where only the bytes are known.
 */
static __always_inline bool parse_echo(struct record *r, struct sk_buff *skb, struct l3 l3)
{
	switch (look(r, &l3)) {
	case NOT_FOR_US:
		return false;
	case BARE:
		r->head.depth = 0;
		__builtin_memset(r->tunnels, 0, sizeof(r->tunnels));
		return true;
	case WALK:
		break;
	}
	__builtin_memset(r, 0, sizeof(*r));
	return walk(r, l3.start, l3.len, is_ip(l3.proto) ? NEXT_IP_ANY : bpf_ntohs(l3.proto));
}

#endif
