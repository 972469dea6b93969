// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* The parser on bytes that a test gives, without a packet. */
#include "foreign.h"

struct trial {
	struct record record; /* what the whole parser finds; found is 0 if it is nothing */
	struct record plain;  /* what the first look has found, if it took an echo from the packet */
	__u32 found;
	__u32 len;
	enum glance look; /* what the first look says */
	__be16 proto;
	__u16 _pad;
	__u8 packet[1024];
};

/* Copies what parse_echo writes. */
static __always_inline void copy_parsed(struct record *to, const struct record *from)
{
	to->head.flags = from->head.flags;
	to->head.type = from->head.type;
	to->head.ttl = from->head.ttl;
	to->head.depth = from->head.depth;
	to->head.parts = from->head.parts;
	to->head.id = from->head.id;
	to->head.seq = from->head.seq;
	to->head.payload_len = from->head.payload_len;
	__builtin_memcpy(to->head.payload, from->head.payload, sizeof(from->head.payload));
	__builtin_memcpy(&to->addr, &from->addr, sizeof(from->addr));
	__builtin_memcpy(to->tunnels, from->tunnels, sizeof(from->tunnels));
}

SEC("syscall")
int parse_trial(struct trial *t)
{
	struct l3 l3 = {.start = t->packet, .len = t->len, .proto = t->proto};
	struct record r;

	t->look = first_look(&r, &l3);
	if (t->look == BARE)
		copy_parsed(&t->plain, &r);
	if (!parse_echo(&r, NULL, l3) && !recognize(&r, 0, l3))
		return 0;
	t->found = 1;
	copy_parsed(&t->record, &r);
	return 0;
}
