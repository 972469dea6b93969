// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* Making entries, and keeping them as long as the kernel does what they say. */
#ifndef DWELL_BYPASS_LEARN_H
#define DWELL_BYPASS_LEARN_H

#include "doubt.h"

static __always_inline __s64 *usage_of(__u32 slot) { return bpf_map_lookup_elem(&usage, &slot); }

/* Makes an entry of what is on the bench, if the tenant may have one more. */
static __always_inline enum reason make(struct bench *b, bool v6)
{
	__u32 slot = b->flow.slot;
	const struct tenant *t = bpf_map_lookup_elem(&tenants, &slot);
	__s64 *used = usage_of(slot);
	long err;

	if (!t || !used || *(volatile __s64 *)used >= t->capacity)
		return REASON_FULL;
	b->made++;
	b->flow.id = (__u64)(bpf_get_smp_processor_id() + 1) << 48 | b->made;
	err = v6 ? bpf_map_update_elem(&flows6, &b->key.v6, &b->flow, BPF_NOEXIST)
		 : bpf_map_update_elem(&flows4, &b->key.v4, &b->flow, BPF_NOEXIST);
	if (err)
		return REASON_FULL;
	__sync_fetch_and_add(used, 1);
	return FAST;
}

/* Asks user space to approve the flow, not more often than 10 times a second. */
static __always_inline void ask(struct bench *b, struct flow *flow, const struct flow *back, __u64 now, bool v6)
{
	struct candidate *c;
	__u64 *unasked_here;

	if (now - flow->asked < hz / 10)
		return;
	flow->asked = now;
	c = bpf_ringbuf_reserve(&candidates, sizeof(*c), 0);
	if (!c) {
		unasked_here = bpf_map_lookup_elem(&unasked, &(__u32){0});
		if (unasked_here)
			(*unasked_here)++;
		return;
	}
	__builtin_memset(c, 0, sizeof(*c));
	c->family = v6 ? AF_INET6 : AF_INET;
	c->id = flow->id;
	c->back_id = back->id;
	if (v6) {
		c->key6 = b->key.v6;
		c->back6 = b->back.v6;
	} else {
		c->key4 = b->key.v4;
		c->back4 = b->back.v4;
	}
	bpf_ringbuf_submit(c, 0);
}

/* Whether the other direction undoes what this one does, and the kernel has shown that, too. */
static __always_inline bool answers(const struct bench *b, const struct flow *flow, const struct flow *back, __u32 agreed, bool v6)
{
	const struct rewrite *w = &back->rewrite;

	if (back->ended || back->agreed < agreed || ((w->flags ^ flow->rewrite.flags) & (FLOW_TRACKED | FLOW_ROUTED)))
		return false;
	if (w->flags & FLOW_TRACKED && (back->conn != flow->conn || !((w->flags ^ flow->rewrite.flags) & FLOW_REPLY)))
		return false;
	return same_address(w->src, v6 ? b->key.v6.dst : &b->key.v4.dst, v6) &&
	       same_address(w->dst, v6 ? b->key.v6.src : &b->key.v4.src, v6) &&
	       w->out == (v6 ? b->key.v6.ifindex : b->key.v4.ifindex);
}

/* A packet was let pass. */
static __always_inline void lengthen(struct flow *flow, const struct shape *s)
{
	__u32 *most = is_cut_later(s) ? &flow->segment : &flow->longest;

	if (*most < s->segment)
		*most = s->segment;
}

/* The entry agrees with what the kernel did while the epochs and routes were those of what is on the bench. */
static __always_inline void renew(struct flow *flow, const struct note *n, const struct flow *is, __u32 lease, __u64 now)
{
	bool fresh = flow->lease > now && flow->route == is->route && flow->epoch == is->epoch;

	if (!fresh)
		flow->longest = flow->segment = 0;
	lengthen(flow, &n->shape);
	flow->route = is->route;
	flow->epoch = is->epoch;
	flow->lease = now + lease;
	flow->used = now;
	__sync_fetch_and_add(&flow->agreed, 1);
}

static __always_inline bool same_rewrite(const struct rewrite *a, const struct rewrite *b)
{
	const __u64 *x = (void *)a, *y = (void *)b;
	__u64 differ = 0;

#pragma unroll
	for (__u32 i = 0; i < sizeof(*a) / sizeof(__u64); i++)
		differ |= x[i] ^ y[i];
	return !differ;
}

static __always_inline bool same_outer(const struct rewrite *a, const struct rewrite *b)
{
	const __u32 *x = (void *)a->outer, *y = (void *)b->outer;
	__u32 differ = 0;

#pragma unroll
	for (__u32 i = 0; i < sizeof(a->outer) / sizeof(*x); i++)
		differ |= x[i] ^ y[i];
	return !differ;
}

/* The kernel has cut the packet into segments on its way, because a device cannot. Of the first is learnt how
 * long they may be.
 */
static __always_inline enum reason learn_segment(const struct note *n, const struct bench *b, struct flow *flow, __u64 now)
{
	if (flow && !flow->ended && flow->lease > now && flow->route == b->flow.route && flow->epoch == b->flow.epoch && b->shape.length == n->shape.segment &&
	    same_rewrite(&b->flow.rewrite, &flow->rewrite))
		lengthen(flow, &n->shape);
	return REASON_OFFLOAD;
}

/* Whether a packet that came in another way than those of the entry says nothing of it: anybody may have sent it. But an
 * entry may have been made of the one that is not like the others, or those may have changed.
 */
static __always_inline bool stands(const struct flow *flow, const struct flow *is, const struct setting *set, __u64 now)
{
	if (flow->agreed < set->agreed && flow->slow > 2 * (__u64)flow->agreed + 1)
		return false;
	/* Others of the flow have a second to renew it. */
	return now < flow->lease + hz && flow->route == is->route && flow->epoch == is->epoch;
}

/* Why a packet came in another way than those of the entry, or FAST. */
static __always_inline enum reason differs_before(const struct rewrite *a, const struct rewrite *b)
{
	if (!same_macs(a->macs_in, b->macs_in))
		return REASON_FRAME;
	if (a->label != b->label || a->tos != b->tos)
		return REASON_CLASS;
	/* A packet with another hash, such as with another IPv6 flow label, has another source port. */
	if (a->flags & b->flags & FLOW_ENCAPSULATED && a->hash != b->hash)
		return REASON_TUNNEL;
	if (a->flags & b->flags & FLOW_DECAPSULATED && !same_outer(a, b))
		return REASON_TUNNEL;
	return FAST;
}

/* Compares with the entry that there is. */
static __always_inline enum reason compare(struct __sk_buff *ctx, const struct note *n, struct bench *b, struct flow *flow,
					   const struct setting *set, __u32 lease, __u64 now, __u32 offset, bool v6)
{
	enum reason reason = differs_before(&b->flow.rewrite, &flow->rewrite);
	struct flow *back;

	if (flow->ended)
		return REASON_ENDED;
	if (reason && stands(flow, &b->flow, set, now))
		return reason;
	if (!same_rewrite(&b->flow.rewrite, &flow->rewrite) || flow->conn != b->flow.conn) {
		flow->ended = REASON_MOVED;
		if (n->foretold && flow->conn == b->flow.conn && b->flow.rewrite.out == flow->rewrite.out)
			return tell_doubt(ctx, n, b, flow, offset);
		return REASON_MOVED;
	}
	renew(flow, n, &b->flow, lease, now);
	if (flow->agreed < set->agreed)
		return FAST;
	if (n->shape.proto == IPPROTO_TCP && flow->conn && mode_of(flow->slot) == MODE_ON && !is_liberal(&b->tcp))
		flow->approval = 0;
	if (flow->approval == set->approval)
		return FAST;
	back_key(&b->back, &flow->rewrite, n->shape.proto, v6);
	back = find_flow(&b->back, v6);
	if (back && answers(b, flow, back, set->agreed, v6))
		ask(b, flow, back, now, v6);
	return FAST;
}

/* What the packet teaches. */
static __always_inline enum reason learn(struct __sk_buff *ctx, const struct note *n, struct bench *b, const struct device *dev,
					 const struct setting *set, __u32 offset, bool v6)
{
	__u64 now = bpf_jiffies64();
	__u32 lease = set->lease;
	struct flow *flow;
	enum reason reason;

	__builtin_memset(&b->front, 0, sizeof(b->front));
	__builtin_memset(&b->shape, 0, sizeof(b->shape));
	if (read_front(ctx, &b->front, &b->shape, offset, v6) && (v6 ? b->front.v6.ip.hops : b->front.v4.ip.ttl) > 1)
		return REASON_DIFFERS;
	reason = derive(ctx, n, b, dev, offset, v6) ?: read_track(n, b, offset ? n->tracked : SKB(ctx)->_nfct, &lease, v6);
	__builtin_memset(&b->key, 0, sizeof(b->key));
	key_of(&b->key, n->ifindex, &n->front, &n->shape, n->vni, v6);
	if (reason)
		return reason;
	b->flow.slot = n->port ? n->slot : dev->slot;
	b->flow.other = n->port && dev->role == DEVICE_PORT ? dev->slot : 0;
	b->flow.route = route_of(&b->flow.rewrite, n->routes, v6);
	if (!epoch_since(n, b->flow.slot, b->flow.other, &b->flow.epoch) ||
	    route_of(&b->flow.rewrite, generations_now(ctx), v6) != b->flow.route)
		return REASON_CHANGED;
	flow = find_flow(&b->key, v6);
	if (is_cut_later(&n->shape) && b->shape.length != n->shape.length)
		return learn_segment(n, b, flow, now);
	if (!foretells(ctx, n, b, &b->flow.rewrite, offset, v6)) {
		if (!flow)
			return REASON_DIFFERS;
		flow->ended = REASON_DIFFERS;
		return n->foretold && flow->conn == b->flow.conn ? tell_doubt(ctx, n, b, flow, offset) : REASON_DIFFERS;
	}
	if (flow)
		return compare(ctx, n, b, flow, set, lease, now, offset, v6);
	b->flow.lease = now + lease;
	b->flow.used = now;
	b->flow.queued = now;
	b->flow.agreed = 1;
	b->flow.slow = 1;
	lengthen(&b->flow, &n->shape);
	reason = make(b, v6);
	return reason ?: REASONS; /* one was made */
}

static __always_inline void count_learning(const struct note *n, const struct bench *b, enum reason reason)
{
	enum direction d = n->port ? FROM_TENANT : TO_TENANT;
	struct count *counts = counts_of(b->flow.slot ?: n->slot, d);

	if (!counts)
		return;
	if (reason == REASONS)
		counts->learnt++;
	else if (reason == REASON_MISMATCH && !b->doubted)
		counts->differ++;
	else if (!reason && n->foretold)
		counts->same++;
	else if (reason && reason < REASONS)
		counts->unlearnt[reason]++;
}

#endif
