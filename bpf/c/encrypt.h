// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* Echoes that cannot be read: WireGuard and ESP.
 *
 * The device that encrypts is given the echo, and goes on with the same sk_buff. So what it
 * was given is noted under the buffer's address. The first encrypted packet in that buffer is
 * the echo's, and has a number that no other packet has: from then on it is known by that,
 * also in another buffer or namespace.
 */
#ifndef DWELL_ENCRYPT_H
#define DWELL_ENCRYPT_H

#include "parse.h"

/* What a record says of an echo that is encrypted. */
struct hidden_echo {
	struct addresses6 addr; /* IPv4: the beginning, and 0 */
	__u8 payload[PAYLOAD_PREFIX];
	__u16 id;
	__u16 seq;
	__u16 payload_len;
	__u16 flags;
	__u8 type;
	__u8 ttl;
	__u8 _pad[6];
};

struct encrypting_echo {
	__u64 time; /* CLOCK_MONOTONIC, nanoseconds */
	struct hidden_echo echo;
};

/* How long a device may take to encrypt; later its buffer may be another packet's. */
enum { ENCRYPTING_MAX = 1000000000 };

/* key: address of the sk_buff that a device is to encrypt. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u64);
	__type(value, struct encrypting_echo);
} encrypting SEC(".maps");

/* The first bytes that no two packets have in common: of WireGuard the receiver's index, the
 * counter and four bytes of the content (whitepaper, 5.4.6); of ESP the SPI, the sequence
 * number and eight bytes (RFC 4303, 2).
 */
struct signature {
	__u8 bytes[16];
};

/* key: an encrypted packet. value: the echo in it. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct signature);
	__type(value, struct hidden_echo);
} encrypted SEC(".maps");

/* Set once there is anything in these maps. Until then this is all that they cost. */
volatile __u8 encryption_seen = 0;

/* The names of devices that encrypt as they are in memory, the first letter lowest, and cut
 * off as they are read.
 */
#define KIND_WIREGUARD 0x0061756765726977ULL /* "wiregua" */
#define KIND_XFRM 0x6d726678ULL		     /* "xfrm" */

/* Whether what is given to a device comes out encrypted. */
static __always_inline bool encrypts(const struct net_device *dev)
{
	__u64 kind = 0;

	return dev->type == ARPHRD_NONE &&
	       bpf_probe_read_kernel_str(&kind, sizeof(kind), dev->rtnl_link_ops->kind) >= 0 &&
	       (kind == KIND_WIREGUARD || kind == KIND_XFRM);
}

/* Notes the echo that a device is to encrypt. */
static __noinline int note_encrypting(const struct record *r, __u64 skb)
{
	struct encrypting_echo e = {
		.time = r->head.time,
		.echo = {
			.addr = r->addr.v6,
			.id = r->head.id,
			.seq = r->head.seq,
			.payload_len = r->head.payload_len,
			.flags = r->head.flags & FLAG_IPV6,
			.type = r->head.type,
			.ttl = r->head.ttl,
		},
	};

	__builtin_memcpy(e.echo.payload, r->head.payload, sizeof(e.echo.payload));
	bpf_map_update_elem(&encrypting, &skb, &e, BPF_ANY);
	encryption_seen = 1;
	return 0;
}

/* The beginning of what may be encrypted, behind the IP header. */
union wire_encrypted {
	struct {
		__be16 source, dest, len, check;
		__u32 type; /* little-endian */
		__u8 signature[16];
	} wireguard;
	struct {
		__be32 spi;
		__u8 rest[12];
	} esp;
	struct {
		__be16 source, dest, len, check;
		__be32 spi; /* 0: key exchange (RFC 3948, 2) */
		__u8 rest[12];
	} udp_esp;
};

enum {
	WIREGUARD_DATA = 4,
	UDP_ESP_PORT = 4500, /* RFC 3948 */
};

/* Finds what is encrypted in a packet: its signature, ID and type of tunnel, which is 0 if it
 * is neither.
 */
static __always_inline __u8 signature_of(struct signature *s, __u32 *id, const struct l3 *l3,
					 __u32 offset, __u8 proto)
{
	union wire_encrypted w;

	if (l3->len < offset + sizeof(w) ||
	    bpf_probe_read_kernel(&w, sizeof(w), l3->start + offset))
		return 0;
	if (proto == IPPROTO_ESP) {
		__builtin_memcpy(s, &w.esp.spi, sizeof(*s));
		*id = bpf_ntohl(w.esp.spi);
		return TUNNEL_ESP;
	}
	if (w.udp_esp.dest == bpf_htons(UDP_ESP_PORT) && w.udp_esp.spi) {
		__builtin_memcpy(s, &w.udp_esp.spi, sizeof(*s));
		*id = bpf_ntohl(w.udp_esp.spi);
		return TUNNEL_ESP;
	}
	if (w.wireguard.type != WIREGUARD_DATA)
		return 0;
	__builtin_memcpy(s, w.wireguard.signature, sizeof(*s));
	*id = *(__u32 *)w.wireguard.signature;
	return TUNNEL_WIREGUARD;
}

/* The echo in an encrypted packet, or NULL. */
static __always_inline const struct hidden_echo *hidden_echo(const struct signature *s, __u64 skb)
{
	const struct hidden_echo *known = bpf_map_lookup_elem(&encrypted, s);
	const struct encrypting_echo *e;

	if (known)
		return known;
	e = bpf_map_lookup_elem(&encrypting, &skb);
	if (!e || bpf_ktime_get_ns() - e->time > ENCRYPTING_MAX)
		return NULL;
	bpf_map_update_elem(&encrypted, s, &e->echo, BPF_ANY);
	bpf_map_delete_elem(&encrypting, &skb);
	return bpf_map_lookup_elem(&encrypted, s);
}

static __always_inline void fill_hidden(struct record *r, const struct hidden_echo *e)
{
	r->head.id = e->id;
	r->head.seq = e->seq;
	r->head.payload_len = e->payload_len;
	r->head.flags = e->flags | FLAG_ENCRYPTED;
	r->head.type = e->type;
	r->head.ttl = e->ttl;
	r->head.depth = 1;
	r->head.parts = PART_TUNNEL;
	r->head.parts |= e->flags & FLAG_IPV6 ? PART_ADDRESSES6 : PART_ADDRESSES4;
	__builtin_memcpy(r->head.payload, e->payload, sizeof(r->head.payload));
	r->addr.v6 = e->addr;
}

/* As parse_echo, for an echo that is encrypted: its flags have ENCRYPTED, and its one tunnel
 * says by what. IP options and extension headers are not stepped over.
 */
static __noinline bool recognize_hidden(struct record *r, __u64 skb, const __u8 *start, __u32 len)
{
	struct l3 l3 = {.start = start, .len = len};
	const struct hidden_echo *e;
	struct signature s;
	union window w;
	__u32 id;
	__u8 type;
	bool v6;

	if (len < IP6_HEADER || bpf_probe_read_kernel(&w, sizeof(w), start))
		return false;
	v6 = w.version >> 4 == 6;
	if (!v6 && w.ip4.ihl != IP4_PLAIN)
		return false;
	type = v6 ? w.ip6.nexthdr : w.ip4.protocol;
	if (type != IPPROTO_UDP && type != IPPROTO_ESP)
		return false;
	type = signature_of(&s, &id, &l3, v6 ? IP6_HEADER : IP4_HEADER, type);
	if (!type)
		return false;
	e = hidden_echo(&s, skb);
	if (!e)
		return false;
	__builtin_memset(r, 0, sizeof(*r));
	if (v6) {
		__builtin_memcpy(r->tunnels[0].src, w.ip6.src, 32);
	} else {
		fill_mapped(r->tunnels[0].src, w.ip4.src);
		fill_mapped(r->tunnels[0].dst, w.ip4.dst);
	}
	set_tunnel(&r->tunnels[0], type, id);
	fill_hidden(r, e);
	return true;
}

static __always_inline bool recognize(struct record *r, __u64 skb, struct l3 l3)
{
	return encryption_seen && is_ip(l3.proto) && recognize_hidden(r, skb, l3.start, l3.len);
}

#endif
