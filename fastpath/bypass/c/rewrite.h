// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* What a flow's rewrite makes of a packet's first bytes. The fast path writes the result to the packet;
 * for a packet that took the slow path it is compared with what the kernel made of it.
 */
#ifndef DWELL_BYPASS_REWRITE_H
#define DWELL_BYPASS_REWRITE_H

#include "front.h"

/* Sums of 16-bit words in one's complement (RFC 1071), not yet folded. As RFC 1624 has it, what is taken
 * away is added complemented. No intermediate result is 0, so that 0 is written as the kernel writes it.
 */
static __always_inline __u32 fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

static __always_inline __u64 changed_words(const __be32 *from, const __be32 *to, int words)
{
	__u64 sum = 0;

#pragma unroll
	for (int i = 0; i < words; i++)
		sum += (__u64)(__u32)~from[i] + to[i];
	return sum;
}

/* A checksum over what changed, and maybe over a pseudo header that did. Where the device has yet to
 * work it out (CHECKSUM_PARTIAL), it is the sum of the pseudo header, not complemented.
 */
static __always_inline __u16 new_check(__u16 check, __u64 addresses, __u64 ports, bool partial)
{
	if (partial)
		return fold(check + addresses);
	return ~fold((__u64)(__u16)~check + addresses + ports);
}

static __always_inline __u64 changed_port(__be16 from, __be16 to)
{
	return (__u64)(__u16)~from + to;
}

static __always_inline void rewrite_transport(struct transport *t, const struct shape *s, const struct rewrite *w,
					      __u64 addresses, bool partial, bool v6)
{
	if (s->proto == IPPROTO_TCP) {
		__u64 ports = changed_port(t->sport, w->sport) + changed_port(t->dport, w->dport);

		t->check = new_check(t->check, addresses, ports, partial);
		t->sport = w->sport;
		t->dport = w->dport;
	} else if (s->proto == IPPROTO_UDP) {
		__u64 ports = changed_port(t->sport, w->sport) + changed_port(t->dport, w->dport);

		if (t->udp.check || partial) {
			t->udp.check = new_check(t->udp.check, addresses, ports, partial);
			if (!t->udp.check)
				t->udp.check = 0xffff;
		}
		t->sport = w->sport;
		t->dport = w->dport;
	} else {
		__u64 id = changed_port(t->udp.length, w->sport);

		/* ICMP's checksum has no pseudo header. */
		t->dport = new_check(t->dport, v6 ? addresses : 0, id, partial);
		t->udp.length = w->sport;
	}
}

static __always_inline void rewrite_ipv4(struct front *f, const struct shape *s, const struct rewrite *w, bool partial)
{
	struct ipv4 *ip = &f->v4.ip;
	__u64 addresses = 0;
	__u32 check = ip->check;

	if (w->flags & FLOW_TRANSLATED) {
		addresses = changed_words(&ip->src, w->src, 1) + changed_words(&ip->dst, w->dst, 1);
		rewrite_transport(&f->v4.transport, s, w, addresses, partial, false);
		check = (__u16)~fold((__u64)(__u16)~check + addresses);
		ip->src = w->src[0];
		ip->dst = w->dst[0];
	}
	if (w->flags & FLOW_ROUTED) {
		/* include/net/ip.h:ip_decrease_ttl */
		check += bpf_htons(0x0100);
		check = (__u16)(check + (check >= 0xffff));
		ip->ttl--;
	}
	ip->check = check;
}

static __always_inline void rewrite_ipv6(struct front *f, const struct shape *s, const struct rewrite *w, bool partial)
{
	struct ipv6 *ip = &f->v6.ip;

	if (w->flags & FLOW_TRANSLATED) {
		__u64 addresses = changed_words(ip->src, w->src, 4) + changed_words(ip->dst, w->dst, 4);

		rewrite_transport(&f->v6.transport, s, w, addresses, partial, true);
		__builtin_memcpy(ip->src, w->src, sizeof(ip->src));
		__builtin_memcpy(ip->dst, w->dst, sizeof(ip->dst));
	}
	if (w->flags & FLOW_ROUTED)
		ip->hops--;
}

/* The MACs are written, too, even if the kernel will write the next hop's. */
static __always_inline void rewrite_front(struct front *f, const struct shape *s, const struct rewrite *w, bool partial,
					  bool v6)
{
	if (v6)
		rewrite_ipv6(f, s, w, partial);
	else
		rewrite_ipv4(f, s, w, partial);
	__builtin_memcpy(f->macs, w->macs_out, sizeof(f->macs));
}

#endif
