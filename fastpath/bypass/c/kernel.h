// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* The kernel's types that only the fast path needs, besides those of bpf/c/kernel.h. */
#ifndef DWELL_BYPASS_KERNEL_H
#define DWELL_BYPASS_KERNEL_H

#include "../../../bpf/c/kernel.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
/* Declared there without a type. */
struct __sk_buff;
struct bpf_redir_neigh;
#include <bpf/bpf_helpers.h>

#include "../../../bpf/c/cast.h"

/* include/uapi/linux/bpf.h */
enum {
	MAP_TYPE_PROG_ARRAY = 3,
	ADJ_ROOM_MAC = 1,
	F_ADJ_FIXED_GSO = 1 << 0,
	F_ADJ_ENCAP_L3_IPV4 = 1 << 1,
	F_ADJ_ENCAP_L4_UDP = 1 << 4,
	F_ADJ_ENCAP_L2_ETH = 1 << 6,
	F_ADJ_DECAP_L3_IPV4 = 1 << 7,
	F_ADJ_DECAP_L3_IPV6 = 1 << 8,
	F_ADJ_ENCAP_L2_SHIFT = 56,
	TC_NEXT = -1, /* TCX_NEXT */
	TC_DROP = 2,
	TC_REDIRECT = 7,
};

enum {
	ETH_HLEN = 14,
	ETH_ALEN = 6,
	IPV4_HLEN = 20,
	IPV6_HLEN = 40,
	IP_FRAGMENT = 0x3fff, /* the offset and "more fragments" */
	ICMP_ECHO_REPLY = 0,
	ICMP_ECHO_REQUEST = 8,
	ICMPV6_ECHO_REQUEST = 128,
	ICMPV6_ECHO_REPLY = 129,
	EBUSY = 16,
	ENOENT = 2,
	ESTALE = 116,
	EAGAIN = 11,
};

/* include/linux/skbuff.h */
enum {
	CHECKSUM_NONE,
	CHECKSUM_UNNECESSARY,
	CHECKSUM_COMPLETE,
	CHECKSUM_PARTIAL,
	GSO_TCPV4 = 1 << 0,
	GSO_DODGY = 1 << 1,
	GSO_TCP_ECN = 1 << 2,
	GSO_TCP_FIXEDID = 1 << 3,
	GSO_TCPV6 = 1 << 4,
	GSO_UDP_TUNNEL = 1 << 10,
	GSO_UDP_L4 = 1 << 17,
};

/* include/net/netfilter/nf_conntrack.h, linux/netfilter/nf_conntrack_common.h, nf_conntrack_tcp.h */
enum {
	CT_INFO_MASK = 7,
	CT_INFO_ESTABLISHED = 0,
	CT_INFO_NEW = 2,
	CT_INFO_REPLY = 3, /* IP_CT_ESTABLISHED_REPLY */
	CT_EXPECTED = 1 << 0,
	CT_SEEN_REPLY = 1 << 1,
	CT_CONFIRMED = 1 << 3,
	CT_SEQ_ADJUST = 1 << 6,
	CT_DYING = 1 << 9,
	CT_TEMPLATE = 1 << 11,
	CT_HELPER = 1 << 13,
	CT_OFFLOAD = 1 << 14,
	CT_TCP_ESTABLISHED = 3,
	CT_TCP_BE_LIBERAL = 1 << 3,
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
	__u32 napi_id;
	__u32 _addresses[12];
	__u32 data_meta;
	__u64 _flow_keys;
	__u64 tstamp;
	__u32 wire_len;
	__u32 gso_segs;
	__u64 _sk;
	__u32 gso_size;
};
_Static_assert(__builtin_offsetof(struct __sk_buff, gso_size) == 176, "as the kernel has it");

struct bpf_redir_neigh {
	__u32 nh_family;
	__be32 nh[4];
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct sk_buff___more {
	unsigned long _nfct; /* address of struct nf_conn and, below, enum ip_conntrack_info */
	unsigned long _skb_refdst;
	unsigned char ip_summed; /* a bit-field */
	unsigned int end;
	unsigned char *head;
	__wsum csum;
	__u8 active_extensions; /* with CONFIG_SKB_EXTENSIONS */
};

enum skb_ext_id___any {
	SKB_EXT_SEC_PATH___any = 1, /* with CONFIG_XFRM */
};

struct sk_buff_head {
	__u32 qlen;
};

struct softnet_data {
	struct sk_buff_head process_queue;
	struct sk_buff_head input_pkt_queue;
};

struct skb_shared_info {
	unsigned int gso_type;
};

struct netns_ipv4 {
	atomic_t rt_genid;
};

struct netns_ipv6 {
	atomic_t fib6_sernum;
};

struct net___routes {
	struct netns_ipv4 ipv4;
	struct netns_ipv6 ipv6;
};

struct rtable {
	__u8 rt_gw_family;
	__be32 rt_gw4;
	struct {
		union {
			__be32 u6_addr32[4];
		} in6_u;
	} rt_gw6;
};

struct rt6key {
	struct {
		union {
			__be32 u6_addr32[4];
		} in6_u;
	} addr;
};

struct rt6_info {
	struct rt6key rt6i_dst;
	struct {
		union {
			__be32 u6_addr32[4];
		} in6_u;
	} rt6i_gateway;
	__u32 rt6i_flags;
};

struct dst_entry {
	struct net_device *dev;
};

#pragma clang attribute pop

/* include/uapi/linux/ipv6_route.h, route.h, include/linux/skbuff.h */
enum {
	RTF_GATEWAY = 0x0002,
	RTF_CACHE = 0x01000000,
};
#define DST_PTRMASK (~1UL)

/* Addresses from the kernel's list of symbols, NULL if it does not tell. softnet_data, which has what waits for each
 * CPU (net/core/dev.c), is as far from a CPU's own as __per_cpu_offset says.
 */
extern void softnet_data __ksym __weak;
extern void __per_cpu_offset __ksym __weak;

#define SKB(ctx) CAST(struct sk_buff___more, ctx)

/* Changes with the routes of the packet's namespace, its rules of routing and its addresses:
 * include/net/net_namespace.h:rt_genid_ipv4, net/ipv6/ip6_fib.c:fib6_new_sernum.
 */
struct generations {
	__u32 v4;
	__u32 v6;
};

static __always_inline struct generations generations_now(struct __sk_buff *ctx)
{
	struct net___routes *net = CAST(struct net___routes, CAST(struct sk_buff, ctx)->dev->nd_net.net);

	return (struct generations){net->ipv4.rt_genid.counter, net->ipv6.fib6_sernum.counter};
}

/* Whether it came out of IPsec (include/net/xfrm.h:skb_sec_path): policies look at that. */
static __always_inline bool was_encrypted(struct __sk_buff *ctx)
{
	if (!bpf_core_field_exists(struct sk_buff___more, active_extensions) ||
	    !bpf_core_enum_value_exists(enum skb_ext_id___any, SKB_EXT_SEC_PATH___any))
		return false;
	return SKB(ctx)->active_extensions & 1 << bpf_core_enum_value(enum skb_ext_id___any, SKB_EXT_SEC_PATH___any);
}

static __always_inline __u32 summed(struct __sk_buff *ctx)
{
	return BPF_CORE_READ_BITFIELD(SKB(ctx), ip_summed);
}

#endif
