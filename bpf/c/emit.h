// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* From a packet at a hook to a record in the ring. */
#ifndef DWELL_EMIT_H
#define DWELL_EMIT_H

#include "device.h"
#include "encrypt.h"
#include "filter.h"
#include "foreign.h"
#include "fragment.h"
#include "gate.h"
#include "leftout.h"
#include "parse.h"

/* Fills in what is known of the packet, if it is an echo. */
static __always_inline bool recognized(struct record *r, struct sk_buff *skb, struct l3 l3,
				       enum hook hook)
{
	switch (first_look(r, &l3)) {
	case NOT_FOR_US:
		return false;
	case BARE:
		return true;
	case WALK:
		break;
	}
	if (!parse_echo(r, skb, l3))
		return recognize(r, (__u64)skb, l3);
	return !is_fragment(&r->head) || follow_fragment(r, hook);
}

/* Fills in the record, or returns false if the packet is not an echo, its
 * gate is closed or the filter does not want it. Until the packet turns out to be an echo,
 * nothing is written; what a gate stops costs neither the clock nor the filter.
 */
static __always_inline bool capture(struct record *r, struct sk_buff *skb, struct net_device *dev,
				     struct net *net, struct l3 l3, enum hook hook, __u32 code)
{
	struct gate *gate;

	if (!recognized(r, skb, l3, hook))
		return false;
	gate = gate_of(&r->head);
	if (!gate)
		return false;
	if (!passes(gate, &r->head, hook)) {
		if (hook == HOOK_KFREE_SKB)
			note_left_out(r, skb, dev, code);
		return false;
	}
	r->head.time = bpf_ktime_get_ns();
	r->head.skb = (__u64)skb;
	r->head.hook = hook;
	r->head.code = code;
	r->head.cpu = bpf_get_smp_processor_id();
	fill_place(&r->head, skb, dev, net);
	if (!admit(r, dev))
		return false;
	gate->passed += events_at(hook);
	fill_parties(&r->head, skb, hook);
	r->peer = (struct peer){};
	if (dev && is_inbound(hook))
		fill_peer(r, dev);
	if (hook == HOOK_NET_DEV_START_XMIT && encrypts(dev))
		note_encrypting(r, (__u64)skb);
	return true;
}

static __always_inline void observe_in(struct net *net, struct sk_buff *skb,
				       struct net_device *dev, struct l3 l3, enum hook hook,
				       __u32 code)
{
	struct record r;

	if (capture(&r, skb, dev, net, l3, hook, code))
		emit(&r);
}

static __always_inline void observe(struct sk_buff *skb, struct net_device *dev, struct l3 l3,
				    enum hook hook, __u32 code)
{
	observe_in(NULL, skb, dev, l3, hook, code);
}

/* From an offset in the packet's buffer to the end of its linear part. */
static __always_inline struct l3 l3_from(const struct sk_buff *skb, __u32 offset, __be16 proto)
{
	__u32 tail = skb->tail;

	return (struct l3){
		.start = skb->head + offset,
		.len = offset && tail > offset ? tail - offset : 0,
		.proto = proto,
	};
}

/* The network header where the stack has set it: on transmit and after. Where that is not
 * IP's, it may be in front of a tag or behind it; then the packet begins at its Ethernet
 * header, if the device has them.
 */
static __always_inline struct l3 l3_from_header(const struct sk_buff *skb, struct net_device *dev)
{
	__be16 proto = skb->protocol;
	__u16 mac = skb->mac_header;

	if (!is_ip(proto) && dev && dev->type == ARPHRD_ETHER && mac != MAC_HEADER_UNSET)
		return l3_from(skb, mac, may_carry_ip(proto) ? bpf_htons(ETH_P_TEB) : proto);
	return l3_from(skb, skb->network_header, proto);
}

/* The network header on arrival: where data begins. */
static __always_inline struct l3 l3_from_data(const struct sk_buff *skb)
{
	return l3_from(skb, skb->data - skb->head, skb->protocol);
}

#endif
