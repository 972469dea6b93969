// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* One run of the program at the input. */
#ifndef DWELL_BYPASS_RUN_H
#define DWELL_BYPASS_RUN_H

#include "note.h"

struct run {
	struct front front;
	struct shape shape;
	__u64 now;
	__u64 epoch; /* of the flow, as it was compared */
	__u64 start; /* nanoseconds, if it is recorded */
	__u32 ifindex;
	__u32 vni; /* of the tunnel in which it comes, or 0 */
	enum reason reason;
	bool foretold;
	bool partial;
	bool keyed;    /* key is this packet's */
	bool handed;   /* it is given to the port's peer at once */
	bool recorded; /* there is a record to be completed */
	/* What follows is not 0 at the beginning. */
	union key key;
	struct outer outer;
	struct conn conn;
	struct tcp_conn tcp;
};

/* Too large for the stack. Nothing interrupts a program and runs another of these on its CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct run);
} runs SEC(".maps");

#endif
