// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* What the kernel knows of a packet's device and socket. */
#ifndef DWELL_DEVICE_H
#define DWELL_DEVICE_H

#include "cast.h"
#include "maps.h"

/* A bit of net_device.priv_flags. Nothing promises that it stays where it is, so the
 * running kernel's types are asked, where they have the enumeration.
 */
#define PRIV_FLAG(flag)                                                                    \
	(!bpf_core_type_exists(enum netdev_priv_flags)                     ? (__u64)(flag) \
	 : bpf_core_enum_value_exists(enum netdev_priv_flags, flag)                        \
		 ? (__u64)(__u32)bpf_core_enum_value(enum netdev_priv_flags, flag)         \
		 : 0)

static __always_inline __u16 device_flags(struct net_device *dev)
{
	__u64 priv = BPF_CORE_READ_BITFIELD(dev, priv_flags);
	__u16 flags = 0;

	if (priv & (PRIV_FLAG(IFF_EBRIDGE) | PRIV_FLAG(IFF_OPENVSWITCH)))
		flags |= FLAG_BRIDGE;
	if (priv & (PRIV_FLAG(IFF_BRIDGE_PORT) | PRIV_FLAG(IFF_OVS_DATAPATH)))
		flags |= FLAG_BRIDGE_PORT;
	if (dev->flags & IFF_LOOPBACK)
		flags |= FLAG_LOOPBACK;
	return flags;
}

/* A socket with which a program sends and takes frames: those of AF_XDP count as well. */
static __always_inline bool is_packet_socket(struct sock *sk)
{
	__u16 family;

	if (!sk)
		return false;
	family = sk->__sk_common.skc_family;
	return family == AF_PACKET || family == AF_XDP;
}

static __always_inline bool is_inbound(enum hook hook)
{
	return hook == HOOK_NETIF_RX || hook == HOOK_NAPI_GRO_RECEIVE_ENTRY ||
	       hook == HOOK_NETIF_RECEIVE_SKB;
}

/* Fills in where the packet is. Away from any device, the socket knows the
 * namespace and the packet the interface that it came in through. A net that the
 * hook knows comes before either.
 */
static __always_inline void fill_place(struct record_head *h, struct sk_buff *skb,
				       struct net_device *dev, struct net *net)
{
	int iif = skb->skb_iif;

	if (iif)
		h->flags |= FLAG_RECEIVED;
	if (dev) {
		h->netns = (net ? net : dev->nd_net.net)->ns.inum;
		h->ifindex = dev->ifindex;
		h->flags |= device_flags(dev);
	} else {
		struct sock *sk = skb->sk;

		h->netns = sk ? sk->__sk_common.skc_net.net->ns.inum : 0;
		h->ifindex = iif;
	}
}

/* Fills in to whom the frame is addressed, where that is known, and whether a packet
 * socket made or takes it. A packet that came in has that of who took it, if anybody.
 */
static __always_inline void fill_parties(struct record_head *h, struct sk_buff *skb, enum hook hook)
{
	if (is_inbound(hook) || hook == HOOK_KFREE_SKB) {
		if (BPF_CORE_READ_BITFIELD(skb, pkt_type) == PACKET_OTHERHOST)
			h->flags |= FLAG_OTHER_HOST;
	} else if (hook == HOOK_SKB_COPY_DATAGRAM_IOVEC ||
		   ((hook == HOOK_NET_DEV_QUEUE || hook == HOOK_NET_DEV_START_XMIT) &&
		    !(h->flags & FLAG_RECEIVED))) {
		if (is_packet_socket(skb->sk))
			h->flags |= FLAG_PACKET_SOCKET;
	}
}

/* The names of pairs as they are in memory, the first letter lowest. */
#define KIND_VETH 0x68746576ULL		/* "veth" */
#define KIND_NETKIT 0x74696b74656eULL	/* "netkit" */

/* Finds out by its name whether a kind of device is that of a pair, and remembers it. */
static __noinline bool learn_pair(const struct rtnl_link_ops *ops)
{
	__u64 kind = 0;
	__u32 next;

	if (bpf_probe_read_kernel_str(&kind, sizeof(kind), ops->kind) < 0)
		return false;
	if (kind == KIND_VETH) {
		link_kinds.veth = (__u64)ops;
	} else if (kind == KIND_NETKIT) {
		link_kinds.netkit = (__u64)ops;
	} else {
		next = link_kinds.next % OTHER_KINDS;
		link_kinds.others[next] = (__u64)ops;
		link_kinds.next = next + 1;
	}
	return kind == KIND_VETH || kind == KIND_NETKIT;
}

/* Whether the device is one end of a pair. A physical device has no link operations, and
 * is dismissed after one load. The verifier lets an address be compared, not hashed.
 */
static __always_inline bool is_paired(struct net_device *dev)
{
	const struct rtnl_link_ops *ops = dev->rtnl_link_ops;

	if (!ops)
		return false;
	if ((__u64)ops == link_kinds.veth || (__u64)ops == link_kinds.netkit)
		return true;
#pragma unroll
	for (int i = 0; i < OTHER_KINDS; i++) {
		if ((__u64)ops == link_kinds.others[i])
			return false;
	}
	return learn_pair(ops);
}

/* A device's private data has its own member, or begins behind the device, at the next
 * multiple of NETDEV_ALIGN (before 6.11).
 */
struct net_device___priv {
	int ifindex;
	__u8 priv[];
} __attribute__((preserve_access_index));

enum { NETDEV_ALIGN = 32 };

static __always_inline void *netdev_priv(struct net_device *dev)
{
	struct net_device___priv *since = (void *)dev;
	__u64 offset = (bpf_core_type_size(struct net_device) + NETDEV_ALIGN - 1) / NETDEV_ALIGN *
		       NETDEV_ALIGN;

	if (bpf_core_field_exists(since->priv))
		offset = bpf_core_field_offset(since->priv);
	return (__u8 *)dev + offset;
}

/* Fills in the other end of a pair. Both struct veth_priv and struct netkit begin with a
 * pointer to it, which is NULL while the pair is being made or removed.
 */
static __always_inline void fill_peer(struct record *r, struct net_device *dev)
{
	struct net_device *peer;

	if (!is_paired(dev))
		return;
	if (bpf_rdonly_cast) {
		peer = (void *)LOAD(__u64, netdev_priv(dev));
		if (!peer)
			return;
		peer = CAST(struct net_device, peer);
		r->peer.ifindex = peer->ifindex;
		r->peer.netns = peer->nd_net.net->ns.inum;
	} else {
		if (bpf_probe_read_kernel(&peer, sizeof(peer), netdev_priv(dev)) || !peer)
			return;
		r->peer.ifindex = BPF_CORE_READ(peer, ifindex);
		r->peer.netns = BPF_CORE_READ(peer, nd_net.net, ns.inum);
	}
	r->head.flags |= FLAG_PAIRED;
	r->head.parts |= PART_PEER;
}

#endif
