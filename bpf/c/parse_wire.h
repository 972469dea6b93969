// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* The headers that are looked into, as they are on the wire: only what is used of them. */
#ifndef DWELL_PARSE_WIRE_H
#define DWELL_PARSE_WIRE_H

#include "record.h"

/* IPv4, RFC 791. The high half of the first byte of any IP header is its version. */
struct wire_ip4 {
	__u8 ihl, tos;
	__be16 tot_len, id, frag_off;
	__u8 ttl, protocol;
	__be16 check;
	__u8 src[4], dst[4];
};

/* IPv6, RFC 8200. */
struct wire_ip6 {
	__u8 version, flow[3];
	__be16 payload_len;
	__u8 nexthdr, hop_limit;
	__u8 src[16], dst[16];
};

/* An extension header of IPv6, RFC 8200, 4: of a routing header (4.4) the type and what is
 * left, of a fragment header (4.5) offset and ID.
 */
struct wire_extension {
	__u8 nexthdr, len;
	union {
		struct {
			__u8 type, segments_left;
		} routing;
		__be16 frag_off;
	};
	__be32 id;
};

/* ICMP, RFC 792 and 4443, with an echo's identifier and sequence number. */
struct wire_icmp {
	__u8 type, code;
	__be16 check, id, seq;
	__u8 payload[PAYLOAD_PREFIX];
};

/* UDP, RFC 768, and what may be behind it: VXLAN (RFC 7348, and draft-ietf-nvo3-vxlan-gpe
 * for protocol), Geneve (RFC 8926), GUE (draft-ietf-intarea-gue), the first bytes of
 * WireGuard.
 */
struct wire_udp {
	__be16 source, dest, len, check;
	union {
		struct {
			__u8 flags, reserved[2], protocol;
			__be32 vni;	    /* in the high 24 bits */
			__u8 addresses[12]; /* of the Ethernet header */
			__be16 ethertype;
		} vxlan;
		struct {
			__u8 version, flags; /* low 6 bits of version: options, in 4 bytes */
			__be16 protocol;
			__be32 vni; /* in the high 24 bits */
		} geneve;
		struct {
			__u8 version, protocol; /* low 5 bits of version: extensions, in 4 bytes */
		} gue;
	};
};

/* GRE, RFC 2784 and 2890. After it come checksum, key and sequence number, four bytes each
 * that is there.
 */
struct wire_gre {
	__be16 flags, protocol;
	__be32 options[3];
};

/* ERSPAN types II and III, draft-foschiano-erspan-03. */
struct wire_erspan {
	__be16 version, session; /* session in the low 10 bits */
	__be32 rest;
	__u8 rest3[3], flags3; /* of type III alone */
};

/* PPPoE, RFC 2516, with PPP's protocol behind it (RFC 1661). */
struct wire_pppoe {
	__u8 version, code;
	__be16 session, len, protocol;
};

/* Ethernet, and an in-band tag of a VLAN: IEEE 802.3 and 802.1Q. */
struct wire_ethernet {
	__u8 addresses[12];
	__be16 ethertype;
};

struct wire_vlan {
	__be16 tci, ethertype;
};

/* As many bytes as any step needs at once. */
union window {
	__u8 version;
	struct wire_ip4 ip4;
	struct wire_ip6 ip6;
	struct wire_extension extension;
	struct wire_icmp icmp;
	struct wire_udp udp;
	struct wire_gre gre;
	struct wire_erspan erspan;
	struct wire_pppoe pppoe;
	struct wire_ethernet ethernet;
	struct wire_vlan vlan;
	__be32 mpls; /* RFC 3032: label in the high 20 bits */
	__u64 words[5];
};

_Static_assert(sizeof(union window) == 40, "an IPv6 header");

enum {
	IP4_HEADER = 20,
	IP4_MORE = 0x2000, /* of frag_off */
	IP4_OFFSET = 0x1fff,
	IP6_HEADER = 40,
	IP6_MORE = 0x0001,
	IP6_OFFSET = 0xfff8,
	ROUTING_SEGMENTS = 4, /* RFC 8754 */
	ICMP_HEADER = 8,
	UDP_HEADER = 8,
	VXLAN_HEADER = 8,
	VXLAN_VNI_VALID = 0x08,
	VXLAN_PROTOCOL_VALID = 0x04,
	GENEVE_HEADER = 8,
	GUE_HEADER = 4,
	GRE_HEADER = 4,
	GRE_CHECKSUM = 0x8000, /* of flags */
	GRE_KEY = 0x2000,
	GRE_SEQUENCE = 0x1000,
	GRE_UNKNOWN = 0x4fff, /* source routing, later versions */
	ERSPAN2_HEADER = 8,
	ERSPAN3_HEADER = 12,
	ERSPAN3_MORE = 0x01, /* of flags3: 8 bytes follow */
	PPPOE_HEADER = 8,
	PPPOE_VERSION = 0x11,
	PPP_IP = 0x0021,
	PPP_IPV6 = 0x0057,
	ETHERNET_HEADER = 14,
	VLAN_TAG = 4,
	MPLS_LABEL = 4,
	MPLS_BOTTOM = 0x100,
};

/* What comes next in a packet: an Ethernet type, an IP protocol (all below NEXT_INTERNAL),
 * or one of ours, which are no valid Ethernet types.
 */
enum next {
	NEXT_INTERNAL = 0x100,
	NEXT_IP_ANY = 0x100,	/* IPv4 or IPv6, by the version */
	NEXT_MPLS_MORE,		/* a label that is not the top one */
	NEXT_ERSPAN1,		/* which has no header */
	NEXT_ERSPAN2,
	NEXT_ERSPAN3,
	NEXT_GUE,
};

#endif
