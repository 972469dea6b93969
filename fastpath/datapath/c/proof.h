// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* Whether a packet that the rules drop may be dropped at TC ingress already: only if nothing
 * between here and FORWARD would do anything else with it, and if to drop it here leaves
 * nothing different.
 */
#ifndef DWELL_DATAPATH_PROOF_H
#define DWELL_DATAPATH_PROOF_H

#include "maps.h"

/* Addresses with which a packet is never forwarded, or is answered by an error before. */
static __always_inline bool is_unrouted4(__u32 addr)
{
	__u32 first = addr >> 24;

	return first >= 224 || first == 127 || !first;
}

static __always_inline bool is_unrouted6(const __u32 *addr)
{
	/* Multicast, link-local, and ::/96 with the unspecified and the loopback address. */
	return addr[0] >> 24 == 0xff || addr[0] >> 22 == 0xfe80 >> 6 ||
	       !(addr[0] | addr[1] | addr[2]);
}

static __always_inline bool is_unrouted(const __u32 *w, bool v6)
{
	if (v6)
		return is_unrouted6(&w[WORD_SRC0]) || is_unrouted6(&w[WORD_DST0]);
	return is_unrouted4(w[WORD_SRC0]) || is_unrouted4(w[WORD_DST0]);
}

/* Whether a packet with the mark is forwarded by another device than it came from. */
static __always_inline bool is_forwarded(struct __sk_buff *ctx, const __u32 *w, bool v6,
					 __u32 device, __u32 mark)
{
	struct bpf_fib_lookup fib = {
		.family = v6 ? AF_INET6 : AF_INET,
		.l4_protocol = w[WORD_PROTO],
		.tot_len = w[WORD_LENGTH],
		.ifindex = device,
	};
	__u32 flags = 0;
	long err;

	if (w[WORD_PROTO] == IPPROTO_TCP || w[WORD_PROTO] == IPPROTO_UDP) {
		fib.sport = bpf_htons(w[WORD_SPORT]);
		fib.dport = bpf_htons(w[WORD_DPORT]);
	}
	if (v6) {
		fib.flowinfo = bpf_htonl(w[WORD_TOS] << 20);
#pragma unroll
		for (int i = 0; i < 4; i++) {
			fib.src[i] = bpf_htonl(w[WORD_SRC0 + i]);
			fib.dst[i] = bpf_htonl(w[WORD_DST0 + i]);
		}
	} else {
		fib.tos = w[WORD_TOS];
		fib.src[0] = bpf_htonl(w[WORD_SRC0]);
		fib.dst[0] = bpf_htonl(w[WORD_DST0]);
	}
	if (mark) {
		fib.mark = mark;
		flags = FIB_LOOKUP_MARK;
	}
	err = bpf_fib_lookup(ctx, &fib, sizeof(fib), flags);
	return (err == FIB_LKUP_RET_SUCCESS || err == FIB_LKUP_RET_NO_NEIGH) && fib.ifindex != device;
}

static __always_inline enum reason check_route(struct __sk_buff *ctx, const __u32 *w, bool v6,
					       __u32 device, const struct table_head *head,
					       const struct table_premises *premises)
{
	if (!is_forwarded(ctx, w, v6, device, 0))
		return REASON_ROUTE;
	if (!head->marks)
		return DECIDED;
	if (!bpf_core_field_exists(struct bpf_fib_lookup___mark, mark) || head->marks > MAX_MARKS)
		return REASON_MARK;
	for (__u32 i = 0; i < MAX_MARKS && i < head->marks; i++)
		if (!is_forwarded(ctx, w, v6, device, premises->marks[i]))
			return REASON_ROUTE;
	return DECIDED;
}

static __always_inline __u32 fill_tuple(struct bpf_sock_tuple *t, const __u32 *w, bool v6)
{
	if (!v6) {
		t->v4.src = bpf_htonl(w[WORD_SRC0]);
		t->v4.dst = bpf_htonl(w[WORD_DST0]);
		t->v4.sport = bpf_htons(w[WORD_SPORT]);
		t->v4.dport = bpf_htons(w[WORD_DPORT]);
		return sizeof(t->v4);
	}
#pragma unroll
	for (int i = 0; i < 4; i++) {
		t->v6.src[i] = bpf_htonl(w[WORD_SRC0 + i]);
		t->v6.dst[i] = bpf_htonl(w[WORD_DST0 + i]);
	}
	t->v6.sport = bpf_htons(w[WORD_SPORT]);
	t->v6.dport = bpf_htons(w[WORD_DPORT]);
	return sizeof(t->v6);
}

static __always_inline bool is_unconnected(struct __sk_buff *ctx, struct bpf_sock_tuple *tuple,
					   bool v6, __u32 proto, __u32 zone)
{
	struct ct_opts opts = {.netns = F_CURRENT_NETNS, .proto = proto};
	__u32 size = v6 ? sizeof(tuple->v6) : sizeof(tuple->v4);
	struct nf_conn *ct;

	if (zone) {
		opts.zone = zone;
		opts.zone_dir = CT_ZONE_BOTH;
		ct = bpf_skb_ct_lookup(ctx, tuple, size, &opts, CT_OPTS_ZONE);
	} else {
		ct = bpf_skb_ct_lookup(ctx, tuple, size, &opts, CT_OPTS_OLD);
	}
	if (ct) {
		bpf_ct_release(ct);
		return false;
	}
	return opts.error == -ENOENT;
}

/* A packet of a connection would keep it alive, and change its state, even if it is dropped. */
static __always_inline enum reason check_connection(struct __sk_buff *ctx, const __u32 *w, bool v6,
						    const struct table_head *head,
						    const struct table_premises *premises)
{
	struct bpf_sock_tuple tuple = {};
	__u32 zones = head->zones;

	/* Linux 6.1 cannot be asked for the address of a module's function, to test it. */
	if (!ct_opts_size || zones > MAX_ZONES)
		return REASON_ZONE;
	fill_tuple(&tuple, w, v6);
	for (__u32 i = 0; i < MAX_ZONES && i < zones; i++) {
		__u32 zone = premises->zones[i];

		if (zone && ct_opts_size < CT_OPTS_ZONE)
			return REASON_ZONE;
		if (!is_unconnected(ctx, &tuple, v6, w[WORD_PROTO], zone))
			return REASON_CONNECTION;
	}
	return DECIDED;
}

/* Returns DECIDED if the packet may be dropped. */
static __always_inline enum reason check_drop(struct __sk_buff *ctx, const __u32 *w, bool v6,
					      __u32 device, void *table, const struct table_head *head)
{
	const struct table_premises *premises = bpf_map_lookup_elem(table, &(__u32){1});
	bool icmp = w[WORD_PROTO] == (v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
	enum reason reason;

	if (!premises || (head->flags & TABLE_NO_DROP))
		return REASON_FORBIDDEN;
	if (!icmp && w[WORD_PROTO] != IPPROTO_TCP && w[WORD_PROTO] != IPPROTO_UDP)
		return REASON_PROTOCOL;
	if (icmp && (head->flags & TABLE_ICMP_STATE))
		return REASON_ICMP_STATE;
	if (icmp && w[WORD_SPORT] >> 8 != (v6 ? ICMPV6_ECHO_REQUEST : ICMP_ECHO_REQUEST))
		return REASON_ICMP_TYPE;
	if (is_unrouted(w, v6))
		return REASON_ADDRESS;
	reason = check_route(ctx, w, v6, device, head, premises);
	if (reason || icmp)
		return reason;
	return check_connection(ctx, w, v6, head, premises);
}

#endif
