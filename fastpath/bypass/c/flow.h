// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* Finding entries, and what holds for them. */
#ifndef DWELL_BYPASS_FLOW_H
#define DWELL_BYPASS_FLOW_H

#include "track.h"

/* Jiffies a second. Set before the programs are loaded. */
const volatile __u32 hz = 1000;

union key {
	struct key4 v4;
	struct key6 v6;
};

static __always_inline void fill_key(union key *k, __u32 ifindex, const __be32 *src, const __be32 *dst, __be16 sport,
				     __be16 dport, __u32 vni_proto, bool v6)
{
	if (v6) {
		k->v6.ifindex = ifindex;
		__builtin_memcpy(k->v6.src, src, sizeof(k->v6.src));
		__builtin_memcpy(k->v6.dst, dst, sizeof(k->v6.dst));
		k->v6.sport = sport;
		k->v6.dport = dport;
		k->v6.vni_proto = vni_proto;
	} else {
		k->v4.ifindex = ifindex;
		k->v4.src = src[0];
		k->v4.dst = dst[0];
		k->v4.sport = sport;
		k->v4.dport = dport;
		k->v4.vni_proto = vni_proto;
	}
}

static __always_inline const __be32 *source(const struct front *f, bool v6)
{
	return v6 ? f->v6.ip.src : &f->v4.ip.src;
}

static __always_inline const __be32 *destination(const struct front *f, bool v6)
{
	return v6 ? f->v6.ip.dst : &f->v4.ip.dst;
}

/* The key of a packet as it arrives. */
static __always_inline void key_of(union key *k, __u32 ifindex, const struct front *f, const struct shape *s, __u32 vni, bool v6)
{
	fill_key(k, ifindex, source(f, v6), destination(f, v6), s->sport, s->dport, vni << 8 | s->proto, v6);
}

/* The key of what answers a packet that was treated so. */
static __always_inline void back_key(union key *k, const struct rewrite *w, __u32 proto, bool v6)
{
	bool echo = is_echo(proto);

	fill_key(k, w->out, w->dst, w->src, echo ? w->sport : w->dport, echo ? other_echo(w->dport, v6) : w->sport,
		 w->vni << 8 | proto, v6);
}

static __always_inline struct flow *find_flow(const union key *k, bool v6)
{
	return v6 ? bpf_map_lookup_elem(&flows6, &k->v6) : bpf_map_lookup_elem(&flows4, &k->v4);
}

/* 0 if there is no such element, which cannot be. */
static __always_inline __u64 epoch_at(__u32 index)
{
	__u64 *epoch = bpf_map_lookup_elem(&epochs, &index);

	return epoch ? *(volatile __u64 *)epoch : 0;
}

/* None is ever lowered: so the sum is the same only if each is. */
static __always_inline __u64 epoch_of(__u32 slot, __u32 other)
{
	__u64 sum = epoch_at(EPOCH_ALL);

	if (slot)
		sum += epoch_at(slot);
	if (other && other != slot)
		sum += epoch_at(other);
	return sum;
}

/* What changes with the routes on which a flow depends: none if a bridge alone forwards it. Neither number is ever
 * lowered: so the sum is the same only if each is.
 */
static __always_inline __u32 route_of(const struct rewrite *w, struct generations g, bool v6)
{
	__u32 sum = 0;

	if (w->flags & (FLOW_ROUTED | FLOW_TRANSLATED))
		sum = v6 ? g.v6 : g.v4;
	if (w->flags & FLOW_ENCAPSULATED && (v6 || !sum))
		sum += g.v4;
	return sum;
}

static __always_inline const struct setting *settings_now(void)
{
	return bpf_map_lookup_elem(&settings, &(__u32){0});
}

static __always_inline __u32 mode_of(__u32 slot)
{
	const struct tenant *t = bpf_map_lookup_elem(&tenants, &slot);

	return t ? *(volatile __u32 *)&t->mode : MODE_OFF;
}

/* Why nothing is sent fast at all, or for those tenants, or FAST. */
static __always_inline enum reason check_mode(const struct setting *set, __u32 slot, __u32 other, __u64 now)
{
	const __u64 *until = bpf_map_lookup_elem(&attended, &(__u32){0});
	__u32 mode = mode_of(slot);

	if (other && other != slot && mode_of(other) < mode)
		mode = mode_of(other);
	if (mode != MODE_ON)
		return mode == MODE_SHADOW ? REASON_SHADOW : REASON_OFF;
	if (*(volatile __u32 *)&set->held)
		return REASON_HELD;
	return until && *until > now ? FAST : REASON_UNATTENDED;
}

static __always_inline struct count *counts_of(__u32 slot, enum direction d)
{
	__u32 index = slot * DIRECTIONS + d;

	return bpf_map_lookup_elem(&counts, &index);
}

/* Tells those who watch a flow what became of a packet. */
static __always_inline void tell(const struct setting *set, const union key *k, enum reason reason, bool v6)
{
	struct watch *w;
	struct key6 wide = {};

	if (!*(volatile __u32 *)&set->watched)
		return;
	if (v6) {
		wide = k->v6;
	} else {
		wide.ifindex = k->v4.ifindex;
		wide.src[0] = k->v4.src;
		wide.dst[0] = k->v4.dst;
		wide.sport = k->v4.sport;
		wide.dport = k->v4.dport;
		wide.vni_proto = k->v4.vni_proto;
	}
	w = bpf_map_lookup_elem(&watched, &wide);
	if (!w)
		return;
	if (reason == FAST)
		__sync_fetch_and_add(&w->fast, 1);
	else if (reason < REASONS)
		__sync_fetch_and_add(&w->slow[reason], 1);
}

#endif
