// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* Connection tracking's own memory. A flow that is tracked has the address of its struct nf_conn. Such
 * memory is only reused for another one as long as programs may look (SLAB_TYPESAFE_BY_RCU), and a
 * connection that is another has other addresses or ports: so a look tells whether the connection is
 * still there, without any notification.
 */
#ifndef DWELL_BYPASS_TRACK_H
#define DWELL_BYPASS_TRACK_H

#include "front.h"

/* Set before the programs are loaded, from the kernel's or its module's BTF: offsets in struct nf_conn,
 * all 0 if there is none, and values of enum nf_ct_ext_id, 255 for none.
 */
const volatile __u32 nf_conn_timeout = 0; /* zone, tuplehash and status follow at once */
const volatile __u32 nf_conn_zoned = 0;	  /* 0: the kernel has no zones */
const volatile __u32 nf_conn_ext = 0;
const volatile __u32 nf_conn_tcp_state = 0;
const volatile __u32 nf_conn_tcp_flags0 = 0;
const volatile __u32 nf_conn_tcp_flags1 = 0;
const volatile __u32 ext_helper = 255;
const volatile __u32 ext_seqadj = 255;
const volatile __u32 ext_synproxy = 255;

/* struct nf_conntrack_tuple: include/net/netfilter/nf_conntrack_tuple.h */
struct tuple {
	__be32 src[4];
	__be16 sport; /* of an echo, the identifier */
	__u16 family;
	__be32 dst[4];
	__be16 dport; /* type and code */
	__u8 proto;
	__u8 dir;
};

struct conn {
	__u32 timeout; /* jiffies, cut off */
	__u16 zone;
	__u16 _rest;
	struct {
		__u64 node[2];
		struct tuple tuple;
	} dir[2];
	__u64 status;
};
_Static_assert(sizeof(struct conn) == 128, "as the kernel has it");

static __always_inline bool read_conn(struct conn *c, __u64 address)
{
	return nf_conn_timeout && !bpf_probe_read_kernel(c, sizeof(*c), (void *)(address + nf_conn_timeout));
}

/* Jiffies until it ends; not more than 0 if it has ended. include/net/netfilter/nf_conntrack.h:nf_ct_expires */
static __always_inline __s32 conn_left(const struct conn *c)
{
	return c->timeout - (__u32)bpf_jiffies64();
}

static __always_inline bool same_address(const __be32 *a, const __be32 *b, bool v6)
{
	if (a[0] != b[0])
		return false;
	return !v6 || (a[1] == b[1] && a[2] == b[2] && a[3] == b[3]);
}

static __always_inline bool tuple_is(const struct tuple *t, const __be32 *src, __be16 sport, const __be32 *dst, __be16 dport,
				     __u32 proto, bool v6)
{
	return t->family == (v6 ? AF_INET6 : AF_INET) && t->proto == proto && t->sport == sport && t->dport == dport &&
	       same_address(t->src, src, v6) && same_address(t->dst, dst, v6);
}

/* The type of the echo that answers one, and of the one that it answers. */
static __always_inline __be16 other_echo(__be16 type, bool v6)
{
	if (v6)
		return type ^ bpf_htons((ICMPV6_ECHO_REQUEST ^ ICMPV6_ECHO_REPLY) << 8);
	return type ^ bpf_htons((ICMP_ECHO_REQUEST ^ ICMP_ECHO_REPLY) << 8);
}

static __always_inline bool is_echo(__u32 proto)
{
	return proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6;
}

enum { CT_WANTED = CT_SEEN_REPLY | CT_CONFIRMED,
       CT_UNWANTED = CT_EXPECTED | CT_SEQ_ADJUST | CT_DYING | CT_TEMPLATE | CT_HELPER | CT_OFFLOAD };

/* Whether the connection has those addresses and ports in this direction before, and what the rewrite says
 * after it, and is well.
 */
static __always_inline bool conn_is(const struct conn *c, const __be32 *src, const __be32 *dst, const struct shape *s,
				    const struct rewrite *w, bool v6)
{
	const struct tuple *this = &c->dir[0].tuple, *other = &c->dir[1].tuple;
	__be16 back_sport = w->dport, back_dport = w->sport;

	if ((c->status & (CT_WANTED | CT_UNWANTED)) != CT_WANTED)
		return false;
	if (w->flags & FLOW_REPLY) {
		this = &c->dir[1].tuple;
		other = &c->dir[0].tuple;
	}
	if (is_echo(s->proto)) {
		back_sport = w->sport;
		back_dport = other_echo(w->dport, v6);
	}
	return tuple_is(this, src, s->sport, dst, s->dport, s->proto, v6) &&
	       tuple_is(other, w->dst, back_sport, w->src, back_dport, s->proto, v6);
}

/* Why the fast path must not have a connection besides what conn_is says, or FAST. */
static __always_inline enum reason check_extensions(__u64 address)
{
	__u64 ext = 0;
	__u8 offsets[16];

	if (bpf_probe_read_kernel(&ext, sizeof(ext), (void *)(address + nf_conn_ext)))
		return REASON_STATE;
	if (!ext)
		return FAST;
	/* struct nf_ct_ext begins with where each extension is, 0 for none: nf_conntrack_extend.h */
	if (bpf_probe_read_kernel(offsets, sizeof(offsets), (void *)ext))
		return REASON_STATE;
	if ((ext_helper < 16 && offsets[ext_helper & 15]) || (ext_seqadj < 16 && offsets[ext_seqadj & 15]) ||
	    (ext_synproxy < 16 && offsets[ext_synproxy & 15]))
		return REASON_HELPER;
	return FAST;
}

/* What connection tracking knows of TCP, from the flags of the first direction to the state. */
struct tcp_conn {
	__u8 at[32];
};

static __always_inline bool read_tcp_conn(struct tcp_conn *t, __u64 address)
{
	return !bpf_probe_read_kernel(t, sizeof(*t), (void *)(address + nf_conn_tcp_flags0));
}

static __always_inline bool is_established(const struct tcp_conn *t)
{
	return t->at[(nf_conn_tcp_state - nf_conn_tcp_flags0) & 31] == CT_TCP_ESTABLISHED;
}

/* Whether sequence numbers outside of the windows that connection tracking knows are no matter to it:
 * it does not see those that it would need to know them.
 */
static __always_inline bool is_liberal(const struct tcp_conn *t)
{
	return t->at[0] & t->at[(nf_conn_tcp_flags1 - nf_conn_tcp_flags0) & 31] & CT_TCP_BE_LIBERAL;
}

#endif
