// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* The programs that are attached and pinned. */
#define TRACED 0

#include "forward.h"
#include "ingress.h"

SEC("tc")
int ingress(struct __sk_buff *ctx)
{
	return at_ingress(ctx);
}

SEC("socket")
int from_tagged(struct __sk_buff *ctx)
{
	return tagged(ctx);
}

SEC("socket")
int from_pass(struct __sk_buff *ctx)
{
	return forwarded(ctx, ORIGIN_FROM, VERDICT_PASS, SLOT_FROM_PASS);
}

SEC("socket")
int from_drop(struct __sk_buff *ctx)
{
	return forwarded(ctx, ORIGIN_FROM, VERDICT_DROP, SLOT_FROM_DROP);
}

SEC("socket")
int to_pass(struct __sk_buff *ctx)
{
	return forwarded(ctx, ORIGIN_TO, VERDICT_PASS, SLOT_TO_PASS);
}

SEC("socket")
int to_drop(struct __sk_buff *ctx)
{
	return forwarded(ctx, ORIGIN_TO, VERDICT_DROP, SLOT_TO_DROP);
}

char _license[] SEC("license") = "GPL";
