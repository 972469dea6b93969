// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* The same programs, which also record what they do to echoes. Those of plain.bpf.c call them for ICMP,
 * if they are in traced, so that what is attached never changes with the tracer.
 */
#define TRACED 1

#include "egress.h"
#include "ingress.h"

SEC("tc")
int ingress(struct __sk_buff *ctx)
{
	return ctx->protocol == bpf_htons(ETH_P_IPV6) ? at_ingress(ctx, true) : at_ingress(ctx, false);
}

SEC("tc")
int egress(struct __sk_buff *ctx)
{
	return ctx->protocol == bpf_htons(ETH_P_IPV6) ? at_egress(ctx, true) : at_egress(ctx, false);
}

char _license[] SEC("license") = "GPL";
