// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* The program at the input of ports and NICs: sends a packet of a known flow at once, or notes what it is.
 * It writes nothing to a packet that it leaves to the kernel.
 */
#ifndef DWELL_BYPASS_INGRESS_H
#define DWELL_BYPASS_INGRESS_H

#include "deed.h"
#include "rewrite.h"
#include "sum.h"
#include "tunnel.h"

static __noinline int from_tunnel(struct __sk_buff *ctx);

/* Both directions. */
static __always_inline void end_flow(struct flow *flow, __u32 proto, bool v6)
{
	union key back;
	struct flow *other;

	flow->ended = REASON_ENDED;
	back_key(&back, &flow->rewrite, proto, v6);
	other = find_flow(&back, v6);
	if (other)
		other->ended = REASON_ENDED;
}

/* Whether the connection is as it was when it was learnt. It will never be again if it is not. */
static __always_inline enum reason check_conn(struct run *run, struct flow *flow, bool v6)
{
	enum reason reason = REASON_CONNECTION;
	__s64 left = 0;

	if (read_conn(&run->conn, flow->conn) && conn_is(&run->conn, source(&run->front, v6), destination(&run->front, v6), &run->shape, &flow->rewrite, v6))
		left = conn_left(&run->conn);
	if (left > 0)
		reason = FAST;
	if (!reason && run->shape.proto == IPPROTO_TCP && (!read_tcp_conn(&run->tcp, flow->conn) || !is_established(&run->tcp)))
		reason = REASON_ENDED;
	if (reason) {
		end_flow(flow, run->shape.proto, v6);
		return reason;
	}
	/* It had three times as long as the lease. Less is left if its timeout was cut, as by a reset, which may be forged:
	 * then connection tracking has to see that it goes on (net/netfilter/nf_conntrack_proto_tcp.c).
	 */
	return left < 2 * (__s64)(*(volatile __u64 *)&flow->lease - run->now) ? REASON_LEASE : FAST;
}

/* Whether the entry says what the kernel would do with this packet now. */
static __always_inline enum reason check_entry(struct __sk_buff *ctx, struct run *run, struct flow *flow, bool v6)
{
	const struct rewrite *w = &flow->rewrite;

	if (*(volatile __u32 *)&flow->ended)
		return REASON_ENDED;
	if (*(volatile __u64 *)&flow->lease <= run->now)
		return REASON_LEASE;
	run->epoch = epoch_of(flow->slot, flow->other);
	if (*(volatile __u64 *)&flow->epoch != run->epoch)
		return REASON_CHANGED;
	if (*(volatile __u32 *)&flow->route != route_of(w, generations_now(ctx), v6))
		return REASON_ROUTE;
	if (!same_macs(run->front.macs, w->macs_in))
		return REASON_FRAME;
	if (v6 && w->flags & (FLOW_ROUTED | FLOW_ENCAPSULATED) && (run->front.v6.ip.flow & bpf_htonl(FLOW_LABEL)) != w->label)
		return REASON_CLASS;
	if ((run->shape.tos ^ w->tos) & (w->flags & FLOW_ENCAPSULATED ? 0xff : 0xfc))
		return REASON_CLASS;
	if (ctx->mark != w->mark_in)
		return REASON_MARK;
	return w->flags & FLOW_TRACKED ? check_conn(run, flow, v6) : FAST;
}

/* Whether the entry may be used for this packet, which it describes. */
static __always_inline enum reason check_use(const struct setting *set, const struct run *run, const struct flow *flow)
{
	enum reason reason = check_mode(set, flow->slot, flow->other, run->now);

	if (reason && reason != REASON_SHADOW)
		return reason;
	if (flow->agreed < set->agreed)
		return REASON_UNCONFIRMED;
	if (*(volatile __u32 *)&flow->approval != *(volatile __u32 *)&set->approval)
		return REASON_UNAPPROVED;
	/* A connection that was opened anew in the midst of it is not. */
	if (!reason && flow->rewrite.flags & FLOW_TRACKED && run->shape.proto == IPPROTO_TCP && !is_liberal(&run->tcp))
		return REASON_UNAPPROVED;
	if (*(volatile __u32 *)&flow->denied)
		return REASON_FORBIDDEN;
	if (run->shape.segment > (is_cut_later(&run->shape) ? *(volatile __u32 *)&flow->segment : *(volatile __u32 *)&flow->longest))
		return REASON_LENGTH;
	return reason;
}

/* Changes the packet as the entry says. If that fails, nothing that the slow path would see is changed: it cuts
 * off what is behind the IP packet, too.
 */
static __always_inline bool change(struct __sk_buff *ctx, struct run *run, const struct rewrite *w, bool v6)
{
	__u32 sum = run->partial ? CHECKSUM_PARTIAL : summed(ctx);
	__u64 before = 0;

	if (!(w->flags & (FLOW_ROUTED | FLOW_TRANSLATED)))
		return true;
	if (w->flags & FLOW_ROUTED && ctx->len > ETH_HLEN + run->shape.length)
		if (bpf_skb_change_tail(ctx, ETH_HLEN + run->shape.length, 0))
			return false;
	if (sum == CHECKSUM_COMPLETE)
		before = front_sum(&run->front, v6);
	if (!write_front(ctx, run, w, 0, v6))
		return false;
	if (sum == CHECKSUM_COMPLETE)
		bpf_csum_update(ctx, changed_front(before, front_sum(&run->front, v6)));
	return true;
}

static __always_inline bool nothing_waits(void)
{
	__u64 cpu = bpf_get_smp_processor_id(), offset = 0;
	const struct softnet_data *here;

	if (!&softnet_data || !&__per_cpu_offset ||
	    bpf_probe_read_kernel(&offset, sizeof(offset), (const char *)&__per_cpu_offset + cpu * sizeof(offset)))
		return false;
	here = CAST(struct softnet_data, (const char *)&softnet_data + offset);
	return !here->input_pkt_queue.qlen && !here->process_queue.qlen;
}

/* Whether the packet may be given to the port's peer at once: not if it would overtake those of the flow that wait
 * for that device's turn (net/core/dev.c:netif_rx). They wait for this CPU, and not for longer than a jiffy.
 */
static __always_inline bool overtakes_none(struct flow *flow, __u64 now)
{
	if (now - *(volatile __u64 *)&flow->queued > 1 || nothing_waits())
		return true;
	flow->queued = now;
	return false;
}

static __always_inline int send(struct __sk_buff *ctx, struct run *run, struct flow *flow)
{
	const struct rewrite *w = &flow->rewrite;

	ctx->mark = w->mark;
	if (w->flags & FLOW_PRIORITY)
		ctx->priority = w->priority;
	if (w->next_family) {
		struct bpf_redir_neigh next = {.nh_family = w->next_family};

		__builtin_memcpy(next.nh, w->next_hop, sizeof(next.nh));
		return bpf_redirect_neigh(w->out, &next, sizeof(next), 0);
	}
	if (flow->peer && overtakes_none(flow, run->now)) {
		run->handed = true;
		/* As between namespaces: include/linux/netdevice.h:____dev_forward_skb */
		ctx->mark = 0;
		ctx->priority = 0;
		/* Until Linux 6.15 a bridged frame would stay one for another host. */
		if (ctx->pkt_type)
			bpf_skb_change_type(ctx, 0);
		return bpf_redirect_peer(w->out, 0);
	}
	return bpf_redirect(w->out, 0);
}

static __always_inline int send_fast(struct __sk_buff *ctx, struct run *run, struct flow *flow, const struct setting *set, bool v6)
{
	enum direction d = flow->rewrite.flags & FLOW_FROM_PORT ? FROM_TENANT : TO_TENANT;
	struct count *counts = counts_of(flow->slot, d);
	int action;

	flow->used = run->now;
	__sync_fetch_and_add(&flow->fast, 1);
	__sync_fetch_and_add(&flow->bytes, run->shape.length);
	tell(set, &run->key, FAST, v6);
	drop_note(ctx);
	if (counts) {
		counts->fast++;
		counts->bytes += run->shape.length;
	}
	action = send(ctx, run, flow);
	record_redirect(run, flow, v6);
	return action;
}

/* Whether the entry was right about the epochs and routes that are noted: they are read after it was looked at, and what
 * changed in between would never be seen to have changed.
 */
static __always_inline bool still_holds(const struct run *run, const struct note *n, const struct flow *flow, bool v6)
{
	__u64 barrier = 0;

	if (!flow)
		return false;
	__sync_fetch_and_add(&barrier, 1);
	return epoch_of(flow->slot, flow->other) == run->epoch && *(volatile __u32 *)&flow->route == route_of(&flow->rewrite, n->routes, v6);
}

/* Notes a packet that the kernel will treat now. */
static __always_inline void take_note(struct __sk_buff *ctx, const struct run *run, const struct device *dev, const struct flow *flow, bool v6)
{
	struct note *n = note_slot(ctx);

	if (!n)
		return;
	n->skb = (__u64)ctx;
	n->any = epoch_at(EPOCH_ANY);
	n->routes = generations_now(ctx);
	n->foretold = run->foretold && still_holds(run, n, flow, v6);
	n->epoch = run->epoch;
	n->ifindex = run->ifindex;
	n->mark = ctx->mark;
	n->priority = ctx->priority;
	n->len = ctx->len - (run->vni ? TUNNEL_HLEN : 0);
	n->vni = run->vni;
	n->tunneled = 0;
	if (run->vni)
		n->outer = run->outer;
	n->master = dev->master;
	n->slot = dev->slot;
	n->port = dev->role == DEVICE_PORT;
	n->partial = run->partial;
	n->v6 = v6;
	n->shape = run->shape;
	n->front = run->front;
}

/* Leaves the packet to the kernel. */
static __always_inline int send_slow(struct __sk_buff *ctx, struct run *run, struct flow *flow, const struct setting *set,
				     bool understood, bool v6)
{
	const struct device *dev = bpf_map_lookup_elem(&devices, &run->ifindex);
	__u32 slot = flow ? flow->slot : dev ? dev->slot : 0;
	enum direction d = dev && dev->role == DEVICE_PORT ? FROM_TENANT : TO_TENANT;
	struct count *counts;

	/* What comes out of a tunnel was noted where it arrived. */
	if (dev && dev->role == DEVICE_TUNNEL)
		return TC_NEXT;
	drop_note(ctx);
	if (!dev)
		return TC_NEXT;
	if (dev->role == DEVICE_PORT && mode_of(dev->slot) == MODE_OFF)
		run->reason = REASON_OFF;
	else if (dev->flags & DEVICE_BLOCKED)
		run->reason = REASON_DEVICE;
	else if (understood && !was_encrypted(ctx))
		take_note(ctx, run, dev, flow, v6);
	counts = counts_of(slot, d);
	if (counts && run->reason < REASONS)
		counts->slow[run->reason]++;
	if (flow) {
		flow->used = run->now;
		flow->queued = run->now;
		flow->last = run->reason;
		__sync_fetch_and_add(&flow->slow, 1);
	}
	if (run->keyed)
		tell(set, &run->key, run->reason, v6);
	if (flow || d == FROM_TENANT)
		record_fallback(ctx, run, slot);
	return TC_NEXT;
}

/* Whether somebody has seen that the transport checksum is right. */
static __always_inline bool is_verified(struct __sk_buff *ctx, const struct run *run, __u32 offset, bool v6)
{
	switch (summed(ctx)) {
	case CHECKSUM_NONE:
		return verify_sum(ctx, &run->front, &run->shape, offset, v6);
	case CHECKSUM_COMPLETE: /* which in a tunnel is of the outer packet */
		return !offset && complete_is_right(ctx, &run->front, &run->shape, v6);
	}
	return true;
}

/* The program for a frame that begins at the offset. */
static __always_inline int handle(struct __sk_buff *ctx, struct run *run, const struct setting *set, __u32 offset, bool v6)
{
	struct flow *flow = NULL;
	bool understood;

	run->reason = read_front(ctx, &run->front, &run->shape, offset, v6);
	if (is_echo(run->shape.proto)) {
		if (!TRACED)
			bpf_tail_call(ctx, &traced, SLOT_INGRESS);
		run->start = TRACED ? bpf_ktime_get_ns() : 0; /* the clock costs as much as the rest */
	}
	if (!offset && !run->reason && run->shape.proto == IPPROTO_UDP && !v6 && run->shape.dport == set->ports && set->ports)
		return from_tunnel(ctx);
	if (offset && !run->reason && (ctx->gso_size || !leaves_ecn(&run->outer, run->shape.tos)))
		run->reason = REASON_TUNNEL;
	understood = !run->reason;
	run->partial = summed(ctx) == CHECKSUM_PARTIAL;
	if (understood || run->shape.closes) {
		key_of(&run->key, run->ifindex, &run->front, &run->shape, run->vni, v6);
		run->keyed = true;
		flow = find_flow(&run->key, v6);
	}
	if (!flow)
		run->reason = run->reason ?: REASON_UNKNOWN;
	else if (run->shape.closes && flow->rewrite.flags & FLOW_TRACKED)
		check_conn(run, flow, v6); /* if it opens another, what was learnt of the one before is not true of it */
	if (flow && understood && (offset || !(flow->rewrite.flags & FLOW_ROUTED)) && ctx->len - offset > ETH_HLEN + run->shape.length) {
		/* A bridge may cut off what is behind the IP packet, or count it. In a tunnel it is rare. */
		run->reason = REASON_LENGTH;
		understood = false;
	}
	if (!flow || !understood)
		return send_slow(ctx, run, flow, set, understood, v6);
	run->reason = check_entry(ctx, run, flow, v6) ?: check_tunnel(ctx, run, flow, offset);
	run->foretold = !run->reason;
	if (!run->reason)
		run->reason = check_use(set, run, flow);
	/* A wrong one says nothing of the others: connection tracking has nothing to do with it. */
	if (flow->rewrite.flags & FLOW_TRACKED && !run->partial && !is_verified(ctx, run, offset, v6)) {
		run->reason = run->reason ?: REASON_CHECKSUM;
		understood = false;
	}
	/* Last, because it writes to the packet what the kernel would work out later, and maybe otherwise. */
	if (!run->reason && flow->rewrite.flags & FLOW_ENCAPSULATED && bpf_get_hash_recalc(ctx) != flow->rewrite.hash)
		run->reason = REASON_TUNNEL;
	if (run->reason)
		return send_slow(ctx, run, flow, set, understood, v6);
	run->recorded = record_found(ctx);
	if (!(offset ? decapsulate(ctx, run, flow, v6)
		     : flow->rewrite.flags & FLOW_ENCAPSULATED ? encapsulate(ctx, run, flow, v6)
							       : change(ctx, run, &flow->rewrite, v6))) {
		run->reason = REASON_FAILED;
		return send_slow(ctx, run, flow, set, false, v6);
	}
	return send_fast(ctx, run, flow, set, v6);
}

static __always_inline struct run *begin(struct __sk_buff *ctx)
{
	struct run *run = bpf_map_lookup_elem(&runs, &(__u32){0});

	if (!run)
		return NULL;
	__builtin_memset(run, 0, __builtin_offsetof(struct run, key));
	run->ifindex = ctx->ifindex;
	run->now = bpf_jiffies64();
	return run;
}

/* Whether the first bytes, if they are there to be looked at, are those of ICMP. */
static __always_inline bool looks_like_echo(struct __sk_buff *ctx, bool v6)
{
	const __u8 *proto = (void *)(long)ctx->data + ETH_HLEN + (v6 ? __builtin_offsetof(struct ipv6, next) : __builtin_offsetof(struct ipv4, proto));

	return (void *)(proto + 1) <= (void *)(long)ctx->data_end && is_echo(*proto);
}

static __always_inline int at_ingress(struct __sk_buff *ctx, bool v6)
{
	const struct setting *set;
	struct run *run;

	/* Before anything is read twice: at a ping a second all of it has to come from memory. */
	if (!TRACED && looks_like_echo(ctx, v6))
		bpf_tail_call(ctx, &traced, SLOT_INGRESS);
	set = settings_now();
	run = begin(ctx);
	return set && run ? handle(ctx, run, set, 0, v6) : TC_NEXT;
}

/* A frame in a tunnel. If it is not understood, it is a packet of the host's to us. */
static __noinline int from_tunnel(struct __sk_buff *ctx)
{
	const struct setting *set = settings_now();
	struct run *run = begin(ctx);
	__be16 type = 0;

	if (!set || !run || !load_outer(ctx, &run->outer) || !is_tunnel(ctx, &run->outer, set->ports) ||
	    bpf_skb_load_bytes(ctx, TUNNEL_HLEN + ETH_HLEN - sizeof(type), &type, sizeof(type))) {
		drop_note(ctx);
		return TC_NEXT;
	}
	run->vni = vni_of(&run->outer);
	if (type == bpf_htons(ETH_P_IP))
		return handle(ctx, run, set, TUNNEL_HLEN, false);
	if (type == bpf_htons(ETH_P_IPV6))
		return handle(ctx, run, set, TUNNEL_HLEN, true);
	drop_note(ctx);
	return TC_NEXT;
}

#endif
