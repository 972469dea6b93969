// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* For programs of other objects: saying what was done to a packet.
 *
 * Such a program looks for an echo with find_echo, before it changes the packet, and says
 * with emit_action or emit_rewrite_action what it then did. It needs Linux 6.1 and the capabilities that tracing
 * needs. Before this it includes libbpf's headers, as bpf/internal/acting does, which is an
 * example. Its object is loaded with the maps of Tracer.Shared in place of its own.
 */
#ifndef DWELL_ACT_H
#define DWELL_ACT_H

#include "cast.h"
#include "gate.h"
#include "parse.h"

struct __sk_buff; /* a TC program's context, which is the packet's sk_buff */

/* A field of an sk_buff or of what it points to. */
#define OF_SKB(ctx, fields...)                                                              \
	(bpf_rdonly_cast ? CAST(struct sk_buff, ctx)->fields                                \
			 : BPF_CORE_READ((struct sk_buff *)(ctx), fields))

/* Fills in what the packet says and where it is. Returns false if it is not an echo, nor
 * has one inside, and for a fragment but the first.
 */
static __always_inline bool find_echo(struct record *r, struct __sk_buff *ctx)
{
	__u32 offset = OF_SKB(ctx, network_header), tail = OF_SKB(ctx, tail);
	struct l3 l3 = {
		.start = (const __u8 *)OF_SKB(ctx, head) + offset,
		.len = tail > offset ? tail - offset : 0,
		.proto = OF_SKB(ctx, protocol),
	};
	struct net_device *dev;

	if (!parse_echo(r, NULL, l3) || (r->head.flags & FLAG_LATER_FRAGMENT))
		return false;
	if (bpf_rdonly_cast) {
		dev = CAST(struct sk_buff, ctx)->dev;
		r->head.netns = dev->nd_net.net->ns.inum;
		r->head.ifindex = dev->ifindex;
	} else {
		dev = BPF_CORE_READ((struct sk_buff *)ctx, dev);
		r->head.netns = BPF_CORE_READ(dev, nd_net.net, ns.inum);
		r->head.ifindex = BPF_CORE_READ(dev, ifindex);
	}
	if (OF_SKB(ctx, skb_iif))
		r->head.flags |= FLAG_RECEIVED;
	r->head.skb = (__u64)ctx;
	return true;
}

/* Whether the packet's gate lets an action be recorded; then the record lacks the action. */
static __always_inline bool begin_action(struct record *r)
{
	struct gate *gate = gate_of(&r->head);

	if (!gate || !passes(gate, &r->head, HOOK_ACTED))
		return false;
	gate->passed++;
	r->head.time = bpf_ktime_get_ns();
	r->head.hook = HOOK_ACTED;
	r->head.code = 0;
	r->head.cpu = bpf_get_smp_processor_id();
	r->head.parts |= PART_ACTION;
	r->peer = (struct peer){};
	return true;
}

/* Says that the action was done to the packet just now, unless the ping's gate is closed. */
static __always_inline void emit_action(struct record *r, const struct action *action)
{
	if (!begin_action(r))
		return;
	r->action = *action;
	emit_wide(r);
}

/* Says so of a packet that was changed and is sent to another device. r->rewritten has what it
 * is like now, with all of its padding 0. find_echo(&r->record) was before the change.
 */
static __always_inline void emit_rewrite_action(struct rewrite_record *r,
						const struct action *action)
{
	if (!begin_action(&r->record))
		return;
	r->record.head.parts |= PART_REWRITE;
	r->record.action = *action;
	write_record(&r->record, &r->rewritten, true);
}

#endif
