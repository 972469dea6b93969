// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* The parser on bytes that a test gives, without a packet. */
#include "foreign.h"

struct trial {
	struct record record; /* the result; found is 0 if there is none */
	__u32 found;
	__u32 len;
	__be16 proto;
	__u16 foreign; /* the packet is dismissed before it is parsed */
	__u16 _pad[2];
	__u8 packet[1024];
};

SEC("syscall")
int parse_trial(struct trial *t)
{
	struct l3 l3 = {.start = t->packet, .len = t->len, .proto = t->proto};
	struct record r;

	t->foreign = is_foreign(&l3);
	if (!parse_echo(&r, NULL, l3) && !recognize(&r, 0, l3))
		return 0;
	t->found = 1;
	t->record.head.flags = r.head.flags;
	t->record.head.type = r.head.type;
	t->record.head.ttl = r.head.ttl;
	t->record.head.depth = r.head.depth;
	t->record.head.parts = r.head.parts;
	t->record.head.id = r.head.id;
	t->record.head.seq = r.head.seq;
	t->record.head.payload_len = r.head.payload_len;
	__builtin_memcpy(t->record.head.payload, r.head.payload, sizeof(r.head.payload));
	__builtin_memcpy(&t->record.addr, &r.addr, sizeof(r.addr));
	__builtin_memcpy(t->record.tunnels, r.tunnels, sizeof(r.tunnels));
	return 0;
}
