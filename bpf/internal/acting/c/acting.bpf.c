// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* A program at TC that does nothing to a packet, and says that it did. */
#include "../../../c/kernel.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "../../../c/act.h"

enum { TC_ACT_OK = 0 }; /* include/uapi/linux/pkt_cls.h */

SEC("tc")
int acting(struct __sk_buff *ctx)
{
	struct action action = {
		.deed = DEED_FIREWALL,
		.verdict = 1,
		.reason = 2,
		.tenant = 3,
		.rule = 4,
		.to = 5,
		.place = PLACE_FORWARD,
		.ns = 6,
	};
	struct record r;

	if (find_echo(&r, ctx))
		emit_action(&r, &action);
	return TC_ACT_OK;
}

char _license[] SEC("license") = "GPL";
