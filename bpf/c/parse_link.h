// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* What is below IP: Ethernet, VLAN tags, PPPoE, MPLS. */
#ifndef DWELL_PARSE_LINK_H
#define DWELL_PARSE_LINK_H

#include "parse_cursor.h"

static __always_inline int step_ethernet(struct cursor *c, const struct wire_ethernet *e)
{
	return step_over(c, ETHERNET_HEADER, next_of(e->ethertype));
}

static __always_inline int step_vlan(struct cursor *c, const struct wire_vlan *v)
{
	return step_over(c, VLAN_TAG, next_of(v->ethertype));
}

static __always_inline int step_pppoe(struct record *r, struct cursor *c, const struct wire_pppoe *p)
{
	__u16 next;

	if (p->version != PPPOE_VERSION || p->code)
		return STEP_STOP;
	if (p->protocol == bpf_htons(PPP_IP))
		next = ETH_P_IP;
	else if (p->protocol == bpf_htons(PPP_IPV6))
		next = ETH_P_IPV6;
	else
		return STEP_STOP;
	enter_bare(r, TUNNEL_PPPOE, bpf_ntohs(p->session));
	return step_over(c, PPPOE_HEADER, next);
}

/* One label of a stack. What follows the last one is not said; IP it is by its version,
 * all else is not looked into.
 */
static __always_inline int step_mpls(struct record *r, struct cursor *c, __be32 entry)
{
	__u32 label = bpf_ntohl(entry);

	if (c->next != NEXT_MPLS_MORE)
		enter_bare(r, TUNNEL_MPLS, label >> 12);
	return step_over(c, MPLS_LABEL, label & MPLS_BOTTOM ? NEXT_IP_ANY : NEXT_MPLS_MORE);
}

#endif
