// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* What travels through the ring buffer: one record an event.
 *
 * A record is a head, the echo's addresses, and the tunnel's where there is one.
 * The flags say which of the four layouts it has. Go's types are generated from
 * these. Numbers are in host order, addresses in network order.
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
};

/* The values of correlate/event.Type. */
enum echo_type {
	ECHO_REQUEST = 1,
	ECHO_REPLY = 2,
};

/* The values of correlate/event.Flags. */
enum record_flag {
	FLAG_IPV6 = 1 << 0,
	FLAG_ENCAPSULATED = 1 << 1,
	FLAG_BRIDGE_PORT = 1 << 2,
	FLAG_BRIDGE = 1 << 3,
	FLAG_RECEIVED = 1 << 4,
	FLAG_OUTER_IPV6 = 1 << 5,
	FLAG_LOOPBACK = 1 << 6,
};

enum { PAYLOAD_PREFIX = 16 };

struct record_head {
	__u64 time; /* CLOCK_MONOTONIC, nanoseconds */
	__u64 skb;
	__u32 netns;
	__u32 ifindex;
	__u32 code;
	__u16 id;
	__u16 seq;
	__u16 payload_len; /* bytes after the ICMP header, of this fragment */
	__u16 cpu;
	__u8 hook;
	__u8 type;
	__u8 flags;
	__u8 _pad;
	__u8 payload[PAYLOAD_PREFIX];
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
	__u8 src[16]; /* IPv4-mapped if not FLAG_OUTER_IPV6 */
	__u8 dst[16];
	__u32 vni;
	__u32 _pad;
};

struct record4 {
	struct record_head head;
	struct addresses4 addr;
};

struct record6 {
	struct record_head head;
	struct addresses6 addr;
};

struct record4_tunnel {
	struct record_head head;
	struct addresses4 addr;
	struct tunnel outer;
};

struct record6_tunnel {
	struct record_head head;
	struct addresses6 addr;
	struct tunnel outer;
};

union record {
	struct record_head head;
	struct record4 v4;
	struct record6 v6;
	struct record4_tunnel v4t;
	struct record6_tunnel v6t;
};

_Static_assert(sizeof(struct record_head) == 56, "no hidden padding");
_Static_assert(sizeof(struct record4) == 64, "an IPv4 record is one cache line");
_Static_assert(sizeof(struct record6) == 88, "no hidden padding");
_Static_assert(sizeof(struct record4_tunnel) == 104, "no hidden padding");
_Static_assert(sizeof(struct record6_tunnel) == 128, "no hidden padding");

/* Writes an IPv4 address as IPv4-mapped IPv6 (RFC 4291, 2.5.5.2). */
static __always_inline void fill_mapped(__u8 *to, const __u8 *from)
{
	__builtin_memset(to, 0, 8);
	*(__u32 *)(to + 8) = bpf_htonl(0xffff);
	*(__u32 *)(to + 12) = *(const __u32 *)from;
}

/* The bytes of a record that are in use. */
static __always_inline __u32 record_size(const union record *r)
{
	bool v6 = r->head.flags & FLAG_IPV6;

	if (r->head.flags & FLAG_ENCAPSULATED)
		return v6 ? sizeof(r->v6t) : sizeof(r->v4t);
	return v6 ? sizeof(r->v6) : sizeof(r->v4);
}

#endif
