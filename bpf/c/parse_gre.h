// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* GRE, and ERSPAN in it. */
#ifndef DWELL_PARSE_GRE_H
#define DWELL_PARSE_GRE_H

#include "parse_cursor.h"

static __always_inline int step_gre(struct record *r, struct cursor *c, const struct wire_gre *g)
{
	__u16 flags = bpf_ntohs(g->flags), next = next_of(g->protocol);
	bool checksum = flags & GRE_CHECKSUM, key = flags & GRE_KEY, sequence = flags & GRE_SEQUENCE;
	__u32 size = GRE_HEADER + 4 * (checksum + key + sequence), id = 0;

	if (flags & GRE_UNKNOWN)
		return STEP_STOP;
	if (key)
		id = bpf_ntohl(checksum ? g->options[1] : g->options[0]);
	if (next == ETH_P_ERSPAN)
		return step_over(c, size, sequence ? NEXT_ERSPAN2 : NEXT_ERSPAN1);
	if (next == ETH_P_ERSPAN2)
		return step_over(c, size, NEXT_ERSPAN3);
	enter(r, c, next == ETH_P_TEB ? TUNNEL_GRETAP : TUNNEL_GRE, id);
	return step_over(c, size, next);
}

/* Type I has no header; II and III begin alike. */
static __always_inline int step_erspan(struct record *r, struct cursor *c,
				       const struct wire_erspan *e)
{
	__u32 size = ERSPAN2_HEADER, session = bpf_ntohs(e->session) & 0x3ff;

	if (c->next == NEXT_ERSPAN1)
		size = session = 0;
	else if (c->next == NEXT_ERSPAN3)
		size = e->flags3 & ERSPAN3_MORE ? ERSPAN3_HEADER + 8 : ERSPAN3_HEADER;
	enter(r, c, TUNNEL_ERSPAN, session);
	return step_over(c, size, ETH_P_TEB);
}

#endif
