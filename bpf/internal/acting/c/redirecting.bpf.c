// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* A program at TC that routes echoes to another device past the network stack, and says so. */
#include "../../../c/kernel.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "../../../c/act.h"

enum { /* include/uapi/linux/pkt_cls.h, if_ether.h, ip.h, ipv6.h */
	TC_ACT_OK = 0,
	MACS_LEN = 12,
	HEADER = 14,
	TTL_V4 = HEADER + 8,
	SUM_V4 = HEADER + 10,
	TTL_V6 = HEADER + 7,
};

enum way { WAY_DEVICE, WAY_NEIGHBOUR, WAY_PEER };

/* Set before the program is loaded. */
const volatile __u32 how = WAY_DEVICE; /* enum way */
const volatile __u32 to = 0;
const volatile __u32 peer_netns = 0, peer_ifindex = 0;
const volatile __u8 macs[MACS_LEN] = {}; /* destination and source */

static __always_inline int send(void)
{
	switch (how) {
	case WAY_NEIGHBOUR:
		return bpf_redirect_neigh(to, NULL, 0, 0);
	case WAY_PEER:
		return bpf_redirect_peer(to, 0);
	}
	return bpf_redirect(to, 0);
}

SEC("tc")
int redirecting(struct __sk_buff *ctx)
{
	struct action action = {.deed = DEED_REDIRECT, .tenant = 7, .to = to, .place = PLACE_TC};
	__u64 begin = bpf_ktime_get_ns();
	struct rewrite_record r = {};
	bool v4;

	if (!find_echo(&r.record, ctx))
		return TC_ACT_OK;
	v4 = !(r.record.head.flags & FLAG_IPV6);
	r.rewritten.ttl = r.record.head.ttl - 1;
	r.rewritten.id = r.record.head.id;
	r.rewritten.lease = 9500;
	if (v4) {
		fill_mapped(r.rewritten.src, r.record.addr.v4.src);
		fill_mapped(r.rewritten.dst, r.record.addr.v4.dst);
		bpf_l3_csum_replace(ctx, SUM_V4, bpf_htons(r.record.head.ttl << 8),
				    bpf_htons(r.rewritten.ttl << 8), 2);
	} else {
		__builtin_memcpy(r.rewritten.src, r.record.addr.v6.src, 16);
		__builtin_memcpy(r.rewritten.dst, r.record.addr.v6.dst, 16);
	}
	bpf_skb_store_bytes(ctx, v4 ? TTL_V4 : TTL_V6, &r.rewritten.ttl, 1, 0);
	if (how == WAY_NEIGHBOUR) {
		r.rewritten.flags = REWRITTEN_NEXT_HOP;
	} else {
		for (int i = 0; i < MACS_LEN; i++)
			r.rewritten.macs[i] = macs[i];
		bpf_skb_store_bytes(ctx, 0, r.rewritten.macs, MACS_LEN, 0);
	}
	if (how == WAY_PEER) {
		r.rewritten.netns = peer_netns;
		r.rewritten.ifindex = peer_ifindex;
	}
	action.ns = bpf_ktime_get_ns() - begin;
	emit_rewrite_action(&r, &action);
	return send();
}

char _license[] SEC("license") = "GPL";
