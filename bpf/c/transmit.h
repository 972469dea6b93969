// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* The way out: net_dev_queue, net_dev_start_xmit, net_dev_xmit.
 *
 * At net_dev_xmit the driver has given the packet away and the sk_buff may be
 * freed, so nothing of it is read there. The record is the one made at
 * net_dev_start_xmit, found on a stack: both fire in the same call on the same
 * CPU, with other devices' in between where a tunnel hands the packet down.
 */
#include "emit.h"

static __always_inline struct xmit_stack *this_cpu_xmits(void)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&xmit_stacks, &key);
}

static __always_inline void push_xmit(struct sk_buff *skb, struct net_device *dev, __u64 begin)
{
	struct xmit_stack *stack = this_cpu_xmits();
	struct counters *c;
	__u32 depth;

	if (!stack)
		return;
	depth = stack->depth;
	if (depth >= XMIT_DEPTH) {
		c = this_cpu_counters();
		if (c)
			__sync_fetch_and_add(&c->xmit_overflow, 1);
		depth = 0;
	}
	stack->frames[depth].skb = (__u64)skb;
	stack->frames[depth].dev = (__u64)dev;
	stack->frames[depth].begin = begin;
	stack->depth = depth + 1;
}

/* Takes the frame of this call off the stack, with all above it: those were
 * left behind by a net_dev_xmit that was not seen. An uninteresting packet has
 * no frame and leaves the stack alone.
 */
static __always_inline struct xmit_frame *pop_xmit(struct xmit_stack *stack, __u64 skb, __u64 dev)
{
	__u32 depth = stack->depth;
	struct counters *c;

	for (__u32 n = XMIT_DEPTH; n > 0; n--) {
		struct xmit_frame *f = &stack->frames[n - 1];

		if (n > depth || f->skb != skb || f->dev != dev)
			continue;
		stack->depth = n - 1;
		if (depth > n) {
			c = this_cpu_counters();
			if (c)
				__sync_fetch_and_add(&c->xmit_mismatch, depth - n);
		}
		return f;
	}
	return NULL;
}

SEC("tp_btf/net_dev_queue")
int BPF_PROG(net_dev_queue, struct sk_buff *skb)
{
	observe(skb, skb->dev, l3_from_header(skb, skb->dev), HOOK_NET_DEV_QUEUE, 0);
	return 0;
}

SEC("tp_btf/net_dev_start_xmit")
int BPF_PROG(net_dev_start_xmit, struct sk_buff *skb, struct net_device *dev)
{
	struct record r;
	position begin;

	if (!capture(&r, skb, dev, NULL, l3_from_header(skb, dev), HOOK_NET_DEV_START_XMIT, 0))
		return 0;
	begin = emit(&r);
	if (begin)
		push_xmit(skb, dev, begin - 1);
	else
		count_lost(r.head.cpu); /* its end */
	return 0;
}

/* Hands user space the end of a driver call. */
static __always_inline void emit_end(__u64 begin, int rc)
{
	struct ring *ring = ring_of(bpf_get_smp_processor_id());
	struct record_end *end;
	struct room room;

	if (!ring || !reserve(&room, ring, sizeof(*end)))
		return;
	end = room.at;
	end->words = sizeof(*end) / sizeof(word);
	end->parts = 0;
	end->_pad = 0;
	end->hook = HOOK_NET_DEV_XMIT;
	end->code = rc;
	end->begin = begin;
	commit(end, bpf_ktime_get_ns());
}

SEC("tp_btf/net_dev_xmit")
int BPF_PROG(net_dev_xmit, struct sk_buff *skb, int rc, struct net_device *dev)
{
	struct xmit_stack *stack = this_cpu_xmits();
	struct xmit_frame *f;

	if (!stack || !stack->depth)
		return 0;
	f = pop_xmit(stack, (__u64)skb, (__u64)dev);
	if (f)
		emit_end(f->begin, rc);
	return 0;
}
