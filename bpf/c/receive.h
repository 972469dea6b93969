// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* The way in: netif_rx, napi_gro_receive_entry, netif_receive_skb.
 *
 * The network header may not be set yet; the packet's data begins with it.
 */
#include "emit.h"

SEC("tp_btf/netif_rx")
int BPF_PROG(netif_rx, struct sk_buff *skb)
{
	observe(skb, skb->dev, l3_from_data(skb), HOOK_NETIF_RX, 0);
	return 0;
}

SEC("tp_btf/napi_gro_receive_entry")
int BPF_PROG(napi_gro_receive_entry, struct sk_buff *skb)
{
	observe(skb, skb->dev, l3_from_data(skb), HOOK_NAPI_GRO_RECEIVE_ENTRY, 0);
	return 0;
}

SEC("tp_btf/netif_receive_skb")
int BPF_PROG(netif_receive_skb, struct sk_buff *skb)
{
	observe(skb, skb->dev, l3_from_data(skb), HOOK_NETIF_RECEIVE_SKB, 0);
	return 0;
}
