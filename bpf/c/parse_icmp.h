// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* Echoes, and the ICMP errors that quote them. */
#ifndef DWELL_PARSE_ICMP_H
#define DWELL_PARSE_ICMP_H

#include "parse_cursor.h"

/* The echo type of an ICMP message, or 0. */
static __always_inline __u8 echo_type(const struct wire_icmp *i, bool v6)
{
	if (i->code)
		return 0;
	if (v6)
		return i->type == 128 ? ECHO_REQUEST : i->type == 129 ? ECHO_REPLY : 0;
	return i->type == 8 ? ECHO_REQUEST : i->type == 0 ? ECHO_REPLY : 0;
}

/* Whether the message says that a packet did not arrive, and quotes it: destination
 * unreachable, time exceeded, parameter problem; packet too big is a type of its own in
 * ICMPv6. Source quench and redirect are not about a packet that is lost.
 */
static __always_inline bool is_error(const struct wire_icmp *i, bool v6)
{
	return v6 ? i->type >= 1 && i->type <= 4 : i->type == 3 || i->type == 11 || i->type == 12;
}

/* Copies the beginning of the payload: no bytes past its end, nor outside the linear part. n
 * is how many there are of the message.
 */
static __always_inline void fill_payload(struct record_head *h, const struct wire_icmp *i, __u32 n)
{
	__u64 *to = (__u64 *)h->payload;

	__builtin_memcpy(h->payload, i->payload, PAYLOAD_PREFIX);
	n -= ICMP_HEADER;
	if (n >= PAYLOAD_PREFIX)
		return;
	/* Little-endian: the first byte is the lowest. */
	if (n > 8) {
		to[1] &= (1ULL << ((n - 8) * 8)) - 1;
	} else {
		to[1] = 0;
		if (n < 8)
			to[0] &= (1ULL << (n * 8)) - 1;
	}
}

/* len is the message's length by the IP header, left how many bytes of it may be read. */
static __always_inline void fill_echo(struct record_head *h, const struct wire_icmp *i, __u32 len,
				      __u32 left)
{
	h->id = bpf_ntohs(i->id);
	h->seq = bpf_ntohs(i->seq);
	h->payload_len = len - ICMP_HEADER;
	fill_payload(h, i, len < left ? len : left);
}

/* Notes the error as the outermost tunnel, whatever is around it, and looks into what it
 * quotes.
 */
static __always_inline int step_error(struct record *r, struct cursor *c, const struct wire_icmp *i)
{
	if (r->head.depth)
		r->tunnels[1] = r->tunnels[0];
	r->head.depth++;
	copy_addresses(&r->tunnels[0], r, c->v6);
	set_tunnel(&r->tunnels[0], TUNNEL_ICMP_ERROR, i->type * 256 + i->code);
	c->quoted = 1;
	return step_over(c, ICMP_HEADER, c->v6 ? ETH_P_IPV6 : ETH_P_IP);
}

static __always_inline int step_icmp(struct record *r, struct cursor *c, const struct wire_icmp *i)
{
	__u8 type = echo_type(i, c->v6);

	if (c->left < ICMP_HEADER || c->len < ICMP_HEADER)
		return STEP_STOP;
	if (!type)
		return !c->quoted && is_error(i, c->v6) ? step_error(r, c, i) : STEP_STOP;
	r->head.type = c->quoted ? type + ECHO_REQUEST_ERROR - ECHO_REQUEST : type;
	fill_echo(&r->head, i, c->len, c->left);
	return STEP_FOUND;
}

#endif
