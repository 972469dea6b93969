// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* The headers of a VXLAN tunnel (RFC 7348) in IPv4 without a UDP checksum: others take the slow path. */
#ifndef DWELL_BYPASS_OUTER_H
#define DWELL_BYPASS_OUTER_H

#include "front.h"

/* Aligned as struct front is. */
struct outer {
	__u16 _pad;
	__u8 macs[12];
	__be16 type;
	struct ipv4 ip;
	__be16 sport;
	__be16 dport;
	__be16 length;
	__u16 check;
	__be32 flags;
	__be32 vni;
};

enum { TUNNEL_HLEN = 50, VXLAN_HAS_VNI = 0x08000000, ECN = 3, ECN_CE = 3 };
_Static_assert(sizeof(struct outer) == TUNNEL_HLEN + 2, "on the wire");
_Static_assert(sizeof(struct outer) <= OUTER_ROOM, "room in an entry");

static __always_inline bool load_outer(struct __sk_buff *ctx, struct outer *o)
{
	void *data = (void *)(long)ctx->data;

	o->_pad = 0;
	if (data + TUNNEL_HLEN <= (void *)(long)ctx->data_end) {
		__builtin_memcpy(o->macs, data, TUNNEL_HLEN);
		return true;
	}
	return !bpf_skb_load_bytes(ctx, 0, o->macs, TUNNEL_HLEN);
}

/* Whether these are the headers of a tunnel that is understood, and nothing follows the packet. */
static __always_inline bool is_tunnel(struct __sk_buff *ctx, const struct outer *o, __be16 port)
{
	__u32 length = ctx->len - ETH_HLEN;

	return o->type == bpf_htons(ETH_P_IP) && o->ip.version_ihl == 0x45 && o->ip.proto == IPPROTO_UDP &&
	       !(o->ip.fragment & bpf_htons(IP_FRAGMENT)) && o->dport == port && !o->check &&
	       o->flags == bpf_htonl(VXLAN_HAS_VNI) && !(o->vni & bpf_htonl(0xff)) &&
	       (ctx->gso_size || (bpf_ntohs(o->ip.length) == length && bpf_ntohs(o->length) == length - IPV4_HLEN));
}

static __always_inline __u32 vni_of(const struct outer *o) { return bpf_ntohl(o->vni) >> 8; }

/* What is the same for all packets of a flow that are put into the tunnel. */
static __always_inline void keep_outer(struct outer *to, const struct outer *o)
{
	*to = *o;
	__builtin_memset(to->macs, 0, sizeof(to->macs)); /* the next hop's are the kernel's to say */
	to->ip.length = 0;
	to->ip.id = 0;
	to->ip.check = 0;
	to->length = 0;
}

/* What is the same for all that come out of it. */
static __always_inline void keep_inner(struct outer *to, const struct outer *o)
{
	keep_outer(to, o);
	to->ip.tos &= ~ECN;
	to->ip.ttl = 0;
	to->ip.fragment = 0;
	to->sport = 0;
}

/* Whether to take the headers away leaves the inner packet as it is: RFC 6040, and
 * include/net/inet_ecn.h:__INET_ECN_decapsulate.
 */
static __always_inline bool leaves_ecn(const struct outer *o, __u8 inner)
{
	return !(o->ip.tos & ECN) || ((o->ip.tos ^ inner) & ECN) == 0;
}

#endif
