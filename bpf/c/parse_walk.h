// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* From any header to the echo inside, header by header. */
#ifndef DWELL_PARSE_WALK_H
#define DWELL_PARSE_WALK_H

#include "cast.h"
#include "parse_gre.h"
#include "parse_icmp.h"
#include "parse_ip.h"
#include "parse_link.h"
#include "parse_udp.h"

/* Headers that are looked at in one packet. Geneve in GRE takes 7, VXLAN in a VLAN in
 * GRETAP 8; each further tag, label or extension header takes one.
 */
enum { MAX_HEADERS = 40 };

static __always_inline int step_below_ip(struct record *r, struct cursor *c, const union window *w)
{
	switch (c->next) {
	case ETH_P_IP:
	case ETH_P_IPV6:
	case NEXT_IP_ANY:
		return step_ip(r, c, w);
	case ETH_P_TEB:
		return step_ethernet(c, &w->ethernet);
	case ETH_P_8021Q:
	case ETH_P_8021AD:
	case ETH_P_QINQ1:
		return step_vlan(c, &w->vlan);
	case ETH_P_PPP_SES:
		return step_pppoe(r, c, &w->pppoe);
	case ETH_P_MPLS_UC:
	case ETH_P_MPLS_MC:
	case NEXT_MPLS_MORE:
		return step_mpls(r, c, w->mpls);
	case NEXT_ERSPAN1:
	case NEXT_ERSPAN2:
	case NEXT_ERSPAN3:
		return step_erspan(r, c, &w->erspan);
	}
	return STEP_STOP;
}

static __always_inline int step_above_ip(struct record *r, struct cursor *c, const union window *w)
{
	if (c->next == (c->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP))
		return step_icmp(r, c, &w->icmp);
	if (is_extension(c->next, c->v6))
		return step_extension(r, c, &w->extension);
	switch (c->next) {
	case IPPROTO_UDP:
		return step_udp(r, c, &w->udp);
	case IPPROTO_GRE:
		return step_gre(r, c, &w->gre);
	case IPPROTO_ETHERNET:
		return c->v6 ? step_ip_in_ip(r, c) : STEP_STOP;
	case IPPROTO_IPIP:
	case IPPROTO_IPV6:
		return step_ip_in_ip(r, c);
	case IPPROTO_MPLS:
		return step_over(c, 0, ETH_P_MPLS_UC);
	}
	return STEP_STOP;
}

/* One header. A global function, which the verifier looks at once and by itself: what it
 * is called with, and how often, does not multiply the states of a loop. r and c are never
 * NULL.
 */
__noinline int parse_step(struct record *r, struct cursor *c)
{
	union window w;

	if (!r || !c || !read_words(w.words, (void *)c->at, sizeof(w) / sizeof(*w.words)))
		return STEP_STOP;
	return c->next < NEXT_INTERNAL ? step_above_ip(r, c, &w) : step_below_ip(r, c, &w);
}

/* Fills in what the packet says, see parse_echo. r was zero before. */
static __noinline bool walk(struct record *r, const __u8 *start, __u32 len, __u16 next)
{
	struct cursor c = {.at = (__u64)start, .left = len, .len = len, .next = next};

	for (int i = 0; i < MAX_HEADERS; i++) {
		int step = parse_step(r, &c);

		if (step == STEP_FOUND)
			break;
		if (step != STEP_ON)
			return false;
	}
	if (!r->head.type && !(r->head.flags & FLAG_LATER_FRAGMENT))
		return false;
	r->head.parts = r->head.flags & FLAG_IPV6 ? PART_ADDRESSES6 : PART_ADDRESSES4;
	if (r->head.depth > 0)
		r->head.parts |= PART_TUNNEL;
	if (r->head.depth > 1)
		r->head.parts |= PART_TUNNEL2;
	return true;
}

#endif
