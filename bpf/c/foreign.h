// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* Dismissing packets that are not echoes at the least cost.
 *
 * Nearly all packets of a busy host are TCP or UDP, bare, tagged or in one tunnel. Here they
 * are told by loads alone, without a call of a helper, where the kernel allows that (Linux
 * 6.2). Nothing is written, and lengths are not looked at: of what is not in the packet's
 * linear part parse_echo says no as well, so it does not matter what is read there.
 *
 * What is dismissed here must be what parse_echo and recognize dismiss.
 * TestForeignIsNoEcho compares them. Most of what is left is a plain echo (plain.h).
 */
#ifndef DWELL_FOREIGN_H
#define DWELL_FOREIGN_H

#include "cast.h"
#include "encrypt.h"
#include "parse.h"
#include "plain.h"

enum { IP6_VERSION = 6 };

/* Whether UDP does not look like what recognize knows. */
static __always_inline bool is_plain_udp(const __u8 *udp)
{
	return !encryption_seen || (LOAD(__be16, udp + 2) != bpf_htons(UDP_ESP_PORT) &&
				    LOAD(__u32, udp + UDP_HEADER) != WIREGUARD_DATA);
}

/* What is in a tunnel, or behind a tag: there only bare TCP and UDP are told. */
static __always_inline bool is_foreign_inside(const __u8 *ip)
{
	__u8 first = LOAD(__u8, ip), proto;
	const __u8 *udp;

	if (first == IP4_PLAIN) {
		proto = LOAD(__u8, ip + 9);
		udp = ip + IP4_HEADER;
	} else if (first >> 4 == IP6_VERSION) {
		proto = LOAD(__u8, ip + 6);
		udp = ip + IP6_HEADER;
	} else {
		return false;
	}
	return proto == IPPROTO_TCP ||
	       (proto == IPPROTO_UDP && !port_kind(LOAD(__be16, udp + 2)));
}

/* What comes behind an Ethernet type, with or without one tag in between. */
static __always_inline bool is_foreign_typed(__be16 type, const __u8 *behind)
{
	if (type == bpf_htons(ETH_P_8021Q) || type == bpf_htons(ETH_P_8021AD)) {
		type = LOAD(__be16, behind + 2);
		behind += VLAN_TAG;
	}
	return is_ip(type) && is_foreign_inside(behind);
}

static __always_inline bool is_foreign_frame(const __u8 *ethernet)
{
	return is_foreign_typed(LOAD(__be16, ethernet + 12), ethernet + ETHERNET_HEADER);
}

static __always_inline bool is_foreign_vxlan(const __u8 *vxlan)
{
	__u8 flags = LOAD(__u8, vxlan);

	return (flags & VXLAN_VNI_VALID) && !(flags & VXLAN_PROTOCOL_VALID) &&
	       is_foreign_frame(vxlan + VXLAN_HEADER);
}

static __always_inline bool is_foreign_geneve(const __u8 *geneve)
{
	__u32 options = (LOAD(__u8, geneve) & 0x3f) * 4;

	return LOAD(__be16, geneve + 2) == bpf_htons(ETH_P_TEB) &&
	       is_foreign_frame(geneve + GENEVE_HEADER + options);
}

static __always_inline bool is_foreign_gre(const __u8 *gre)
{
	__u16 flags = bpf_ntohs(LOAD(__be16, gre));
	__be16 type = LOAD(__be16, gre + 2);

	gre += GRE_HEADER;
	if (flags & GRE_CHECKSUM)
		gre += 4;
	if (flags & GRE_KEY)
		gre += 4;
	if (flags & GRE_SEQUENCE)
		gre += 4;
	return type == bpf_htons(ETH_P_TEB) ? is_foreign_frame(gre) : is_foreign_typed(type, gre);
}

/* What has something around it. A function of its own, so that TCP and UDP, which nearly all
 * is, are left behind with little code.
 */
static __noinline bool is_foreign_in_tunnel(const __u8 *header, __u8 proto)
{
	switch (proto) {
	case IPPROTO_UDP:
		if (!is_plain_udp(header))
			return false;
		switch (port_kind(LOAD(__be16, header + 2))) {
		case PORT_VXLAN:
			return is_foreign_vxlan(header + UDP_HEADER);
		case PORT_GENEVE:
			return is_foreign_geneve(header + UDP_HEADER);
		}
		return false;
	case IPPROTO_ESP:
		return !encryption_seen;
	case IPPROTO_GRE:
		return is_foreign_gre(header);
	case IPPROTO_IPIP:
	case IPPROTO_IPV6:
		return is_foreign_inside(header);
	}
	return false;
}

/* Frames that are seen with their Ethernet header, or behind it with a tag. */
static __noinline bool is_foreign_below_ip(const __u8 *start, __be16 type)
{
	return type == bpf_htons(ETH_P_TEB) ? is_foreign_frame(start) : is_foreign_typed(type, start);
}

/* What the first look at a packet says: that it is certainly not for us; that it is an echo,
 * of which all is filled in that parse_echo fills in; or that this is for parse_echo to say.
 */
static __always_inline enum glance first_look(struct record *r, const struct l3 *l3)
{
	const __u8 *header;
	__u64 w0, w1;
	__u8 proto;

	if (!is_ip(l3->proto) && !may_carry_ip(l3->proto))
		return NOT_FOR_US;
	if (!bpf_rdonly_cast)
		return WALK;
	if (!is_ip(l3->proto))
		return is_foreign_below_ip(l3->start, l3->proto) ? NOT_FOR_US : WALK;
	w0 = packet_word(l3, 0);
	if ((__u8)w0 == IP4_PLAIN) {
		w1 = packet_word(l3, 1);
		proto = w1 >> 8;
		if (proto == IPPROTO_ICMP)
			return plain_echo4(r, l3, w0, w1) ? BARE : WALK;
		header = l3->start + IP4_HEADER;
	} else if ((__u8)w0 >> 4 == IP6_VERSION) {
		proto = w0 >> 48;
		if (proto == IPPROTO_ICMPV6)
			return plain_echo6(r, l3, w0) ? BARE : WALK;
		header = l3->start + IP6_HEADER;
	} else {
		return WALK;
	}
	if (proto == IPPROTO_TCP)
		return NOT_FOR_US;
	if (proto == IPPROTO_UDP && !port_kind(LOAD(__be16, header + 2)) && is_plain_udp(header))
		return NOT_FOR_US;
	return is_foreign_in_tunnel(header, proto) ? NOT_FOR_US : WALK;
}

#endif
