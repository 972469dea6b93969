// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* Dismissing packets that are not echoes at the least cost.
 *
 * Nearly all packets of a busy host are TCP or UDP. Here they are told by loads alone,
 * without a call of a helper, where the kernel allows that (Linux 6.2).
 */
#ifndef DWELL_FOREIGN_H
#define DWELL_FOREIGN_H

#include "cast.h"
#include "encrypt.h"
#include "parse.h"

/* UDP may be an echo that was encrypted, whatever its ports. */
static __always_inline bool is_foreign_udp(const __u8 *udp)
{
	return !encryption_seen && !port_kind(CAST(struct udphdr, udp)->dest);
}

/* Whether a packet is certainly not for us. If not, that is for parse_echo to say. */
static __always_inline bool is_foreign(const struct l3 *l3)
{
	struct ipv6hdr *ip6;
	struct iphdr *ip4;
	__u8 proto;

	if (!bpf_rdonly_cast || l3->len < IP4_HEADER + ICMP_HEADER)
		return false;
	if (l3->proto == bpf_htons(ETH_P_IP)) {
		ip4 = CAST(struct iphdr, l3->start);
		proto = ip4->protocol;
		return proto == IPPROTO_TCP ||
		       (proto == IPPROTO_UDP && BPF_CORE_READ_BITFIELD(ip4, ihl) == 5 &&
			is_foreign_udp(l3->start + IP4_HEADER));
	}
	if (l3->proto == bpf_htons(ETH_P_IPV6)) {
		ip6 = CAST(struct ipv6hdr, l3->start);
		proto = ip6->nexthdr;
		return proto == IPPROTO_TCP ||
		       (proto == IPPROTO_UDP && is_foreign_udp(l3->start + IP6_HEADER));
	}
	return false;
}

#endif
