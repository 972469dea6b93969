// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* Programs that user space runs, because only a program can change single words of an entry. */
#ifndef DWELL_BYPASS_CALL_H
#define DWELL_BYPASS_CALL_H

#include "flow.h"

struct beat_args {
	__u64 rest; /* in: 1 if nobody will be there any more */
	__u64 jiffies;
	__u64 ns;
};

enum { BEAT_SECONDS = 3 };

static __always_inline void answer_beat(struct beat_args *args)
{
	__u64 *until = bpf_map_lookup_elem(&attended, &(__u32){0});

	args->jiffies = bpf_jiffies64();
	args->ns = bpf_ktime_get_ns();
	if (until)
		*until = args->rest ? 0 : args->jiffies + BEAT_SECONDS * hz;
}

struct flow_args {
	struct key6 key; /* IPv4's addresses are in the first words */
	__u8 family;
	__u8 _pad[3];
	__u64 id;
	__u32 approval;
	__u32 reason;
	__u32 detail;
	__s32 result; /* out: 0, or -errno */
};

static __always_inline bool narrow_key(union key *k, const struct flow_args *args)
{
	/* The context is only read word by word, at places known to the compiler. */
	const volatile __u32 *from = (const volatile __u32 *)&args->key;
	__u32 *to = (__u32 *)&k->v6;
	bool v6 = args->family == AF_INET6;

#pragma unroll
	for (__u32 i = 0; i < sizeof(struct key6) / sizeof(__u32); i++)
		to[i] = from[i];
	if (v6)
		return true;
	/* An IPv4 key's members are moved together. */
	k->v4.src = k->v6.src[0];
	k->v4.dst = args->key.dst[0];
	k->v4.sport = args->key.sport;
	k->v4.dport = args->key.dport;
	k->v4.vni_proto = args->key.vni_proto;
	return false;
}

static __always_inline struct flow *named(const union key *k, const struct flow_args *args, bool v6)
{
	struct flow *flow = find_flow(k, v6);

	return flow && flow->id == args->id ? flow : NULL;
}

/* Approves or, with a reason, refuses what the number of the approval is about. */
static __always_inline int settle_flow(const struct flow_args *args)
{
	union key k = {};
	bool v6 = narrow_key(&k, args);
	struct flow *flow = named(&k, args, v6);
	struct device *dev;
	struct tcp_conn tcp;

	if (!flow)
		return -ENOENT;
	if (!args->reason && (args->key.vni_proto & 0xff) == IPPROTO_TCP && flow->conn && mode_of(flow->slot) == MODE_ON &&
	    (!read_tcp_conn(&tcp, flow->conn) || !is_liberal(&tcp)))
		return -EAGAIN;
	dev = bpf_map_lookup_elem(&devices, &flow->rewrite.out);
	flow->peer_netns = dev ? dev->peer_netns : 0;
	flow->peer = dev && dev->flags & DEVICE_PEER ? dev->peer : 0;
	flow->detail = args->detail;
	flow->denied = args->reason;
	flow->approval = args->approval;
	return 0;
}

static __always_inline int end_named(const struct flow_args *args)
{
	union key k = {};
	bool v6 = narrow_key(&k, args);
	struct flow *flow = named(&k, args, v6);

	if (!flow)
		return -ENOENT;
	flow->ended = args->reason;
	return 0;
}

/* Deletes an entry that has ended so long ago that no program still has it. */
static __always_inline int forget_named(const struct flow_args *args)
{
	union key k = {};
	bool v6 = narrow_key(&k, args);
	struct flow *flow = named(&k, args, v6);
	__u32 slot;
	__s64 *used;

	if (!flow)
		return -ENOENT;
	if (!flow->ended)
		return -EBUSY;
	slot = flow->slot;
	if (v6 ? bpf_map_delete_elem(&flows6, &k.v6) : bpf_map_delete_elem(&flows4, &k.v4))
		return -ENOENT;
	used = bpf_map_lookup_elem(&usage, &slot);
	if (used)
		__sync_fetch_and_add(used, -1);
	return 0;
}

#endif
