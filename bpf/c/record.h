// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* What travels through the ring buffer: one record an event.
 *
 * A record is a head and then those parts that the head's parts has a bit for, in
 * the order of the bits, without gaps. Go's types are generated from these. Numbers
 * are in host order, addresses in network order.
 *
 * Another object that writes records includes this, ring.h and, to recognize echoes
 * as the tracer does, parse.h.
 */
#ifndef DWELL_RECORD_H
#define DWELL_RECORD_H

#include "kernel.h"

/* The values of correlate/event.Hook. */
enum hook {
	HOOK_NET_DEV_QUEUE = 1,
	HOOK_NET_DEV_START_XMIT,
	HOOK_NET_DEV_XMIT,
	HOOK_NETIF_RX,
	HOOK_NAPI_GRO_RECEIVE_ENTRY,
	HOOK_NETIF_RECEIVE_SKB,
	HOOK_KFREE_SKB,
	HOOK_SKB_COPY_DATAGRAM_IOVEC,
	HOOK_NETFILTER_FIRST,
	HOOK_NETFILTER_LAST,
	HOOK_ACTED,
};

/* The values of correlate/event.Type. */
enum echo_type {
	ECHO_REQUEST = 1,
	ECHO_REPLY,
	ECHO_REQUEST_ERROR,
	ECHO_REPLY_ERROR,
};

/* The values of correlate/event.Flags. */
enum record_flag {
	FLAG_IPV6 = 1 << 0,
	FLAG_PAIRED = 1 << 1,
	FLAG_BRIDGE_PORT = 1 << 2,
	FLAG_BRIDGE = 1 << 3,
	FLAG_RECEIVED = 1 << 4,
	FLAG_PACKET_SOCKET = 1 << 5,
	FLAG_LOOPBACK = 1 << 6,
	FLAG_FIRST_FRAGMENT = 1 << 7,
	FLAG_LATER_FRAGMENT = 1 << 8,
	FLAG_OTHER_HOST = 1 << 9,
	FLAG_ENCRYPTED = 1 << 10,
};

/* The values of correlate/event.TunnelType. */
enum tunnel_type {
	TUNNEL_VXLAN = 1,
	TUNNEL_VXLAN_GPE,
	TUNNEL_GENEVE,
	TUNNEL_GRE,
	TUNNEL_GRETAP,
	TUNNEL_ERSPAN,
	TUNNEL_IPIP,
	TUNNEL_SIT,
	TUNNEL_IP6,
	TUNNEL_SRV6,
	TUNNEL_MPLS,
	TUNNEL_PPPOE,
	TUNNEL_FOU,
	TUNNEL_WIREGUARD,
	TUNNEL_ESP,
	TUNNEL_ICMP_ERROR,
};

/* The values of correlate/event.Deed. */
enum deed {
	DEED_FIREWALL = 1,
	DEED_REDIRECT,
	DEED_FALLBACK,
	DEED_LEARN,
};

/* Which parts a record has, in the order in which they follow the head. */
enum record_part {
	PART_ADDRESSES4 = 1 << 0, /* without FLAG_IPV6 */
	PART_ADDRESSES6 = 1 << 1, /* with it */
	PART_TUNNEL = 1 << 2,	  /* the outermost */
	PART_TUNNEL2 = 1 << 3,	  /* the next, only with PART_TUNNEL */
	PART_PEER = 1 << 4,	  /* with FLAG_PAIRED */
	PART_ACTION = 1 << 5,	  /* at HOOK_ACTED */
	PART_REWRITE = 1 << 6,	  /* only with PART_ACTION, of DEED_REDIRECT */
};

enum {
	PAYLOAD_PREFIX = 16,
	MAX_TUNNELS = 2,
};

/* A record's first words are alike in all of them. Its time is never 0. */
struct record_head {
	__u64 time; /* CLOCK_MONOTONIC, nanoseconds */
	__u8 words; /* of the record with all parts, of 8 bytes */
	__u8 parts;
	__u8 hook;
	__u8 type;
	__u32 code;
	__u64 skb;
	__u8 payload[PAYLOAD_PREFIX];
	__u32 netns;
	__u32 ifindex;
	__u16 id;
	__u16 seq;
	__u16 payload_len; /* bytes after the ICMP header, of this fragment */
	__u16 cpu;
	__u16 flags;
	__u8 ttl;
	__u8 depth;	 /* headers around the echo, of which MAX_TUNNELS have a part */
	__u32 threshold; /* that of its gate, which it has passed */
};

/* The whole record of HOOK_NET_DEV_XMIT: the rest is as in that of HOOK_NET_DEV_START_XMIT. */
struct record_end {
	__u64 time;
	__u8 words;
	__u8 parts; /* none */
	__u8 hook;
	__u8 _pad;
	__u32 code;
	__u64 begin; /* position of the other record in the same CPU's ring */
};

struct addresses4 {
	__u8 src[4];
	__u8 dst[4];
};

struct addresses6 {
	__u8 src[16];
	__u8 dst[16];
};

struct tunnel {
	__u8 src[16]; /* IPv4-mapped for IPv4, 0 if the tunnel has no addresses */
	__u8 dst[16];
	__u32 id;
	__u8 type;
	__u8 _pad[3];
};

/* The other end of a pair. */
struct peer {
	__u32 netns;
	__u32 ifindex;
};

/* The values of correlate/event.ActionPlace. */
enum action_place {
	PLACE_TC = 1,
	PLACE_FORWARD,
	PLACE_IPTABLES,
};

/* What was done to the packet: correlate/event.Action. */
struct action {
	__u16 deed;
	__u16 verdict;
	__u16 reason;
	__u16 place; /* enum action_place, or 0: the deed says where */
	__u32 tenant;
	__u32 rule;
	__u32 to;
	__u32 ns; /* how long it took, 0: not measured */
};

/* What a reason says of DEED_LEARN: the values of correlate/event.Learnt. With another verdict
 * than LEARN_DONE, nothing was learnt, and the reason says why as that of DEED_FALLBACK does.
 */
enum learnt {
	LEARNT_MADE,	/* the flow was not known */
	LEARNT_RENEWED, /* it was, and is believed for another while */
	LEARNT_AGREED,	/* it was, and was treated as foretold */
};

/* Verdicts of DEED_LEARN. */
enum learn_verdict {
	LEARN_DONE,
	LEARN_NOTHING,
};

/* The values of correlate/event.RewriteFlags. */
enum rewritten_flag {
	REWRITTEN_NEXT_HOP = 1 << 0,	 /* the kernel's neighbour table gave the MACs, which are 0 */
	REWRITTEN_ENCAPSULATED = 1 << 1, /* the headers of a tunnel were put before it */
	REWRITTEN_DECAPSULATED = 1 << 2, /* they were taken from it */
};

/* A packet as it was sent on. */
struct rewritten {
	__u8 src[16]; /* IPv4-mapped for IPv4: fill_mapped */
	__u8 dst[16];
	__u8 macs[12]; /* destination and source */
	__u8 ttl;      /* or hop limit */
	__u8 _pad;
	__u16 id;    /* of the echo, in host order */
	__u32 lease; /* how long its flow is still believed, milliseconds */
	__u16 flags; /* enum rewritten_flag */
	__u16 _pad2;
	/* The device on which it arrives at once, if it was given to the other end of a pair
	 * instead of to the device that it was sent to; otherwise 0.
	 */
	__u32 netns;
	__u32 ifindex;
};

/* A record while it is made: each part has its own place, whether it is there or not. */
struct record {
	struct record_head head;
	union {
		struct addresses4 v4;
		struct addresses6 v6;
	} addr;
	struct tunnel tunnels[MAX_TUNNELS]; /* the outermost first */
	struct peer peer;
	struct action action;
};

/* One with room for what only a record of DEED_REDIRECT has. */
struct rewrite_record {
	struct record record;
	struct rewritten rewritten;
};

_Static_assert(sizeof(struct record_head) == 64, "no hidden padding");
_Static_assert(sizeof(struct record_end) == 24, "no hidden padding");
_Static_assert(sizeof(struct tunnel) == 40, "no hidden padding");
_Static_assert(sizeof(struct action) == 24, "no hidden padding");
_Static_assert(sizeof(struct rewritten) == 64, "no hidden padding");
_Static_assert(sizeof(struct record) == 208, "no hidden padding");
_Static_assert(sizeof(struct rewrite_record) == 272, "no hidden padding");

/* Writes an IPv4 address as IPv4-mapped IPv6 (RFC 4291, 2.5.5.2). */
static __always_inline void fill_mapped(__u8 *to, const __u8 *from)
{
	__builtin_memset(to, 0, 8);
	*(__u32 *)(to + 8) = bpf_htonl(0xffff);
	*(__u32 *)(to + 12) = *(const __u32 *)from;
}

typedef __u64 __attribute__((may_alias)) word;

#endif
