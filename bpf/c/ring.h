// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* The memory that carries records to the reader, and how a record gets into it.
 *
 * Each CPU has a ring buffer of its own in an array that user space maps, a ring. A BPF ring
 * buffer has one for all CPUs, a lock around each reservation and a copy behind a call: that
 * took as much time as everything else that is done for an event.
 *
 * A record is written in place, the word that the reader looks for, its time, last. What the
 * reader has read it sets to zero before it gives the room back, so a time that is not zero is
 * that of a record that is complete. A ring's programs may interrupt each other, and CPUs may
 * share one; so room is taken by compare and exchange.
 *
 * The maps here are those of the tracer. Another object that includes this is loaded
 * with them in place of its own: see Tracer.Shared in package bpf.
 */
#ifndef DWELL_RING_H
#define DWELL_RING_H

#include "record.h"

/* Read-only, and set before the programs are loaded. They have a section of their own,
 * and so a map, to be shared without what else is constant.
 */

/* How many rings there are: one for each CPU that ran when the programs were loaded. */
const volatile __u32 ring_count SEC(".rodata.ring") = 1;

/* Bytes in a ring less one; a power of two less one. */
const volatile __u64 ring_mask SEC(".rodata.ring") = (1 << 20) - 1;

/* Unread bytes in a ring from which on the reader is woken. */
const volatile __u64 wake_bytes SEC(".rodata.ring") = 1 << 18;

/* The reader is woken only when the end of a record crosses a multiple of this. */
const volatile __u64 wake_step SEC(".rodata.ring") = 1 << 15;

/* The secret of trace IDs, and one of this process alone: gate.h. */
const volatile __u64 trace_key[2] SEC(".rodata.ring") = {};
const volatile __u32 gate_keys[6] SEC(".rodata.ring") = {};

enum {
	RING_HEADER = 4096,
	RING_GUARD = 4096, /* behind the ring, for the end of a record that begins in it */
	HEAD_SIZE_BITS = 40,
};

/* What a ring begins with: the programs' side and the reader's, each in its own cache lines. */
struct ring {
	/* Bytes written since the beginning, modulo 2^HEAD_SIZE_BITS, and above them records. */
	__u64 head;
	__u64 lost; /* records for which there was no room */
	__u64 _pad[14];
	__u64 tail; /* bytes read */
	__u64 _pad2[15];
};

/* key: a ring. value: struct ring, its records from RING_HEADER on. User space sets the size and maps
 * this into its memory.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, RING_HEADER + (1 << 20) + RING_GUARD);
} events SEC(".maps");

/* Wakes the reader; there is nothing in it. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} wakeups SEC(".maps");

struct counters {
	__u64 xmit_overflow; /* xmit_stack was full and was emptied */
	__u64 xmit_mismatch; /* a net_dev_start_xmit without its net_dev_xmit */
	__u64 left_drops;    /* deaths of what was left out, for whose reason was no room */
};

/* key: 0. value: this CPU's counters. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct counters);
} stats SEC(".maps");

static __always_inline struct counters *this_cpu_counters(void)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&stats, &key);
}

static __noinline int wake_reader(__u32 size)
{
	void *nothing = bpf_ringbuf_reserve(&wakeups, 8, 0);

	if (nothing)
		bpf_ringbuf_discard(nothing, BPF_RB_FORCE_WAKEUP);
	return size;
}

/* Room for a record. */
struct room {
	void *at;
	__u64 position;
};

/* Takes room in a ring. */
static __always_inline bool reserve(struct room *room, struct ring *ring, __u32 size)
{
	const __u64 positions = (1ULL << HEAD_SIZE_BITS) - 1;
	__u64 head, next, unread;

#pragma unroll
	for (int i = 0; i < 4; i++) {
		head = *(volatile __u64 *)&ring->head;
		unread = (head + size - *(volatile __u64 *)&ring->tail) & positions;
		if (unread > ring_mask + 1)
			break;
		next = (head & ~positions) + (1ULL << HEAD_SIZE_BITS) + ((head + size) & positions);
		if (__sync_val_compare_and_swap(&ring->head, head, next) != head)
			continue;
		if (unread >= wake_bytes && (((head + size) ^ head) & wake_step))
			wake_reader(size);
		room->at = (void *)ring + RING_HEADER + (head & ring_mask);
		room->position = head & positions;
		return true;
	}
	__sync_fetch_and_add(&ring->lost, 1);
	return false;
}

/* Writes the word that the reader looks for when all else is written. */
static __always_inline void commit(void *slot, __u64 time)
{
#ifdef __TARGET_ARCH_x86
	asm volatile("" ::: "memory");
	*(volatile __u64 *)slot = time;
#else
	__sync_lock_test_and_set((__u64 *)slot, time);
#endif
}

/* The ring of a CPU. One that began to run after the programs were loaded shares another's. */
static __always_inline struct ring *ring_of(__u32 cpu)
{
	if (cpu >= ring_count)
		cpu %= ring_count;
	return bpf_map_lookup_elem(&events, &cpu);
}

/* Counts a record for which there was no room. */
static __always_inline void count_lost(__u32 cpu)
{
	struct ring *ring = ring_of(cpu);

	if (ring)
		__sync_fetch_and_add(&ring->lost, 1);
}

/* Appends a part of a record. */
static __always_inline void *put(void *to, const void *part, __u32 size)
{
	word *t = to;
	const word *f = part;

#pragma unroll
	for (__u32 i = 0; i < size / sizeof(word); i++)
		t[i] = f[i];
	return to + size;
}

enum { WIDE_PARTS = PART_TUNNEL | PART_TUNNEL2 | PART_ACTION | PART_REWRITE };

static __always_inline __u32 size_of(__u8 parts)
{
	__u32 size = sizeof(struct record_head);

	size += parts & PART_ADDRESSES6 ? sizeof(struct addresses6) : sizeof(struct addresses4);
	if (parts & PART_PEER)
		size += sizeof(struct peer);
	if (!(parts & WIDE_PARTS))
		return size;
	if (parts & PART_TUNNEL)
		size += sizeof(struct tunnel);
	if (parts & PART_TUNNEL2)
		size += sizeof(struct tunnel);
	if (parts & PART_ACTION)
		size += sizeof(struct action);
	if (parts & PART_REWRITE)
		size += sizeof(struct rewritten);
	return size;
}

/* Where a record begins in its ring, and one more; 0: it was lost. */
typedef __u64 position;

/* Hands a record to user space, one with WIDE_PARTS if wide. */
static __always_inline position write_record(struct record *r, const struct rewritten *rewritten,
					     bool wide)
{
	struct ring *ring = ring_of(r->head.cpu);
	__u8 parts = r->head.parts;
	__u32 size = size_of(wide ? parts : parts & ~WIDE_PARTS);
	struct room room;
	void *at;

	r->head.words = size / sizeof(word);
	if (!ring || !reserve(&room, ring, size))
		return 0;
	at = put(room.at + sizeof(word), (void *)&r->head + sizeof(word),
		 sizeof(r->head) - sizeof(word));
	at = parts & PART_ADDRESSES6 ? put(at, &r->addr.v6, sizeof(r->addr.v6))
				     : put(at, &r->addr.v4, sizeof(r->addr.v4));
	if (wide && parts & PART_TUNNEL)
		at = put(at, &r->tunnels[0], sizeof(r->tunnels[0]));
	if (wide && parts & PART_TUNNEL2)
		at = put(at, &r->tunnels[1], sizeof(r->tunnels[1]));
	if (parts & PART_PEER)
		at = put(at, &r->peer, sizeof(r->peer));
	if (wide && parts & PART_ACTION)
		at = put(at, &r->action, sizeof(r->action));
	if (wide && parts & PART_REWRITE && rewritten)
		put(at, rewritten, sizeof(*rewritten));
	commit(room.at, r->head.time);
	return room.position + 1;
}

static __noinline position emit_wide(struct record *r)
{
	return write_record(r, NULL, true);
}

static __always_inline position emit(struct record *r)
{
	return r->head.parts & WIDE_PARTS ? emit_wide(r) : write_record(r, NULL, false);
}

#endif
