// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* From a packet to its words. Both hooks read it from the network header on, which is known at
 * both, and wherever the bytes are. TC ingress does without a call if they are where they mostly are.
 */
#ifndef DWELL_DATAPATH_PACKET_H
#define DWELL_DATAPATH_PACKET_H

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

/* As much of a header above IP as rules look at. */
struct transport {
	__be16 sport; /* ICMP: type and code */
	__be16 dport;
	__u8 _middle[9];
	__u8 flags;
	__u8 _end[2];
};

_Static_assert(sizeof(struct ipv4) == IPV4_HLEN && sizeof(struct ipv6) == IPV6_HLEN, "on the wire");

/* As much of a packet as rules look at. */
struct front4 {
	struct ipv4 ip;
	struct transport transport;
};

struct front6 {
	struct ipv6 ip;
	struct transport transport;
};

/* How much of the packet there is from the network header on. */
static __always_inline __u32 ip_bytes(const struct __sk_buff *ctx, bool ingress)
{
	__u32 len = ctx->len;

	if (!ingress)
		return len;
	return len < ETH_HLEN ? 0 : len - ETH_HLEN;
}

static __always_inline bool load(struct __sk_buff *ctx, __u32 offset, void *to, __u32 size)
{
	return !bpf_skb_load_bytes_relative(ctx, offset, to, size, HDR_START_NET);
}

/* Loads what there is of a packet's front, but no less than its IP header. The rest stays as it is. */
static __always_inline bool load_front(struct __sk_buff *ctx, void *to, __u32 size, __u32 least, bool ingress)
{
	__u32 there = ip_bytes(ctx, ingress);

	if (ingress) {
		void *ip = (void *)(long)ctx->data + ETH_HLEN;

		if (ip + size <= (void *)(long)ctx->data_end) {
			__builtin_memcpy(to, ip, size);
			return true;
		}
	}
	if (there < least)
		return false;
	return load(ctx, 0, to, there < size ? there : size);
}

static __always_inline bool sum_is_right(const struct ipv4 *ip)
{
	const __u32 *w = (const __u32 *)ip;
	__u64 sum = (__u64)w[0] + w[1] + w[2] + w[3] + w[4];

	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff;
}

/* The size that a header must have to be looked at by rules, as iptables' matches demand. */
static __always_inline __u32 transport_size(__u32 proto)
{
	switch (proto) {
	case IPPROTO_TCP:
		return 20;
	case IPPROTO_UDP:
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return 8;
	case PROTO_SCTP:
	case PROTO_DCCP:
		return 12;
	case PROTO_UDPLITE:
		return 8;
	}
	return 0;
}

static __always_inline enum reason read_transport(const struct transport *t, __u32 *w, __u32 offset)
{
	__u32 proto = w[WORD_PROTO], size = transport_size(proto);

	if (!size)
		return DECIDED;
	if (w[WORD_LENGTH] < offset + size)
		return REASON_TRANSPORT;
	if (proto == IPPROTO_TCP)
		w[WORD_FLAGS] = t->flags;
	w[WORD_SPORT] = bpf_ntohs(t->sport);
	if (proto != IPPROTO_ICMP && proto != IPPROTO_ICMPV6)
		w[WORD_DPORT] = bpf_ntohs(t->dport);
	return DECIDED;
}

static __always_inline enum reason read_ipv4(struct __sk_buff *ctx, __u32 *w, bool ingress)
{
	struct front4 front = {};
	struct ipv4 ip;

	if (!load_front(ctx, &front, sizeof(front), sizeof(ip), ingress))
		return REASON_HEADER;
	ip = front.ip;
	w[WORD_PROTO] = ip.proto;
	w[WORD_SRC0] = bpf_ntohl(ip.src);
	w[WORD_DST0] = bpf_ntohl(ip.dst);
	w[WORD_TOS] = ip.tos;
	w[WORD_LENGTH] = bpf_ntohs(ip.length);
	w[WORD_TTL] = ip.ttl;
	if (ip.version_ihl < 0x45 || ip.version_ihl > 0x4f || w[WORD_LENGTH] < IPV4_HLEN)
		return REASON_HEADER;
	if (ip.version_ihl != 0x45)
		return REASON_OPTIONS;
	if (ingress && !sum_is_right(&ip))
		return REASON_HEADER;
	if (ip.fragment & bpf_htons(IP_FRAGMENT))
		return REASON_FRAGMENT;
	if (ingress && ip.ttl <= 1)
		return REASON_TTL;
	if (w[WORD_LENGTH] > ip_bytes(ctx, ingress))
		return REASON_TRUNCATED;
	return read_transport(&front.transport, w, IPV4_HLEN);
}

static __always_inline bool more_headers(__u32 proto)
{
	switch (proto) {
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_DSTOPTS:
	case PROTO_AH:
	case PROTO_NONE:
		return true;
	}
	return false;
}

static __always_inline enum reason read_ipv6(struct __sk_buff *ctx, __u32 *w, bool ingress)
{
	struct front6 front = {};
	struct ipv6 ip;

	if (!load_front(ctx, &front, sizeof(front), sizeof(ip), ingress))
		return REASON_HEADER;
	ip = front.ip;
	w[WORD_PROTO] = ip.next;
#pragma unroll
	for (int i = 0; i < 4; i++) {
		w[WORD_SRC0 + i] = bpf_ntohl(ip.src[i]);
		w[WORD_DST0 + i] = bpf_ntohl(ip.dst[i]);
	}
	w[WORD_TOS] = bpf_ntohl(ip.flow) >> 20 & 0xff;
	w[WORD_LENGTH] = bpf_ntohs(ip.length) + IPV6_HLEN;
	w[WORD_TTL] = ip.hops;
	if (bpf_ntohl(ip.flow) >> 28 != 6)
		return REASON_HEADER;
	/* A payload of 0 bytes is none, or a jumbogram's. */
	if (!ip.length || more_headers(ip.next))
		return REASON_OPTIONS;
	if (ip.next == IPPROTO_FRAGMENT)
		return REASON_FRAGMENT;
	if (ingress && ip.hops <= 1)
		return REASON_TTL;
	if (w[WORD_LENGTH] > ip_bytes(ctx, ingress))
		return REASON_TRUNCATED;
	return read_transport(&front.transport, w, IPV6_HLEN);
}

/* Fills in the words, except State and Origin. All must be 0. At ingress TTL is that of the
 * packet, which is not yet what FORWARD sees. What it needs the packet's bytes for, but not to
 * judge it, may be filled in even if there is a reason not to.
 */
static __always_inline enum reason read_packet(struct __sk_buff *ctx, __u32 *w, bool v6, bool ingress)
{
	return v6 ? read_ipv6(ctx, w, ingress) : read_ipv4(ctx, w, ingress);
}

static __always_inline bool is_icmp(__u32 proto, bool v6)
{
	return proto == (v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
}

#endif
