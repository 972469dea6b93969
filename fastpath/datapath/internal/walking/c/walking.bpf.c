// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* Walks a diagram for packets that are given as words, to compare the walk with Go's and to time it. */
#include "../../../../../bpf/c/kernel.h"

#include <bpf/bpf_helpers.h>

#include "../../../c/classify.h"

enum { MAP_TYPE_ARRAY_OF_MAPS = 12, MAP_F_INNER_MAP = 1U << 12 }; /* include/uapi/linux/bpf.h */

struct words {
	__u32 w[WORDS_ROOM];
};

struct table {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, MAP_F_INNER_MAP);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct element));
};

/* As in package datapath: a table is swapped as a whole. Element 0 has the root and the index of the
 * first node. */
struct {
	__uint(type, MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct table);
} tables SEC(".maps");

enum { PACKETS = 8192 };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, PACKETS);
	__type(key, __u32);
	__type(value, struct words);
} packets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, PACKETS);
	__type(key, __u32);
	__type(value, __u32);
} leaves SEC(".maps");

/* So that Go has their numbers. */
const volatile enum word a_word = 0;
const volatile enum origin an_origin = 0;
const volatile enum ct_state a_state = 0;
const volatile enum verdict a_verdict = 0;
const volatile enum walk_limits a_limit = 0;

/* How many packets all() takes, and which one next() takes. */
volatile __u32 count = 0;
volatile __u32 turn = 0;

/* Copies a packet's words, as reading them from a packet would. */
static __always_inline bool copy(__u32 *packet, __u32 index)
{
	struct words *words = bpf_map_lookup_elem(&packets, &index);

	if (!words)
		return false;
#pragma unroll
	for (int i = 0; i < WORDS_ROOM; i++)
		packet[i] = words->w[i];
	return true;
}

static __always_inline __u32 walk(const __u32 *packet)
{
	__u32 zero = 0;
	void *table = bpf_map_lookup_elem(&tables, &zero);
	struct element *head;

	if (!table)
		return 0;
	head = bpf_map_lookup_elem(table, &zero);
	if (!head)
		return 0;
	return classify(table, head->w[0], head->w[1], packet);
}

static long walk_one(__u32 index, void *ctx)
{
	__u32 packet[WORDS_ROOM];
	__u32 *leaf;

	if (!copy(packet, index))
		return 1;
	leaf = bpf_map_lookup_elem(&leaves, &index);
	if (leaf)
		*leaf = walk(packet);
	return 0;
}

/* Walks for the first packets. */
SEC("tc")
int all(struct __sk_buff *ctx)
{
	bpf_loop(count, walk_one, NULL, 0);
	return 0;
}

/* Walks for the next packet: another one each time. */
SEC("tc")
int next(struct __sk_buff *ctx)
{
	__u32 packet[WORDS_ROOM];

	if (!copy(packet, turn++ & (PACKETS - 1)))
		return 0;
	return walk(packet) & 1;
}

/* Walks for the first packet. */
SEC("tc")
int same(struct __sk_buff *ctx)
{
	__u32 packet[WORDS_ROOM];

	if (!copy(packet, 0))
		return 0;
	return walk(packet) & 1;
}

/* Does what next() does, but walks nowhere: what is left is the cost of the walk. */
SEC("tc")
int nowhere(struct __sk_buff *ctx)
{
	__u32 packet[WORDS_ROOM];

	if (!copy(packet, turn++ & (PACKETS - 1)))
		return 0;
	asm volatile("" : : "r"(packet) : "memory");
	return 0;
}

char _license[] SEC("license") = "GPL";
