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

static __always_inline void push_xmit(struct sk_buff *skb, struct net_device *dev,
				      const struct record *r, __u32 size)
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
	stack->frames[depth].size = size;
	stack->frames[depth].record.head = r->head;
	stack->frames[depth].record.addr.v4 = r->addr.v4;
	if (size > sizeof(r->head) + sizeof(r->addr.v4)) /* most are not */
		stack->frames[depth].record = *r;
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
	__u32 size = capture(&r, skb, dev, NULL, l3_from_header(skb, dev),
			     HOOK_NET_DEV_START_XMIT, 0);

	if (size) {
		push_xmit(skb, dev, &r, size);
		emit(&r, size);
	}
	return 0;
}

SEC("tp_btf/net_dev_xmit")
int BPF_PROG(net_dev_xmit, struct sk_buff *skb, int rc, struct net_device *dev)
{
	struct xmit_stack *stack = this_cpu_xmits();
	struct xmit_frame *f;
	__u32 size;

	if (!stack || !stack->depth)
		return 0;
	f = pop_xmit(stack, (__u64)skb, (__u64)dev);
	if (!f)
		return 0;
	f->record.head.time = bpf_ktime_get_ns();
	f->record.head.hook = HOOK_NET_DEV_XMIT;
	f->record.head.code = rc;
	size = f->size;
	if (size <= sizeof(f->record))
		emit(&f->record, size);
	return 0;
}
