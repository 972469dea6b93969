// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* Where a packet's way ends: kfree_skb, skb_copy_datagram_iovec. */
#include "emit.h"

/* A drop. It can hit any sk_buff, also one that never was an IP packet. Newer
 * kernels pass a socket as fourth argument; it is not read.
 */
SEC("tp_btf/kfree_skb")
int BPF_PROG(kfree_skb, struct sk_buff *skb, void *location, __u32 reason)
{
	__be16 proto = skb->protocol;

	if (!is_ip(proto) && !may_carry_ip(proto))
		return 0;
	observe(skb, skb->dev,
		skb->network_header ? l3_from_header(skb, skb->dev) : l3_from_data(skb),
		HOOK_KFREE_SKB, reason);
	return 0;
}

/* A process takes a packet from its socket. Only ICMP sockets, raw or datagram, and packet
 * sockets, which take copies of frames (tcpdump) or are a switch: TCP must not pay for
 * parsing. The packet has left its device; one that has not is read from a macvtap, by a
 * virtual machine, and skb->sk is that of its sender. It is not seen if the process has mapped the
 * socket's ring into its memory (PACKET_RX_RING).
 */
SEC("tp_btf/skb_copy_datagram_iovec")
int BPF_PROG(skb_copy_datagram_iovec, struct sk_buff *skb)
{
	struct sock *sk = skb->sk;
	__u16 family, proto;

	if (!sk || skb->dev)
		return 0;
	family = sk->__sk_common.skc_family;
	proto = sk->sk_protocol;
	if (family != AF_PACKET && (family != AF_INET || proto != IPPROTO_ICMP) &&
	    (family != AF_INET6 || proto != IPPROTO_ICMPV6))
		return 0;
	observe(skb, NULL, l3_from_header(skb, NULL), HOOK_SKB_COPY_DATAGRAM_IOVEC, 0);
	return 0;
}
