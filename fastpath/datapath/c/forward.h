// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* The programs that iptables calls in FORWARD. They return whether the rule matches; what they
 * do not match, iptables judges by the tenant's rules.
 */
#ifndef DWELL_DATAPATH_FORWARD_H
#define DWELL_DATAPATH_FORWARD_H

#include "packet.h"
#include "deed.h"
#include "state.h"
#include "table.h"
#include "tag.h"

/* Whether the rules say this of the packet. What matched is counted. */
static __always_inline int forwarded(struct __sk_buff *ctx, enum origin origin, enum verdict verdict,
				     __u32 slot)
{
	bool v6 = ctx->protocol == bpf_htons(ETH_P_IPV6);
	__u64 start = TRACED ? bpf_ktime_get_ns() : 0;
	__u32 w[WORDS_ROOM] = {}, leaf;
	const struct table_head *head;
	enum reason reason;
	void *table;

	if (!v6 && ctx->protocol != bpf_htons(ETH_P_IP))
		return 0;
	reason = read_packet(ctx, w, v6, false);
	if (!TRACED && is_icmp(w[WORD_PROTO], v6))
		bpf_tail_call(ctx, &traced_forward, slot);
	if (reason || !read_state(ctx, &w[WORD_STATE]))
		return 0;
	table = table_of(v6 ? TABLE_FORWARD6 : TABLE_FORWARD4);
	head = table ? element_of(table, 0) : NULL;
	if (!head)
		return 0;
	w[WORD_ORIGIN] = origin;
	leaf = classify(table, head->root, head->nodes, w);
	if (LEAF_VERDICT(leaf) != verdict)
		return 0;
	count_leaf(table, head, LEAF_ID(leaf), w[WORD_LENGTH]);
	record_deed(ctx, PLACE_FORWARD, verdict, DECIDED,
		    TRACED ? decider_of(table, head, LEAF_ID(leaf)) : 0, start);
	return 1;
}

/* Whether TC ingress has passed the packet, and still would. */
static __always_inline int tagged(struct __sk_buff *ctx)
{
	__u32 tag = ctx->tc_index, state;
	const struct table_head *head;
	void *table;

	if (!tag || !read_state(ctx, &state) || destination_changed(state))
		return 0;
	table = table_of(ctx->protocol == bpf_htons(ETH_P_IPV6) ? TABLE_INGRESS6 : TABLE_INGRESS4);
	head = table ? element_of(table, 0) : NULL;
	if (!head || !tag_is_of(head, tag))
		return 0;
	count_leaf(table, head, (tag & TAG_LEAF) - 1, ctx->len);
	return 1;
}

#endif
