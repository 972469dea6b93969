// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* The programs that are attached and pinned, and those that user space runs. */
#define TRACED 0

#include "call.h"
#include "egress.h"
#include "ingress.h"

SEC("tc")
int ingress(struct __sk_buff *ctx)
{
	if (ctx->protocol == bpf_htons(ETH_P_IP))
		return at_ingress(ctx, false);
	if (ctx->protocol == bpf_htons(ETH_P_IPV6))
		return at_ingress(ctx, true);
	drop_note(ctx);
	return TC_NEXT;
}

SEC("tc")
int egress(struct __sk_buff *ctx)
{
	if (ctx->protocol == bpf_htons(ETH_P_IP))
		return at_egress(ctx, false);
	if (ctx->protocol == bpf_htons(ETH_P_IPV6))
		return at_egress(ctx, true);
	return TC_NEXT;
}

SEC("syscall")
int beat(struct beat_args *args)
{
	answer_beat(args);
	return 0;
}

SEC("syscall")
int settle(struct flow_args *args)
{
	args->result = settle_flow(args);
	return 0;
}

SEC("syscall")
int end(struct flow_args *args)
{
	args->result = end_named(args);
	return 0;
}

SEC("syscall")
int forget(struct flow_args *args)
{
	args->result = forget_named(args);
	return 0;
}

/* For Go's types, which are generated from what is used. */
const struct candidate *_candidate __attribute__((unused));
const struct doubt *_doubt __attribute__((unused));
const enum mode *_mode __attribute__((unused));
const enum reason *_reason __attribute__((unused));
const enum direction *_direction __attribute__((unused));
const enum device_role *_role __attribute__((unused));
const enum device_flag *_device_flag __attribute__((unused));
const enum flow_flag *_flow_flag __attribute__((unused));

char _license[] SEC("license") = "GPL";
