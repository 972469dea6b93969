// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* The walk through a diagram: see the Go package fastpath/diagram, whose Judge does the same.
 *
 * Include it after the kernel's types and bpf/bpf_helpers.h.
 */
#ifndef DWELL_CLASSIFY_H
#define DWELL_CLASSIFY_H

#include "words.h"

enum walk_limits {
	CUTS = 7,	/* diagram.Cuts */
	MAX_DEPTH = 64, /* diagram.MaxDepth */
};

/* An element of a table: one cache line. As a node of the diagram it is a diagram.Node. */
struct element {
	__u32 w[16];
};

/* 1 if the cut is not greater than the key. A comparison would become a branch, which cannot be
 * predicted; LLVM must not see that it is one. */
static __always_inline __u64 reached(__u32 cut, __u32 key)
{
	__u64 below = (__u64)cut - key - 1;

	asm volatile("" : "+r"(below));
	return below >> 63;
}

/* What is next for a packet's word in a node. */
static __always_inline __u32 step(const struct element *node, const __u32 *packet)
{
	__u32 key = packet[node->w[0] & (WORDS_ROOM - 1)];
	__u64 slot = 0;

	/* Cuts that are not used may be reached, too: what is next is the same. */
#pragma unroll
	for (int i = 1; i <= CUTS; i++)
		slot += reached(node->w[i], key);
	return node->w[CUTS + 1 + (slot & CUTS)];
}

/* Returns the leaf of a packet, whose WORDS_ROOM words are on the stack. The table is an array of struct
 * element, in which the nodes begin at index first. Whatever should not be there is deferred. */
static __always_inline __u32 classify(void *table, __u32 root, __u32 first, const __u32 *packet)
{
	__u32 next = root;

	for (int i = 0; i < MAX_DEPTH && !(next & LEAF_BIT); i++) {
		__u32 at = first + next;
		struct element *node = bpf_map_lookup_elem(table, &at);

		if (!node)
			return LEAF_DEFER;
		next = step(node, packet);
	}
	return next & LEAF_BIT ? next : LEAF_DEFER;
}

#endif
