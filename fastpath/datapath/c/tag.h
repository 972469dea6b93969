// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* What TC ingress tells FORWARD: skb->tc_index. It is 16 bits: the lowest of the table's
 * generation, and the leaf + 1.
 *
 * A packet that was tagged by the last generation is judged anew. One by the last but one would
 * not be told from the present, but a swap ends only when all CPUs are done with the packets that
 * they were at, and no packet is left behind in between two swaps.
 */
#ifndef DWELL_DATAPATH_TAG_H
#define DWELL_DATAPATH_TAG_H

#include "maps.h"

enum { TAG_LEAF = 0x7fff, TAG_GENERATION_SHIFT = 15 };

/* The tag of a leaf, or 0 if it does not fit. */
static __always_inline __u32 tag_of(const struct table_head *head, __u32 leaf)
{
	if (leaf >= TAG_LEAF)
		return 0;
	return (head->generation & 1) << TAG_GENERATION_SHIFT | (leaf + 1);
}

/* Whether the tag is of this generation. */
static __always_inline bool tag_is_of(const struct table_head *head, __u32 tag)
{
	return (tag & TAG_LEAF) && tag >> TAG_GENERATION_SHIFT == (head->generation & 1);
}

#endif
