// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* What programs and user space share. Another layout needs another version: see datapath.go. */
#ifndef DWELL_DATAPATH_MAPS_H
#define DWELL_DATAPATH_MAPS_H

#include "kernel.h"

#include "classify.h"

/* Set before the programs are loaded. */
const volatile __u32 tenant = 0;
/* Size of struct bpf_ct_opts, 0 if the kernel does not have it. */
const volatile __u32 ct_opts_size = 0;
/* Offset of status in struct nf_conn, 0 if the kernel does not have it. */
const volatile __u32 nf_conn_status = 0;

/* The values of Reason. */
enum reason {
	DECIDED,
	REASON_VLAN,
	REASON_BRIDGED,
	REASON_HEADER,
	REASON_OPTIONS,
	REASON_FRAGMENT,
	REASON_TTL,
	REASON_TRUNCATED,
	REASON_TRANSPORT,
	REASON_NO_RULES,
	REASON_RULES,
	REASON_LEAVES,
	REASON_FORBIDDEN,
	REASON_PROTOCOL,
	REASON_ICMP_STATE,
	REASON_ICMP_TYPE,
	REASON_ADDRESS,
	REASON_MARK,
	REASON_ROUTE,
	REASON_ZONE,
	REASON_CONNECTION,
	REASONS,
};

/* The values of Kind. */
enum table_kind {
	TABLE_INGRESS4,
	TABLE_INGRESS6,
	TABLE_FORWARD4,
	TABLE_FORWARD6,
	TABLES,
};

enum table_flag {
	TABLE_NO_DROP = 1 << 0,
	TABLE_ICMP_STATE = 1 << 1,
};

/* Element 0 of a table. */
struct table_head {
	__u32 root;
	__u32 nodes;	/* index of the first node */
	__u32 deciders; /* index of the first element of deciders */
	__u32 counts;	/* index of the first element of counts */
	__u32 stride;	/* elements of counts that each CPU has */
	__u32 cpus;
	__u32 leaves;
	__u32 generation;
	__u32 flags;
	__u32 zones; /* how many */
	__u32 marks;
	__u32 _pad[5];
};

enum { MAX_ZONES = 16, MAX_MARKS = 8 };

/* Element 1. */
struct table_premises {
	__u16 zones[MAX_ZONES];
	__u32 marks[MAX_MARKS];
};

/* Elements of deciders are the IDs of rules, by leaf. */
enum { DECIDERS = 16 };

struct leaf_count {
	__u64 packets;
	__u64 bytes;
};

/* Elements of counts are those of leaves, in order, for each CPU apart. */
enum { LEAF_COUNTS = 4 };

struct leaf_counts {
	struct leaf_count of[LEAF_COUNTS];
};

_Static_assert(sizeof(struct table_head) == sizeof(struct element), "one element");
_Static_assert(sizeof(struct table_premises) == sizeof(struct element), "one element");
_Static_assert(sizeof(struct leaf_counts) == sizeof(struct element), "one element");

struct table {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, MAP_F_INNER_MAP);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct element));
};

/* key: enum table_kind. value: head, premises, nodes, deciders, counts. */
struct {
	__uint(type, MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, TABLES);
	__type(key, __u32);
	__array(values, struct table);
} tables SEC(".maps");

struct port {
	__u8 mac[ETH_ALEN]; /* of the device by which its packets are routed */
	__u8 _pad[2];
	__u32 device;
	__u32 _pad2;
};

enum { MAX_PORTS = 1024 };

/* key: index of the port's device. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_PORTS);
	__type(key, __u32);
	__type(value, struct port);
} ports SEC(".maps");

struct port_counts {
	__u64 packets;
	__u64 passed;
	__u64 dropped;
	__u64 measured; /* runs of which ns is the sum */
	__u64 ns;
	__u64 deferred[REASONS];
};

/* key: index of the port's device. */
struct {
	__uint(type, MAP_TYPE_PERCPU_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_PORTS);
	__type(key, __u32);
	__type(value, struct port_counts);
} port_runs SEC(".maps");

/* The programs that record what they do to echoes, in place of those that do not. An array
 * has programs of one type.
 */
enum slot {
	SLOT_INGRESS = 0,
	SLOT_FROM_PASS = 0,
	SLOT_FROM_DROP,
	SLOT_TO_PASS,
	SLOT_TO_DROP,
	SLOTS,
};

struct {
	__uint(type, MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} traced_ingress SEC(".maps");

struct {
	__uint(type, MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, SLOTS);
	__type(key, __u32);
	__type(value, __u32);
} traced_forward SEC(".maps");

#endif
