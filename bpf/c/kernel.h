// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* The kernel's types, trimmed to the fields that dwell reads.
 *
 * Offsets come from the running kernel's BTF when the programs are loaded
 * (CO-RE), so only names and kinds matter here, not order or size.
 */
#ifndef DWELL_KERNEL_H
#define DWELL_KERNEL_H

typedef unsigned char __u8;
typedef signed char __s8;
typedef unsigned short __u16;
typedef signed short __s16;
typedef unsigned int __u32;
typedef signed int __s32;
typedef unsigned long long __u64;
typedef signed long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u64 __be64;
typedef __u32 __wsum;
typedef _Bool bool;

#define true 1
#define false 0
#define NULL ((void *)0)

/* include/uapi/linux/bpf.h */
enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_HASH = 5,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_LPM_TRIE = 11,
	BPF_MAP_TYPE_RINGBUF = 27,
};

enum {
	BPF_ANY = 0,
	BPF_NOEXIST = 1,
	BPF_F_NO_PREALLOC = 1,
	BPF_F_MMAPABLE = 1U << 10,
	BPF_RB_NO_WAKEUP = 1,
	BPF_RB_FORCE_WAKEUP = 2,
	BPF_RB_AVAIL_DATA = 0,
};

/* include/uapi/linux/if_ether.h, in.h, in6.h, if.h, socket.h */
enum {
	ETH_P_802_3_MIN = 0x0600,
	ETH_P_IP = 0x0800,
	ETH_P_TEB = 0x6558,
	ETH_P_8021Q = 0x8100,
	ETH_P_ERSPAN2 = 0x22eb,
	ETH_P_IPV6 = 0x86dd,
	ETH_P_MPLS_UC = 0x8847,
	ETH_P_MPLS_MC = 0x8848,
	ETH_P_PPP_SES = 0x8864,
	ETH_P_8021AD = 0x88a8,
	ETH_P_ERSPAN = 0x88be,
	ETH_P_LOOPBACK = 0x9000,
	ETH_P_QINQ1 = 0x9100,
	ARPHRD_ETHER = 1,
	ARPHRD_NONE = 0xfffe,
	IPPROTO_HOPOPTS = 0,
	IPPROTO_ICMP = 1,
	IPPROTO_IPIP = 4,
	IPPROTO_TCP = 6,
	IPPROTO_UDP = 17,
	IPPROTO_IPV6 = 41,
	IPPROTO_ROUTING = 43,
	IPPROTO_FRAGMENT = 44,
	IPPROTO_GRE = 47,
	IPPROTO_ESP = 50,
	IPPROTO_AH = 51,
	IPPROTO_ICMPV6 = 58,
	IPPROTO_DSTOPTS = 60,
	IPPROTO_MPLS = 137,
	IPPROTO_ETHERNET = 143,
	IFF_LOOPBACK = 1 << 3,
	AF_INET = 2,
	AF_INET6 = 10,
	AF_PACKET = 17,
	AF_XDP = 44,
	IFNAMSIZ = 16,
};

/* include/linux/skbuff.h */
enum { MAC_HEADER_UNSET = 0xffff };

/* include/uapi/linux/netfilter.h */
enum { NF_ACCEPT = 1 };

enum nf_inet_hooks {
	NF_INET_PRE_ROUTING,
	NF_INET_LOCAL_IN,
	NF_INET_FORWARD,
	NF_INET_LOCAL_OUT,
	NF_INET_POST_ROUTING,
	NF_INET_NUMHOOKS,
};

/* include/linux/netdevice.h */
enum netdev_priv_flags {
	IFF_EBRIDGE = 1 << 1,
	IFF_BRIDGE_PORT = 1 << 9,
	IFF_OVS_DATAPATH = 1 << 10, /* a port of Open vSwitch */
	IFF_OPENVSWITCH = 1 << 20,  /* an internal port of Open vSwitch */
};

/* include/uapi/linux/if_packet.h */
enum { PACKET_OTHERHOST = 3 };

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct ns_common {
	unsigned int inum;
};

/* include/linux/netfilter.h: what is called at a hook, and behind the array that many
 * pointers to where it came from.
 */
enum nf_hook_ops_type {
	NF_HOOK_OP_BPF = 2, /* Linux 6.4 */
};

struct nf_hook_ops {
	enum nf_hook_ops_type hook_ops_type : 8;
};

struct nf_hook_entry {
	void *hook;
	void *priv;
};

struct nf_hook_entries {
	__u16 num_hook_entries;
	struct nf_hook_entry hooks[];
};

struct netns_nf {
	struct nf_hook_entries *hooks_ipv4[NF_INET_NUMHOOKS];
	struct nf_hook_entries *hooks_ipv6[NF_INET_NUMHOOKS];
};

struct net {
	struct ns_common ns;
	struct netns_nf nf;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct rtnl_link_ops {
	const char *kind; /* of virtual device: "veth" */
};

struct net_device {
	/* A plain unsigned int before 6.10, a bit-field after. */
	unsigned int priv_flags;
	unsigned int flags;
	unsigned short type; /* ARPHRD_ETHER and others */
	int ifindex;
	possible_net_t nd_net;
	char name[IFNAMSIZ];
	const struct rtnl_link_ops *rtnl_link_ops; /* NULL for a physical device */
};

struct sock_common {
	unsigned short skc_family;
	possible_net_t skc_net;
};

struct sock {
	struct sock_common __sk_common;
	__u16 sk_protocol;
};

struct sk_buff {
	struct net_device *dev;
	struct sock *sk;
	int skb_iif;
	unsigned char pkt_type; /* a bit-field */
	__be16 protocol;
	__u16 network_header;
	__u16 mac_header; /* MAC_HEADER_UNSET if there is none */
	/* An offset from head on 64-bit kernels, as is every header offset. */
	unsigned int tail;
	unsigned char *head;
	unsigned char *data;
};

struct in6_addr {
	__u8 bytes[16];
};

struct nf_hook_state {
	__u8 hook;
	struct net_device *in;
	struct net_device *out;
	struct net *net;
};

typedef struct {
	int counter;
} atomic_t;

typedef struct refcount_struct {
	atomic_t refs;
} refcount_t;

struct nsproxy {
	struct net *net_ns;
};

struct task_struct {
	struct nsproxy *nsproxy;
};

/* Linux 6.4, CONFIG_NETFILTER_BPF_LINK */
struct bpf_nf_ctx {
	const struct nf_hook_state *state;
	struct sk_buff *skb;
};

#pragma clang attribute pop

#endif
