// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* Reading tables and counting in them. */
#ifndef DWELL_DATAPATH_TABLE_H
#define DWELL_DATAPATH_TABLE_H

#include "maps.h"

/* The table of that kind, or NULL before there are rules. */
static __always_inline void *table_of(__u32 kind)
{
	return bpf_map_lookup_elem(&tables, &kind);
}

static __always_inline void *element_of(void *table, __u32 index)
{
	return bpf_map_lookup_elem(table, &index);
}

/* Counts a packet at its leaf. A CPU has its own counters, and receives and forwards one packet
 * after the other: nothing interrupts that and does the same.
 */
static __always_inline void count_leaf(void *table, const struct table_head *head, __u32 leaf,
				       __u32 bytes)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct leaf_counts *counts;
	struct leaf_count *count;

	if (leaf >= head->leaves || cpu >= head->cpus)
		return;
	counts = element_of(table, head->counts + cpu * head->stride + leaf / LEAF_COUNTS);
	if (!counts)
		return;
	count = &counts->of[leaf % LEAF_COUNTS];
	count->packets++;
	count->bytes += bytes;
}

/* The rule that decided for a leaf, or 0. */
static __always_inline __u32 decider_of(void *table, const struct table_head *head, __u32 leaf)
{
	struct element *deciders;

	if (leaf >= head->leaves)
		return 0;
	deciders = element_of(table, head->deciders + leaf / DECIDERS);
	return deciders ? deciders->w[leaf % DECIDERS] : 0;
}

#endif
