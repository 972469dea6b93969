// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* The kernel's types that only the firewall needs, besides those of bpf/c/kernel.h. */
#ifndef DWELL_DATAPATH_KERNEL_H
#define DWELL_DATAPATH_KERNEL_H

#include "../../../bpf/c/kernel.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
/* Declared there without a type. */
struct __sk_buff;
struct bpf_fib_lookup;
#include <bpf/bpf_helpers.h>

#include "../../../bpf/c/cast.h"

/* include/uapi/linux/bpf.h */
enum {
	MAP_TYPE_PROG_ARRAY = 3,
	MAP_TYPE_PERCPU_HASH = 5,
	MAP_TYPE_ARRAY_OF_MAPS = 12,
	MAP_F_INNER_MAP = 1U << 12,
	HDR_START_NET = 1,
	F_CURRENT_NETNS = -1,
	FIB_LOOKUP_MARK = 1U << 5, /* Linux 6.10 */
	FIB_LKUP_RET_SUCCESS = 0,
	FIB_LKUP_RET_NO_NEIGH = 7,
	TC_NEXT = -1, /* TC_ACT_UNSPEC and TCX_NEXT */
	TC_DROP = 2,  /* TC_ACT_SHOT and TCX_DROP */
};

enum {
	ETH_HLEN = 14,
	ETH_ALEN = 6,
	IPV4_HLEN = 20,
	IPV6_HLEN = 40,
	IP_FRAGMENT = 0x3fff, /* the offset and "more fragments" */
	PROTO_DCCP = 33,
	PROTO_AH = 51,
	PROTO_NONE = 59,
	PROTO_SCTP = 132,
	PROTO_UDPLITE = 136,
	ICMP_ECHO_REQUEST = 8,
	ICMPV6_ECHO_REQUEST = 128,
	ENOENT = 2,
};

/* include/net/netfilter/nf_conntrack.h, linux/netfilter/nf_conntrack_common.h */
enum {
	CT_INFO_MASK = 7,
	CT_INFO_REPLY = 3, /* IP_CT_IS_REPLY */
	CT_INFO_UNTRACKED = 7,
	CT_STATUS_SNAT = 1 << 4, /* IPS_SRC_NAT */
	CT_STATUS_DNAT = 1 << 5, /* IPS_DST_NAT */
};

/* A program's view of a packet: the verifier knows the offsets. */
struct __sk_buff {
	__u32 len;
	__u32 pkt_type;
	__u32 mark;
	__u32 queue_mapping;
	__u32 protocol;
	__u32 vlan_present;
	__u32 vlan_tci;
	__u32 vlan_proto;
	__u32 priority;
	__u32 ingress_ifindex;
	__u32 ifindex;
	__u32 tc_index;
	__u32 cb[5];
	__u32 hash;
	__u32 tc_classid;
	__u32 data; /* at TC, the linear part from the Ethernet header on */
	__u32 data_end;
};

struct bpf_fib_lookup {
	__u8 family;
	__u8 l4_protocol;
	__be16 sport;
	__be16 dport;
	__u16 tot_len;
	__u32 ifindex; /* the device of input, then that of output */
	union {
		__u8 tos;
		__be32 flowinfo;
	};
	__be32 src[4];
	__be32 dst[4];
	__u32 vlan;
	__u32 mark; /* from Linux 6.10 on, in place of addresses that are only output */
	__u32 _macs[2];
};
_Static_assert(sizeof(struct bpf_fib_lookup) == 64, "as the kernel has it");

struct bpf_sock_tuple {
	union {
		struct {
			__be32 src, dst;
			__be16 sport, dport;
		} v4;
		struct {
			__be32 src[4], dst[4];
			__be16 sport, dport;
		} v6;
	};
};

/* struct bpf_ct_opts, which is not stable: 12 bytes until Linux 6.10, then 16. */
struct ct_opts {
	__s32 netns;
	__s32 error;
	__u8 proto;
	__u8 dir;
	__u16 zone;
	__u8 zone_dir;
	__u8 reserved[3];
};
enum { CT_OPTS_OLD = 12, CT_OPTS_ZONE = 16, CT_ZONE_BOTH = 3 };

struct nf_conn {
	unsigned long status;
} __attribute__((preserve_access_index));

/* Linux 5.18, in nf_conntrack, which may be a module that is not there. */
extern struct nf_conn *bpf_skb_ct_lookup(struct __sk_buff *ctx, struct bpf_sock_tuple *tuple,
					 __u32 tuple_size, struct ct_opts *opts,
					 __u32 opts_size) __ksym __weak;
extern void bpf_ct_release(struct nf_conn *ct) __ksym __weak;

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* With CONFIG_NF_CONNTRACK. */
struct sk_buff___tracked {
	unsigned long _nfct; /* address of struct nf_conn and, below, enum ip_conntrack_info */
};

struct bpf_fib_lookup___mark {
	__u32 mark;
};

#pragma clang attribute pop

#endif
