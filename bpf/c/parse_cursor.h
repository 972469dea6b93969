// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* Where a walk through a packet's headers is, and how it goes on. */
#ifndef DWELL_PARSE_CURSOR_H
#define DWELL_PARSE_CURSOR_H

#include "parse_wire.h"
#include "record.h"

struct cursor {
	__u64 at;    /* address of the next header */
	__u32 left;  /* bytes from there on in the linear part */
	__u32 len;   /* bytes from there on, by the account of the IP header before */
	__u16 next;  /* enum next */
	__u8 v6;     /* the IP header before is IPv6 */
	__u8 quoted; /* the headers are those that an ICMP error quotes */
	__u8 routed; /* there was a segment routing header since the IP header */
	__u8 segments_left;
	__u16 _pad;
};

/* What a step makes of a header. */
enum step {
	STEP_STOP, /* nothing that is looked for */
	STEP_FOUND,
	STEP_ON,
};

/* Steps over a header, if it is there. What a step has read past the end of the packet is
 * not used, because the walk then stops.
 */
static __always_inline int step_over(struct cursor *c, __u32 size, __u16 next)
{
	if (c->left < size)
		return STEP_STOP;
	c->at += size;
	c->left -= size;
	c->len -= size;
	c->next = next;
	return STEP_ON;
}

/* What an Ethernet type stands for. Those that are none (lengths, 802.3) stop the walk. */
static __always_inline __u16 next_of(__be16 ethertype)
{
	__u16 next = bpf_ntohs(ethertype);

	return next < ETH_P_802_3_MIN ? ETH_P_LOOPBACK : next;
}

static __always_inline void copy_addresses(struct tunnel *t, const struct record *r, bool v6)
{
	if (v6) {
		__builtin_memcpy(t->src, r->addr.v6.src, sizeof(r->addr.v6));
	} else {
		fill_mapped(t->src, r->addr.v4.src);
		fill_mapped(t->dst, r->addr.v4.dst);
	}
}

static __always_inline void set_tunnel(struct tunnel *t, __u8 type, __u32 id)
{
	t->id = id;
	t->type = type;
	t->_pad[0] = t->_pad[1] = t->_pad[2] = 0;
}

/* Notes a header around what follows, between the addresses of the IP header before. */
static __always_inline void enter(struct record *r, const struct cursor *c, __u8 type, __u32 id)
{
	__u32 depth = r->head.depth++;

	if (depth >= MAX_TUNNELS)
		return;
	copy_addresses(&r->tunnels[depth], r, c->v6);
	set_tunnel(&r->tunnels[depth], type, id);
}

/* The same for a header that has no addresses. */
static __always_inline void enter_bare(struct record *r, __u8 type, __u32 id)
{
	__u32 depth = r->head.depth++;

	if (depth >= MAX_TUNNELS)
		return;
	__builtin_memset(r->tunnels[depth].src, 0, 2 * sizeof(r->tunnels[depth].src));
	set_tunnel(&r->tunnels[depth], type, id);
}

#endif
