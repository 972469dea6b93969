// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* Which events are recorded.
 *
 * The namespace and interface filters choose places, the address filter chooses
 * packets; all that are set must pass. A packet that has passed is remembered by
 * what no device on the way changes, so that it and its reply still pass the
 * address filter after NAT, and so that the places without a device (delivery to
 * a socket, most drops) are recorded only for packets seen on a chosen interface.
 */
#ifndef DWELL_FILTER_H
#define DWELL_FILTER_H

#include "maps.h"

/* A payload shorter than this cannot tell echoes apart. */
enum { TELLING_PAYLOAD = 8 };

static __always_inline bool netns_chosen(__u32 generation, __u32 inode)
{
	struct netns_key key = {.generation = generation, .inode = inode};

	return bpf_map_lookup_elem(&netns_filter, &key);
}

static __always_inline bool interface_chosen(__u32 generation, const struct net_device *dev)
{
	struct interface_key key = {.generation = generation};

	if (bpf_probe_read_kernel_str(key.name, sizeof(key.name), dev->name) < 0)
		return false;
	return bpf_map_lookup_elem(&interface_filter, &key);
}

static __always_inline bool address_chosen(struct address_key *key, const __u8 *addr, bool v6)
{
	if (v6)
		__builtin_memcpy(key->addr, addr, sizeof(key->addr));
	else
		fill_mapped(key->addr, addr);
	return bpf_map_lookup_elem(&address_filter, key);
}

static __always_inline bool addresses_chosen(__u32 generation, const struct record *r)
{
	bool v6 = r->head.flags & FLAG_IPV6;
	struct address_key key = {.prefixlen = 32 + 128, .scope = generation * 2 + v6};

	if (v6)
		return address_chosen(&key, r->addr.v6.src, true) ||
		       address_chosen(&key, r->addr.v6.dst, true);
	return address_chosen(&key, r->addr.v4.src, false) ||
	       address_chosen(&key, r->addr.v4.dst, false);
}

static __always_inline void fill_identity(struct identity *id, __u32 generation,
					  const struct record_head *h)
{
	id->generation = generation;
	id->seq = h->seq;
	id->id = h->payload_len < TELLING_PAYLOAD ? h->id : 0;
	__builtin_memcpy(id->payload, h->payload, sizeof(id->payload));
}

static __noinline bool admit_filtered(const struct record *r, const struct net_device *dev,
				      __u8 state)
{
	__u32 generation = state / (FILTER_ANY + 1);
	struct identity id;
	__u8 yes = 1;
	bool known;

	if ((state & FILTER_NETNS) && !netns_chosen(generation, r->head.netns))
		return false;
	if (!(state & (FILTER_INTERFACE | FILTER_ADDRESS)))
		return true;
	fill_identity(&id, generation, &r->head);
	known = bpf_map_lookup_elem(&admitted, &id);
	if (state & FILTER_INTERFACE) {
		if (dev ? !interface_chosen(generation, dev) : !known)
			return false;
	}
	if (known)
		return true;
	if ((state & FILTER_ADDRESS) && !addresses_chosen(generation, r))
		return false;
	bpf_map_update_elem(&admitted, &id, &yes, 0);
	return true;
}

static __always_inline bool admit(const struct record *r, const struct net_device *dev)
{
	__u8 state = filter_state;

	return !(state & FILTER_ANY) || admit_filtered(r, dev, state);
}

#endif
