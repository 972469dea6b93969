// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* Fragments of an echo. The first one has the ICMP header and is recorded as the echo. Of
 * another one only the death is recorded; which echo it belongs to is known from the first
 * one, if that was seen anywhere on this host between the same addresses.
 */
#ifndef DWELL_FRAGMENT_H
#define DWELL_FRAGMENT_H

#include "record.h"

/* What the fragments of a packet have in common, RFC 791 and 8200, 4.5. */
struct fragment_key {
	struct addresses6 addr; /* IPv4: the beginning, and 0 */
	__u32 id;
	__u32 v6;
};

/* What a record says of the echo. */
struct fragment_echo {
	__u16 id;
	__u16 seq;
	__u16 payload_len;
	__u8 type;
	__u8 _pad;
	__u8 payload[PAYLOAD_PREFIX];
};

/* key: a fragmented echo. value: what its first fragment says. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct fragment_key);
	__type(value, struct fragment_echo);
} fragments SEC(".maps");

static __always_inline void learn_fragment(const struct fragment_key *key,
					   const struct record_head *h)
{
	struct fragment_echo *known = bpf_map_lookup_elem(&fragments, key);
	struct fragment_echo echo = {
		.id = h->id,
		.seq = h->seq,
		.payload_len = h->payload_len,
		.type = h->type,
	};

	__builtin_memcpy(echo.payload, h->payload, sizeof(echo.payload));
	if (!known || known->seq != echo.seq || known->id != echo.id ||
	    known->type != echo.type || *(__u64 *)known->payload != *(__u64 *)echo.payload)
		bpf_map_update_elem(&fragments, key, &echo, BPF_ANY);
}

static __always_inline bool recall_fragment(const struct fragment_key *key, struct record_head *h)
{
	const struct fragment_echo *echo = bpf_map_lookup_elem(&fragments, key);

	if (!echo)
		return false;
	h->id = echo->id;
	h->seq = echo->seq;
	h->payload_len = echo->payload_len;
	h->type = echo->type;
	__builtin_memcpy(h->payload, echo->payload, sizeof(h->payload));
	return true;
}

/* Notes what a first fragment says, or completes the record of another one. Returns false if
 * the fragment is not to be recorded.
 */
static __noinline bool follow_fragment(struct record *r, enum hook hook)
{
	struct fragment_key key = {
		.addr = r->addr.v6,
		.id = r->head.code,
		.v6 = r->head.flags & FLAG_IPV6,
	};

	if (r->head.flags & FLAG_FIRST_FRAGMENT) {
		learn_fragment(&key, &r->head);
		return true;
	}
	return hook == HOOK_KFREE_SKB && recall_fragment(&key, &r->head);
}

static __always_inline bool is_fragment(const struct record_head *h)
{
	return h->flags & (FLAG_FIRST_FRAGMENT | FLAG_LATER_FRAGMENT);
}

#endif
