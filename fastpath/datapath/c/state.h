// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* What connection tracking says of a packet, as iptables' match conntrack sees it. */
#ifndef DWELL_DATAPATH_STATE_H
#define DWELL_DATAPATH_STATE_H

#include "maps.h"

/* xt_conntrack.c:conntrack_mt. A socket filter's context is the packet's sk_buff itself; from
 * Linux 6.2 on it is read without a call. Returns false if the kernel does not let us know.
 */
static __always_inline bool read_state(struct __sk_buff *ctx, __u32 *state)
{
	__u64 tracked, status = 0;
	__u32 info, bits = 0;

	if (!nf_conn_status || !bpf_core_field_exists(struct sk_buff___tracked, _nfct))
		return false;
	if (bpf_rdonly_cast)
		tracked = CAST(struct sk_buff___tracked, ctx)->_nfct;
	else
		tracked = BPF_CORE_READ((struct sk_buff___tracked *)ctx, _nfct);
	info = tracked & CT_INFO_MASK;
	tracked &= ~(__u64)CT_INFO_MASK;
	if (!tracked) {
		*state = info == CT_INFO_UNTRACKED ? STATE_UNTRACKED : STATE_INVALID;
		return true;
	}
	if (bpf_probe_read_kernel(&status, sizeof(status), (void *)(tracked + nf_conn_status)))
		return false;
	if (info >= CT_INFO_REPLY) {
		bits = STATE_REPLY;
		info -= CT_INFO_REPLY;
	}
	/* IP_CT_ESTABLISHED, IP_CT_RELATED, IP_CT_NEW */
	*state = bits | (info == 0 ? STATE_ESTABLISHED : info == 1 ? STATE_RELATED : STATE_NEW);
	if (status & CT_STATUS_SNAT)
		*state |= STATE_SNAT;
	if (status & CT_STATUS_DNAT)
		*state |= STATE_DNAT;
	return true;
}

/* Whether the packet's destination is another than it had when it arrived: what TC said was of
 * the old one.
 */
static __always_inline bool destination_changed(__u32 state)
{
	return state & (state & STATE_REPLY ? STATE_SNAT : STATE_DNAT);
}

#endif
