// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* Finding an ICMP echo in a packet, bare or inside VXLAN.
 *
 * Packet bytes are read with bpf_probe_read_kernel, which cannot fault; what is
 * read past the end of the packet's linear part is never used. TCP costs one
 * read of 40 bytes.
 */
#ifndef DWELL_PARSE_H
#define DWELL_PARSE_H

#include "record.h"

/* UDP ports that carry VXLAN, in network order; the first 0 ends the list. Set before the
 * programs are loaded, and shared as the ring is.
 */
enum { MAX_VXLAN_PORTS = 8 };
const volatile __be16 vxlan_ports[MAX_VXLAN_PORTS] SEC(".rodata.parse");

/* Where the network header is, how many linear bytes follow, and the Ethernet type that
 * says what they are.
 */
struct l3 {
	const __u8 *start;
	__u32 len;
	__be16 proto;
};

/* The fields used of an IPv4 (RFC 791) or IPv6 (RFC 8200) header. */
union ip_header {
	__u8 version; /* high half; low half is IHL for IPv4 */
	struct {
		__u8 ihl, tos;
		__be16 tot_len, id, frag_off;
		__u8 ttl, protocol;
		__be16 check;
		__u8 src[4], dst[4];
	} v4;
	struct {
		__be32 flow;
		__be16 payload_len;
		__u8 nexthdr, hop_limit;
		__u8 src[16], dst[16];
	} v6;
};

/* The fields used of ICMP (RFC 792, 4443), or of UDP and VXLAN (RFC 7348). */
union l4_header {
	struct {
		__u8 type, code;
		__be16 check, id, seq;
		__u8 payload[PAYLOAD_PREFIX];
	} icmp;
	struct {
		__be16 source, dest, len, check;
		__u8 vxlan_flags, reserved[3];
		__be32 vni;
	} udp;
};

struct packet {
	union ip_header ip;
	union l4_header l4;
	const __u8 *l4_start;
	__u32 l4_len;	 /* bytes by the IP header's account */
	__u32 l4_linear; /* of which in the linear part, or more */
	__u8 proto;
	bool v6;
};

enum {
	IP4_HEADER = 20,
	IP6_HEADER = 40,
	ICMP_HEADER = 8,
	IP4_OFFSET_MASK = 0x1fff, /* of frag_off */
	IP6_OFFSET_MASK = 0xfff8,
	MAX_IP6_EXTENSIONS = 3,
	VXLAN_VNI_VALID = 0x08,
	VXLAN_HEADERS = 16, /* UDP and VXLAN */
	ETHERTYPE_OFFSET = 12,
	ETHERNET_HEADER = 14,
	VLAN_TAG = 4,
};

static __always_inline bool find_l4_ip4(struct packet *p, __u32 *offset, __u32 *total)
{
	p->proto = p->ip.v4.protocol;
	if (p->proto != IPPROTO_ICMP && p->proto != IPPROTO_UDP)
		return false;
	if (p->ip.v4.frag_off & bpf_htons(IP4_OFFSET_MASK))
		return false;
	p->v6 = false;
	*offset = (p->ip.v4.ihl & 0x0f) * 4;
	*total = bpf_ntohs(p->ip.v4.tot_len);
	return *offset >= IP4_HEADER;
}

/* Steps over hop-by-hop options, destination options and the header of a first
 * fragment.
 */
static __always_inline bool skip_extensions(struct packet *p, const struct l3 *l3, __u32 *offset)
{
	for (int i = 0; i < MAX_IP6_EXTENSIONS; i++) {
		struct {
			__u8 nexthdr, len;
			__be16 frag_off;
			__be32 id;
		} ext;
		bool fragment = p->proto == IPPROTO_FRAGMENT;

		if (!fragment && p->proto != IPPROTO_HOPOPTS && p->proto != IPPROTO_DSTOPTS)
			break;
		if (*offset + sizeof(ext) > l3->len ||
		    bpf_probe_read_kernel(&ext, sizeof(ext), l3->start + *offset))
			return false;
		if (fragment && (ext.frag_off & bpf_htons(IP6_OFFSET_MASK)))
			return false;
		*offset += fragment ? sizeof(ext) : (ext.len + 1) * 8;
		p->proto = ext.nexthdr;
	}
	return true;
}

static __always_inline bool find_l4_ip6(struct packet *p, const struct l3 *l3, __u32 *offset,
					__u32 *total)
{
	p->proto = p->ip.v6.nexthdr;
	p->v6 = true;
	*offset = IP6_HEADER;
	*total = IP6_HEADER + bpf_ntohs(p->ip.v6.payload_len);
	if (p->proto == IPPROTO_ICMPV6 || p->proto == IPPROTO_UDP)
		return true;
	if (p->proto != IPPROTO_HOPOPTS && p->proto != IPPROTO_DSTOPTS &&
	    p->proto != IPPROTO_FRAGMENT)
		return false;
	return skip_extensions(p, l3, offset);
}

/* Reads the IP header and the header behind it, if that may be an echo or VXLAN. */
static __always_inline bool parse_ip(struct packet *p, const struct l3 *l3)
{
	__u32 offset, total;

	if (l3->len < IP4_HEADER + ICMP_HEADER ||
	    bpf_probe_read_kernel(&p->ip, sizeof(p->ip), l3->start))
		return false;
	if (p->ip.version >> 4 == 4) {
		if (!find_l4_ip4(p, &offset, &total))
			return false;
	} else if (p->ip.version >> 4 == 6) {
		if (!find_l4_ip6(p, l3, &offset, &total))
			return false;
	} else {
		return false;
	}
	if (offset + ICMP_HEADER > total || offset + ICMP_HEADER > l3->len)
		return false;
	p->l4_start = l3->start + offset;
	p->l4_len = total - offset;
	p->l4_linear = l3->len - offset;
	return !bpf_probe_read_kernel(&p->l4, sizeof(p->l4), p->l4_start);
}

/* The echo type of an ICMP message, or 0. */
static __always_inline __u8 echo_type(const struct packet *p)
{
	if (p->l4.icmp.code)
		return 0;
	if (!p->v6 && p->proto == IPPROTO_ICMP)
		return p->l4.icmp.type == 8 ? ECHO_REQUEST : p->l4.icmp.type == 0 ? ECHO_REPLY : 0;
	if (p->v6 && p->proto == IPPROTO_ICMPV6)
		return p->l4.icmp.type == 128 ? ECHO_REQUEST : p->l4.icmp.type == 129 ? ECHO_REPLY : 0;
	return 0;
}

static __always_inline bool is_vxlan_port(__be16 port)
{
#pragma unroll
	for (int i = 0; i < MAX_VXLAN_PORTS; i++) {
		if (!vxlan_ports[i])
			return false;
		if (vxlan_ports[i] == port)
			return true;
	}
	return false;
}

/* Finds the network header inside a VXLAN packet. */
static __always_inline bool enter_vxlan(const struct packet *p, struct l3 *l3)
{
	__u32 offset = VXLAN_HEADERS + ETHERNET_HEADER;
	__be16 ethertype[3];

	if (p->proto != IPPROTO_UDP || !is_vxlan_port(p->l4.udp.dest))
		return false;
	if (p->l4_linear < offset + VLAN_TAG || !(p->l4.udp.vxlan_flags & VXLAN_VNI_VALID))
		return false;
	if (bpf_probe_read_kernel(ethertype, sizeof(ethertype),
				  p->l4_start + VXLAN_HEADERS + ETHERTYPE_OFFSET))
		return false;
	if (ethertype[0] == bpf_htons(ETH_P_8021Q)) {
		ethertype[0] = ethertype[2];
		offset += VLAN_TAG;
	}
	if (ethertype[0] != bpf_htons(ETH_P_IP) && ethertype[0] != bpf_htons(ETH_P_IPV6))
		return false;
	l3->start = p->l4_start + offset;
	l3->len = p->l4_linear > offset ? p->l4_linear - offset : 0;
	return true;
}

static __always_inline void fill_tunnel(struct tunnel *t, const struct packet *p)
{
	if (p->v6) {
		__builtin_memcpy(t->src, p->ip.v6.src, 32);
	} else {
		fill_mapped(t->src, p->ip.v4.src);
		fill_mapped(t->dst, p->ip.v4.dst);
	}
	t->id = bpf_ntohl(p->l4.udp.vni) >> 8;
	t->type = TUNNEL_VXLAN;
	t->_pad[0] = t->_pad[1] = t->_pad[2] = 0;
}

/* Copies the beginning of the payload: neither bytes past its end nor bytes
 * outside the linear part.
 */
static __always_inline void fill_payload(struct record_head *h, const struct packet *p)
{
	__u64 *to = (__u64 *)h->payload;
	__u32 n = p->l4_len < p->l4_linear ? p->l4_len : p->l4_linear;

	h->payload_len = p->l4_len - ICMP_HEADER;
	__builtin_memcpy(h->payload, p->l4.icmp.payload, PAYLOAD_PREFIX);
	n -= ICMP_HEADER;
	if (n >= PAYLOAD_PREFIX)
		return;
	/* Little-endian: the first byte is the lowest. */
	if (n > 8) {
		to[1] &= (1ULL << ((n - 8) * 8)) - 1;
	} else {
		to[1] = 0;
		if (n < 8)
			to[0] &= (1ULL << (n * 8)) - 1;
	}
}

static __always_inline void fill_echo(struct record_head *h, const struct packet *p)
{
	h->id = bpf_ntohs(p->l4.icmp.id);
	h->seq = bpf_ntohs(p->l4.icmp.seq);
	fill_payload(h, p);
}

/* Fills in the addresses and what else the echo's IP header says. */
static __always_inline void fill_ip(struct record *r, const struct packet *p)
{
	if (p->v6) {
		r->head.flags = FLAG_IPV6;
		r->head.ttl = p->ip.v6.hop_limit;
		__builtin_memcpy(&r->addr.v6, p->ip.v6.src, sizeof(r->addr.v6));
	} else {
		r->head.flags = 0;
		r->head.ttl = p->ip.v4.ttl;
		__builtin_memset(&r->addr.v6, 0, sizeof(r->addr.v6));
		__builtin_memcpy(&r->addr.v4, p->ip.v4.src, sizeof(r->addr.v4));
	}
}

/* Fills in what the packet says. Returns false if the packet is not an echo; else it has
 * written, as if the record had been zero before:
 *   head.flags (IPV6, FIRST_FRAGMENT, LATER_FRAGMENT, ENCRYPTED; no others), head.parts
 *   (ADDRESSES4 or ADDRESSES6, TUNNEL, TUNNEL2; no others), head.type, ttl, depth, id, seq,
 *   payload_len and payload; all bytes of addr and tunnels, also where there is none: the
 *   verifiers of older kernels do not let uninitialized bytes be copied.
 *
 * skb is NULL where only the bytes are known.
 */
static __always_inline bool parse_echo(struct record *r, struct sk_buff *skb, struct l3 l3)
{
	struct packet p;
	__u8 depth = 0;

	if (!parse_ip(&p, &l3))
		return false;
	if (p.proto == IPPROTO_UDP) {
		if (!enter_vxlan(&p, &l3))
			return false;
		fill_tunnel(&r->tunnels[0], &p);
		depth = 1;
		if (!parse_ip(&p, &l3))
			return false;
	}
	r->head.type = echo_type(&p);
	if (!r->head.type)
		return false;
	if (!depth)
		__builtin_memset(&r->tunnels[0], 0, sizeof(r->tunnels[0]));
	__builtin_memset(&r->tunnels[1], 0, sizeof(r->tunnels[1]));
	fill_echo(&r->head, &p);
	fill_ip(r, &p);
	r->head.depth = depth;
	r->head.parts = (p.v6 ? PART_ADDRESSES6 : PART_ADDRESSES4) | (depth ? PART_TUNNEL : 0);
	return true;
}

#endif
