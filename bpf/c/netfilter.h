// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* Netfilter's hooks, from outside: before the first chain and after the last.
 *
 * One program for each side serves both families and all hooks of a namespace, as
 * the context says which it is. It looks and accepts: no verdict is changed.
 */
#include "emit.h"

/* The device whose event comes next to this one: the one that the packet came in
 * through, until it is on its way out. In FORWARD both are known; there it is still
 * the way in, because a FORWARD chain that drops the packet does so before the
 * device on the way out has had any part in it (skb->dev of that drop is the way in
 * as well).
 */
static __always_inline struct net_device *netfilter_device(const struct nf_hook_state *state)
{
	__u8 hook = state->hook;

	return hook == NF_INET_LOCAL_OUT || hook == NF_INET_POST_ROUTING ? state->out : state->in;
}

/* skb->dev is not set on the way out. The namespace is the hook's own: it need not
 * be that of the device.
 */
static __always_inline int observe_netfilter(struct bpf_nf_ctx *ctx, enum hook hook)
{
	const struct nf_hook_state *state = ctx->state;

	if (attached)
		observe_in(state->net, ctx->skb, netfilter_device(state),
			   l3_from_header(ctx->skb, NULL), hook, state->hook);
	return NF_ACCEPT;
}

SEC("netfilter")
int netfilter_first(struct bpf_nf_ctx *ctx)
{
	return observe_netfilter(ctx, HOOK_NETFILTER_FIRST);
}

SEC("netfilter")
int netfilter_last(struct bpf_nf_ctx *ctx)
{
	return observe_netfilter(ctx, HOOK_NETFILTER_LAST);
}
