// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* Tunnels in UDP: VXLAN and VXLAN-GPE, Geneve, FOU, GUE. */
#ifndef DWELL_PARSE_UDP_H
#define DWELL_PARSE_UDP_H

#include "parse_cursor.h"
#include "parse_ports.h"

/* What a VXLAN-GPE header says comes next, or 0 if that is not known. */
static __always_inline __u16 vxlan_next(__u8 protocol)
{
	switch (protocol) {
	case 1:
		return ETH_P_IP;
	case 2:
		return ETH_P_IPV6;
	case 3:
		return ETH_P_TEB;
	case 5:
		return ETH_P_MPLS_UC;
	}
	return 0;
}

/* The flag for a protocol has to be 0 in plain VXLAN, so the port need not say which of
 * the two it is.
 */
static __always_inline int step_vxlan(struct record *r, struct cursor *c, const struct wire_udp *u)
{
	__u32 id = bpf_ntohl(u->vxlan.vni) >> 8;
	__u16 next = ETH_P_TEB;

	if (!(u->vxlan.flags & VXLAN_VNI_VALID))
		return STEP_STOP;
	if (u->vxlan.flags & VXLAN_PROTOCOL_VALID) {
		next = vxlan_next(u->vxlan.protocol);
		enter(r, c, TUNNEL_VXLAN_GPE, id);
	} else {
		enter(r, c, TUNNEL_VXLAN, id);
	}
	if (next != ETH_P_TEB)
		return next ? step_over(c, UDP_HEADER + VXLAN_HEADER, next) : STEP_STOP;
	/* The Ethernet header has been read, too. */
	return step_over(c, UDP_HEADER + VXLAN_HEADER + ETHERNET_HEADER,
			 next_of(u->vxlan.ethertype));
}

static __always_inline int step_geneve(struct record *r, struct cursor *c, const struct wire_udp *u)
{
	__u32 options = (u->geneve.version & 0x3f) * 4;

	if (u->geneve.version >> 6)
		return STEP_STOP;
	enter(r, c, TUNNEL_GENEVE, bpf_ntohl(u->geneve.vni) >> 8);
	return step_over(c, UDP_HEADER + GENEVE_HEADER + options, next_of(u->geneve.protocol));
}

/* GUE of version 0 names an IP protocol; version 1 is IP, by the first bits of it. */
static __always_inline int step_gue(struct record *r, struct cursor *c, const struct wire_udp *u)
{
	__u32 options = (u->gue.version & 0x1f) * 4;

	if (u->gue.version >> 5) {
		enter(r, c, TUNNEL_FOU, 0);
		return step_over(c, UDP_HEADER, NEXT_IP_ANY);
	}
	enter(r, c, TUNNEL_FOU, 0);
	if (u->gue.protocol == IPPROTO_IPIP)
		return step_over(c, UDP_HEADER + GUE_HEADER + options, ETH_P_IP);
	if (u->gue.protocol == IPPROTO_IPV6)
		return step_over(c, UDP_HEADER + GUE_HEADER + options, ETH_P_IPV6);
	if (u->gue.protocol == IPPROTO_GRE)
		return step_over(c, UDP_HEADER + GUE_HEADER + options, IPPROTO_GRE);
	return STEP_STOP;
}

static __always_inline int step_udp(struct record *r, struct cursor *c, const struct wire_udp *u)
{
	switch (port_kind(u->dest)) {
	case PORT_VXLAN:
		return step_vxlan(r, c, u);
	case PORT_GENEVE:
		return step_geneve(r, c, u);
	case PORT_GUE:
		return step_gue(r, c, u);
	case PORT_FOU_IP:
		enter(r, c, TUNNEL_FOU, 0);
		return step_over(c, UDP_HEADER, NEXT_IP_ANY);
	case PORT_FOU_GRE:
		enter(r, c, TUNNEL_FOU, 0);
		return step_over(c, UDP_HEADER, IPPROTO_GRE);
	}
	return STEP_STOP;
}

#endif
