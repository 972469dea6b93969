// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* Echoes that are nothing but an IP header and ICMP, at the least cost.
 *
 * Nearly all echoes are like that: no options, no fragment, nothing around them, a payload that
 * is no shorter than what is kept of it. Each load through a cast is checked by eight
 * instructions of its own; so the packet is read a word at a time, and what is asked of a
 * word is asked at once. All else, and all of an older kernel, is for parse_echo, which says the
 * same of the same bytes. TestPlainIsParsed compares them.
 */
#ifndef DWELL_PLAIN_H
#define DWELL_PLAIN_H

#include "cast.h"
#include "parse.h"

/* Masks of words as they are in memory, the first byte lowest. */
#define PLAIN4_MASK 0xff3f0000000000ffULL /* version, header length; more fragments, offset */
#define PLAIN4 0x45ULL
#define ECHO4_MASK 0xfff700000000ULL /* of the ICMP type all but what tells reply and request */
#define ECHO4_REQUEST 0x0800000000ULL
#define ECHO6_MASK 0xfffeULL
#define ECHO6 0x80ULL /* 128 is a request, 129 a reply */
#define ECHO6_REPLY 0x01ULL

enum { PLAIN_PAYLOAD = ICMP_HEADER + PAYLOAD_PREFIX };

/* A word of a packet. */
static __always_inline __u64 packet_word(const struct l3 *l3, __u32 i)
{
	return LOAD(__u64, l3->start + i * sizeof(__u64));
}

/* What else parse_echo writes. */
static __always_inline void fill_plain(struct record *r, __u32 len)
{
	r->head.payload_len = len - ICMP_HEADER;
	r->head.depth = 0;
	__builtin_memset(r->tunnels, 0, sizeof(r->tunnels));
}

/* The echo in a packet that begins with two words and has ICMP as its protocol. */
static __always_inline bool plain_echo4(struct record *r, const struct l3 *l3, __u64 w0, __u64 w1)
{
	word *payload = (word *)r->head.payload, *addr = (word *)&r->addr;
	__u32 total = bpf_ntohs((__be16)(w0 >> 16));
	__u64 w2, w3, w4, w5;

	if ((w0 & PLAIN4_MASK) != PLAIN4 || total < IP4_HEADER + PLAIN_PAYLOAD ||
	    l3->len < IP4_HEADER + PLAIN_PAYLOAD)
		return false;
	w2 = packet_word(l3, 2);
	if (w2 & ECHO4_MASK)
		return false;
	w3 = packet_word(l3, 3);
	w4 = packet_word(l3, 4);
	w5 = packet_word(l3, 5);
	r->head.flags = 0;
	r->head.parts = PART_ADDRESSES4;
	r->head.type = w2 & ECHO4_REQUEST ? ECHO_REQUEST : ECHO_REPLY;
	r->head.ttl = w1;
	r->head.id = bpf_ntohs((__be16)w3);
	r->head.seq = bpf_ntohs((__be16)(w3 >> 16));
	payload[0] = w3 >> 32 | w4 << 32;
	payload[1] = w4 >> 32 | w5 << 32;
	addr[0] = w1 >> 32 | w2 << 32;
	addr[1] = addr[2] = addr[3] = 0;
	fill_plain(r, total - IP4_HEADER);
	return true;
}

/* The echo in a packet that begins with a word and has ICMPv6 as its protocol. */
static __always_inline bool plain_echo6(struct record *r, const struct l3 *l3, __u64 w0)
{
	word *payload = (word *)r->head.payload, *addr = (word *)&r->addr;
	__u32 len = bpf_ntohs((__be16)(w0 >> 32));
	__u64 w5;

	if (len < PLAIN_PAYLOAD || l3->len < IP6_HEADER + PLAIN_PAYLOAD)
		return false;
	w5 = packet_word(l3, 5);
	if ((w5 & ECHO6_MASK) != ECHO6)
		return false;
	r->head.flags = FLAG_IPV6;
	r->head.parts = PART_ADDRESSES6;
	r->head.type = w5 & ECHO6_REPLY ? ECHO_REPLY : ECHO_REQUEST;
	r->head.ttl = w0 >> 56;
	r->head.id = bpf_ntohs((__be16)(w5 >> 32));
	r->head.seq = bpf_ntohs((__be16)(w5 >> 48));
#pragma unroll
	for (__u32 i = 0; i < 4; i++)
		addr[i] = packet_word(l3, 1 + i);
	payload[0] = packet_word(l3, 6);
	payload[1] = packet_word(l3, 7);
	fill_plain(r, len);
	return true;
}

#endif
