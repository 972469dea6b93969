// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* The maps and variables that the programs share with user space, besides the ring. */
#ifndef DWELL_MAPS_H
#define DWELL_MAPS_H

#include "ring.h"

/* Set at any time. */

enum filter_flag {
	FILTER_NETNS = 1 << 0,
	FILTER_INTERFACE = 1 << 1,
	FILTER_ADDRESS = 1 << 2,
	FILTER_ANY = FILTER_NETNS | FILTER_INTERFACE | FILTER_ADDRESS,
};

/* Which filters apply, and in the bits above FILTER_ANY the generation of their
 * keys. User space adds the keys of the next generation, stores this byte, then
 * removes the old keys: a program sees either all of the old filter or all of
 * the new one. A byte, because nothing can tear it.
 */
volatile __u8 filter_state = 0;

/* Set while the tracepoint programs are attached: what is seen at a netfilter hook
 * before or after is of packets of which nothing else is known.
 */
volatile __u8 attached = 0;

/* A driver call in progress: tunnels nest them. */
enum { XMIT_DEPTH = 8 };

struct xmit_frame {
	__u64 skb;
	__u64 dev;
	__u64 begin; /* position of its record */
};

struct xmit_stack {
	__u32 depth;
	__u32 _pad;
	struct xmit_frame frames[XMIT_DEPTH];
};

/* key: 0. value: the driver calls that this CPU is in. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct xmit_stack);
} xmit_stacks SEC(".maps");

/* Kinds of virtual device, by the addresses of their link operations: those of pairs, and
 * the last few others, so that a name is not read for each packet. Learnt from the first
 * packet of each kind and forgotten by Attach, because an address may be another kind's once
 * its module was unloaded.
 */
enum { OTHER_KINDS = 8 };

struct link_kinds {
	__u64 veth;
	__u64 netkit;
	__u64 others[OTHER_KINDS];
	__u32 next; /* index in others */
	__u32 _pad;
};

volatile struct link_kinds link_kinds = {};

struct netns_key {
	__u32 generation;
	__u32 inode;
};

/* key: a network namespace to record in. value: unused. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 8192);
	__type(key, struct netns_key);
	__type(value, __u8);
} netns_filter SEC(".maps");

struct interface_key {
	__u32 generation;
	__u8 name[IFNAMSIZ]; /* padded with zeroes */
};

/* key: an interface to record at, by name in any namespace. value: unused. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 8192);
	__type(key, struct interface_key);
	__type(value, __u8);
} interface_filter SEC(".maps");

struct address_key {
	__u32 prefixlen; /* bits, of scope and address together */
	__u32 scope;	 /* generation * 2, + 1 for IPv6 */
	__u8 addr[16]; /* IPv4-mapped for IPv4 */
};

/* key: a prefix that one of the echo's addresses must be in. value: unused. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 8192);
	__type(key, struct address_key);
	__type(value, __u8);
} address_filter SEC(".maps");

/* What neither NAT nor a router changes, and what request and reply share. */
struct identity {
	__u32 generation;
	__u16 seq;
	__u16 id; /* 0 unless the payload is too short to tell echoes apart */
	__u8 payload[PAYLOAD_PREFIX];
};

/* key: an echo that has passed the filter. value: unused. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct identity);
	__type(value, __u8);
} admitted SEC(".maps");

#endif
