// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* The program at TC ingress. All that it writes to a packet is tc_index: 0, or a tag that says to
 * FORWARD which leaf has passed it.
 */
#ifndef DWELL_DATAPATH_INGRESS_H
#define DWELL_DATAPATH_INGRESS_H

#include "packet.h"
#include "proof.h"
#include "deed.h"
#include "table.h"
#include "tag.h"

/* One run. */
struct run {
	__u64 start; /* 0 if the time is not measured */
	__u32 tag;
	enum reason reason;
	enum verdict verdict;
	__u32 rule;
};

/* How many runs there are for each that is measured. */
enum { SAMPLE = 64 };

/* The device's driver has read the Ethernet header, so it is in the linear part. */
static __always_inline bool is_for_device(struct __sk_buff *ctx, const struct port *port)
{
	const __u16 *to = (void *)(long)ctx->data;
	const __u16 *mac = (const __u16 *)port->mac;

	if ((void *)(to + ETH_ALEN / 2) > (void *)(long)ctx->data_end)
		return false;
	return to[0] == mac[0] && to[1] == mac[1] && to[2] == mac[2];
}

/* Judges by a table. */
static __always_inline void judge(struct __sk_buff *ctx, struct run *run, __u32 *w, bool v6,
				  __u32 device)
{
	void *table = table_of(v6 ? TABLE_INGRESS6 : TABLE_INGRESS4);
	const struct table_head *head;
	__u32 leaf;

	head = table ? element_of(table, 0) : NULL;
	if (!head) {
		run->reason = REASON_NO_RULES;
		return;
	}
	w[WORD_TTL]--; /* as FORWARD sees it */
	w[WORD_ORIGIN] = ORIGIN_FROM;
	leaf = classify(table, head->root, head->nodes, w);
	if (TRACED)
		run->rule = decider_of(table, head, LEAF_ID(leaf));
	switch (LEAF_VERDICT(leaf)) {
	case VERDICT_PASS:
		run->tag = tag_of(head, LEAF_ID(leaf));
		run->reason = run->tag ? DECIDED : REASON_LEAVES;
		run->verdict = run->tag ? VERDICT_PASS : VERDICT_DEFER;
		return;
	case VERDICT_DROP:
		run->reason = check_drop(ctx, w, v6, device, table, head);
		if (run->reason)
			return;
		run->verdict = VERDICT_DROP;
		count_leaf(table, head, LEAF_ID(leaf), w[WORD_LENGTH]);
		return;
	}
	run->reason = REASON_RULES;
}

static __always_inline void count_run(struct port_counts *counts, const struct run *run)
{
	counts->packets++;
	if (run->start) {
		counts->measured++;
		counts->ns += bpf_ktime_get_ns() - run->start;
	}
	if (run->verdict == VERDICT_PASS)
		counts->passed++;
	else if (run->verdict == VERDICT_DROP)
		counts->dropped++;
	else if (run->reason < REASONS)
		counts->deferred[run->reason]++;
}

static __always_inline int finish(struct __sk_buff *ctx, struct port_counts *counts,
				  const struct run *run)
{
	count_run(counts, run);
	record_deed(ctx, PLACE_TC, run->verdict, run->reason, run->rule, run->start);
	if (run->verdict == VERDICT_DROP)
		return TC_DROP;
	if (run->tag)
		ctx->tc_index = run->tag;
	return TC_NEXT;
}

static __always_inline int at_ingress(struct __sk_buff *ctx)
{
	struct run run = {.verdict = VERDICT_DEFER};
	__u32 w[WORDS_ROOM] = {}, index = ctx->ifindex;
	struct port_counts *counts;
	struct port *port;
	bool v6;

	ctx->tc_index = 0;
	port = bpf_map_lookup_elem(&ports, &index);
	counts = bpf_map_lookup_elem(&port_runs, &index);
	if (!port || !counts)
		return TC_NEXT;
	if (TRACED || !(counts->packets % SAMPLE))
		run.start = bpf_ktime_get_ns();
	v6 = ctx->protocol == bpf_htons(ETH_P_IPV6);
	if (ctx->vlan_present || ctx->protocol == bpf_htons(ETH_P_8021Q) ||
	    ctx->protocol == bpf_htons(ETH_P_8021AD)) {
		run.reason = REASON_VLAN;
	} else if (!v6 && ctx->protocol != bpf_htons(ETH_P_IP)) {
		counts->packets++;
		return TC_NEXT;
	} else if (!is_for_device(ctx, port)) {
		run.reason = REASON_BRIDGED;
	} else {
		run.reason = read_packet(ctx, w, v6, true);
		if (!TRACED && is_icmp(w[WORD_PROTO], v6))
			bpf_tail_call(ctx, &traced_ingress, SLOT_INGRESS);
		if (!run.reason)
			judge(ctx, &run, w, v6, port->device);
	}
	return finish(ctx, counts, &run);
}

#endif
