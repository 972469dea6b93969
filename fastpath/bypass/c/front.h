// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* The first bytes of a frame, as far as the fast path reads and writes them, and whether they are
 * those of a packet that it understands.
 */
#ifndef DWELL_BYPASS_FRONT_H
#define DWELL_BYPASS_FRONT_H

#include "maps.h"

struct ipv4 {
	__u8 version_ihl;
	__u8 tos;
	__be16 length;
	__be16 id;
	__be16 fragment;
	__u8 ttl;
	__u8 proto;
	__u16 check;
	__be32 src;
	__be32 dst;
};

struct ipv6 {
	__be32 flow; /* version, traffic class, label */
	__be16 length;
	__u8 next;
	__u8 hops;
	__be32 src[4];
	__be32 dst[4];
};

/* A header above IP. UDP and ICMP have the first 8 bytes of it. */
struct transport {
	__be16 sport; /* ICMP: type and code */
	__be16 dport; /* ICMP: checksum */
	union {
		__be32 seq;
		struct {
			__be16 length; /* ICMP: identifier */
			__u16 check;   /* ICMP: sequence number */
		} udp;
	};
	__be32 ack;
	__u8 offset;
	__u8 flags;
	__be16 window;
	__u16 check;
	__be16 urgent;
};

struct front4 {
	struct ipv4 ip;
	struct transport transport;
};

struct front6 {
	struct ipv6 ip;
	struct transport transport;
};

/* Aligned as the stack is: the frame begins at macs. */
struct front {
	__u16 _pad;
	__u8 macs[12]; /* destination and source */
	__be16 type;
	union {
		struct front4 v4;
		struct front6 v6;
	};
	__u32 _end;
};
_Static_assert(sizeof(struct front) == 80, "words of 8 bytes");

static __always_inline bool same_macs(const __u8 *a, const __u8 *b)
{
	const __u32 *x = (const __u32 *)a, *y = (const __u32 *)b;

	return x[0] == y[0] && x[1] == y[1] && x[2] == y[2];
}

enum { TCP_HLEN = 20, UDP_HLEN = 8, FLOW_LABEL = 0xfffff };
enum tcp_flag { TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_PSH = 8, TCP_ACK = 16, TCP_URG = 32 };

/* What of the front is needed again and again. */
struct shape {
	__u32 proto;
	__u32 length;  /* bytes from the IP header on, as the header says */
	__u32 segment; /* the same of the largest packet that it becomes on the wire */
	__u8 tos;
	bool closes; /* it opens or closes its connection */
	bool gso;
	__be16 sport;
	__be16 dport;
};

/* Whether a device has yet to cut the packet into segments. */
static __always_inline bool is_cut_later(const struct shape *s) { return s->gso; }

/* Copies the frame's first bytes: all that a TCP packet's headers need, or all that there are. The frame
 * begins at an offset if it is in a tunnel.
 */
static __always_inline bool load_front(struct __sk_buff *ctx, struct front *f, __u32 offset, bool v6)
{
	__u32 full = ETH_HLEN + (v6 ? sizeof(struct front6) : sizeof(struct front4));
	__u32 least = full - TCP_HLEN + UDP_HLEN;
	void *data = (void *)(long)ctx->data + offset, *end = (void *)(long)ctx->data_end;

	if (data + full <= end) {
		__builtin_memcpy(f->macs, data, full);
		return true;
	}
	if (data + least <= end) {
		__builtin_memcpy(f->macs, data, least);
		if (ctx->len < offset + full)
			return true;
	}
	if (ctx->len >= offset + full)
		return !bpf_skb_load_bytes(ctx, offset, f->macs, full);
	return ctx->len >= offset + least && !bpf_skb_load_bytes(ctx, offset, f->macs, least);
}

/* The sum of the header's 16-bit words in one's complement, folded. */
static __always_inline __u32 header_sum(const struct ipv4 *ip)
{
	const __u32 *w = (const __u32 *)ip;
	__u64 sum = (__u64)w[0] + w[1] + w[2] + w[3] + w[4];

	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static __always_inline bool sum_is_right(const struct ipv4 *ip) { return header_sum(ip) == 0xffff; }

static __always_inline enum reason read_tcp(const struct transport *t, struct shape *s, __u32 header)
{
	__u32 size = t->offset >> 4 << 2;

	if (size < TCP_HLEN || header + size > s->length)
		return REASON_TRANSPORT;
	s->sport = t->sport;
	s->dport = t->dport;
	s->segment = header + size;
	s->closes = t->flags & (TCP_FIN | TCP_SYN | TCP_RST);
	if (s->closes || t->flags & TCP_URG || !(t->flags & TCP_ACK))
		return REASON_TCP_FLAGS;
	return FAST;
}

static __always_inline enum reason read_udp(const struct transport *t, struct shape *s, __u32 header)
{
	s->sport = t->sport;
	s->dport = t->dport;
	s->segment = header + UDP_HLEN;
	/* IPv6's must have a checksum. What is shorter than the packet is not valid for all. */
	if (header + bpf_ntohs(t->udp.length) != s->length)
		return REASON_TRANSPORT;
	return FAST;
}

static __always_inline enum reason read_echo(const struct transport *t, struct shape *s, __u32 header, bool v6)
{
	__u32 type = bpf_ntohs(t->sport);

	if (v6 ? type != ICMPV6_ECHO_REQUEST << 8 && type != ICMPV6_ECHO_REPLY << 8
	       : type != ICMP_ECHO_REQUEST << 8 && type != ICMP_ECHO_REPLY << 8)
		return REASON_ICMP_TYPE;
	s->sport = t->udp.length;
	s->dport = t->sport;
	s->segment = header;
	return FAST;
}

static __always_inline bool knows_offload(struct __sk_buff *ctx, __u32 proto, bool tunneled)
{
	struct sk_buff___more *skb = SKB(ctx);
	struct skb_shared_info *info = CAST(struct skb_shared_info, skb->head + skb->end);
	__u32 type = info->gso_type & ~(__u32)(GSO_DODGY | GSO_TCP_ECN | GSO_TCP_FIXEDID);

	if (tunneled)
		type &= ~(__u32)GSO_UDP_TUNNEL;

	if (proto == IPPROTO_TCP)
		return type == GSO_TCPV4 || type == GSO_TCPV6;
	return proto == IPPROTO_UDP && type == GSO_UDP_L4;
}

/* What follows UDP's and ICMP's header may be data, or what is behind the packet. */
static __always_inline void forget_rest(struct transport *t)
{
	__u32 *w = (__u32 *)t;

	w[2] = w[3] = w[4] = 0;
}

static __always_inline enum reason read_transport(struct __sk_buff *ctx, struct transport *t,
						  struct shape *s, __u32 header, bool tunneled, bool v6)
{
	__u32 gso = ctx->gso_size;
	enum reason reason;

	s->gso = gso;
	if (s->length < header + UDP_HLEN)
		return REASON_TRANSPORT;
	if (s->proto == IPPROTO_TCP)
		reason = s->length < header + TCP_HLEN ? REASON_TRANSPORT : read_tcp(t, s, header);
	else if (s->proto == IPPROTO_UDP)
		reason = read_udp(t, s, header);
	else if (s->proto == (v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP))
		reason = read_echo(t, s, header, v6);
	else
		return REASON_PROTOCOL;
	if (s->proto != IPPROTO_TCP)
		forget_rest(t);
	if (!gso)
		s->segment = s->length;
	else if (!reason && !knows_offload(ctx, s->proto, tunneled))
		reason = REASON_OFFLOAD;
	else
		s->segment += gso;
	return reason;
}

static __always_inline enum reason read_ipv4(struct __sk_buff *ctx, struct front *f, struct shape *s, __u32 offset)
{
	const struct ipv4 *ip = &f->v4.ip;

	s->proto = ip->proto;
	s->length = bpf_ntohs(ip->length);
	s->tos = ip->tos;
	if (ip->version_ihl != 0x45)
		return ip->version_ihl >> 4 == 4 && ip->version_ihl > 0x45 ? REASON_OPTIONS : REASON_HEADER;
	if (!sum_is_right(ip))
		return REASON_HEADER;
	if (ip->fragment & bpf_htons(IP_FRAGMENT))
		return REASON_FRAGMENT;
	if (ip->ttl <= 1)
		return REASON_TTL;
	if (s->length > ctx->len - offset - ETH_HLEN)
		return REASON_TRUNCATED;
	return read_transport(ctx, &f->v4.transport, s, IPV4_HLEN, offset, false);
}

static __always_inline enum reason read_ipv6(struct __sk_buff *ctx, struct front *f, struct shape *s, __u32 offset)
{
	const struct ipv6 *ip = &f->v6.ip;

	s->proto = ip->next;
	s->length = bpf_ntohs(ip->length) + IPV6_HLEN;
	s->tos = bpf_ntohl(ip->flow) >> 20;
	if (bpf_ntohl(ip->flow) >> 28 != 6)
		return REASON_HEADER;
	switch (ip->next) {
	case IPPROTO_FRAGMENT:
		return REASON_FRAGMENT;
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_DSTOPTS:
	case IPPROTO_AH:
		return REASON_OPTIONS;
	}
	if (!ip->length) /* none, or a jumbogram's */
		return REASON_OPTIONS;
	if (ip->hops <= 1)
		return REASON_TTL;
	if (s->length > ctx->len - offset - ETH_HLEN)
		return REASON_TRUNCATED;
	return read_transport(ctx, &f->v6.transport, s, IPV6_HLEN, offset, true);
}

/* Reads a frame. If the reason is REASON_TCP_FLAGS, the shape is complete nonetheless. */
static __always_inline enum reason read_front(struct __sk_buff *ctx, struct front *f, struct shape *s, __u32 offset, bool v6)
{
	if (ctx->vlan_present)
		return REASON_VLAN;
	if (!load_front(ctx, f, offset, v6))
		return REASON_TRUNCATED;
	if (f->type != (v6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP)))
		return REASON_VLAN;
	return v6 ? read_ipv6(ctx, f, s, offset) : read_ipv4(ctx, f, s, offset);
}

#endif
