// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* Saying what was done to a traced echo. Only the object with TRACED does, and it is run only for ICMP
 * and only while there is a tracer.
 */
#ifndef DWELL_BYPASS_DEED_H
#define DWELL_BYPASS_DEED_H

#include "run.h"

#include "../../../bpf/c/record.h"

#if TRACED

#include "../../../bpf/c/act.h"

/* Where a record is made: it would not fit the stack. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct rewrite_record);
} records SEC(".maps");

static __always_inline struct rewrite_record *found_echo(struct __sk_buff *ctx)
{
	struct rewrite_record *r = bpf_map_lookup_elem(&records, &(__u32){0});

	return r && find_echo(&r->record, ctx) ? r : NULL;
}

static __always_inline void fill_action(struct action *a, enum deed deed, enum reason reason, __u32 slot, __u64 start)
{
	const struct tenant *t = bpf_map_lookup_elem(&tenants, &slot);

	*a = (struct action){
		.deed = deed,
		.reason = reason,
		.place = PLACE_TC,
		.tenant = t ? t->number : 0,
		.ns = start ? bpf_ktime_get_ns() - start : 0,
	};
}

static __always_inline void fill_address(__u8 *to, const __be32 *from, bool v6)
{
	if (v6)
		__builtin_memcpy(to, from, 16);
	else
		fill_mapped(to, (const __u8 *)from);
}

static __always_inline void fill_rewritten(struct rewritten *to, const struct run *run, const struct flow *flow, bool v6)
{
	const struct rewrite *w = &flow->rewrite;

	__builtin_memset(to, 0, sizeof(*to));
	fill_address(to->src, w->src, v6);
	fill_address(to->dst, w->dst, v6);
	if (w->next_family)
		to->flags |= REWRITTEN_NEXT_HOP;
	else
		__builtin_memcpy(to->macs, w->macs_out, sizeof(to->macs));
	if (w->flags & FLOW_ENCAPSULATED)
		to->flags |= REWRITTEN_ENCAPSULATED;
	if (w->flags & FLOW_DECAPSULATED)
		to->flags |= REWRITTEN_DECAPSULATED;
	to->ttl = v6 ? run->front.v6.ip.hops : run->front.v4.ip.ttl;
	to->id = bpf_ntohs(w->sport);
	to->lease = (flow->lease - run->now) * 1000 / hz;
	to->netns = run->handed ? flow->peer_netns : 0;
	to->ifindex = run->handed ? flow->peer : 0;
}

/* The packet is about to be changed. */
static __always_inline bool record_found(struct __sk_buff *ctx)
{
	return found_echo(ctx);
}

/* It was, and is being sent. */
static __always_inline void record_redirect(const struct run *run, const struct flow *flow, bool v6)
{
	struct rewrite_record *r = bpf_map_lookup_elem(&records, &(__u32){0});
	struct action action;

	if (!r || !run->recorded)
		return;
	fill_action(&action, DEED_REDIRECT, FAST, flow->slot, run->start);
	action.to = flow->rewrite.out;
	fill_rewritten(&r->rewritten, run, flow, v6);
	emit_rewrite_action(r, &action);
}

static __always_inline void record_fallback(struct __sk_buff *ctx, const struct run *run, __u32 slot)
{
	struct rewrite_record *r = found_echo(ctx);
	struct action action;

	if (!r)
		return;
	fill_action(&action, DEED_FALLBACK, run->reason, slot, run->start);
	emit_action(&r->record, &action);
}

static __always_inline void record_learn(struct __sk_buff *ctx, __u32 slot)
{
	struct rewrite_record *r = found_echo(ctx);
	struct action action;

	if (!r)
		return;
	fill_action(&action, DEED_LEARN, FAST, slot, 0);
	emit_action(&r->record, &action);
}

#else

static __always_inline bool record_found(struct __sk_buff *ctx) { return false; }

static __always_inline void record_redirect(const struct run *run, const struct flow *flow, bool v6) {}

static __always_inline void record_fallback(struct __sk_buff *ctx, const struct run *run, __u32 slot) {}

static __always_inline void record_learn(struct __sk_buff *ctx, __u32 slot) {}

#endif
#endif
