// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* The tracing programs: one a tracepoint and two for netfilter's hooks, all in one
 * object.
 */
#include "kernel.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "emit.h"

/* clang-format off */
#include "transmit.h"
#include "receive.h"
#include "leave.h"
#include "netfilter.h"
#include "namespace.h"
#include "trial.h"
/* clang-format on */

/* Keeps the types that Go needs in the object's BTF. */
const struct {
	enum hook hook;
	enum echo_type echo_type;
	enum record_flag record_flag;
	enum record_part record_part;
	enum tunnel_type tunnel_type;
	enum port_kind port_kind;
	enum deed deed;
	enum action_place action_place;
	enum learnt learnt;
	enum learn_verdict learn_verdict;
	enum rewritten_flag rewritten_flag;
	enum filter_flag filter_flag;
	enum nf_inet_hooks nf_inet_hooks;
	struct netns_references netns_references;
	struct trial trial;
	struct rewrite_record rewrite_record;
	struct record_end record_end;
	struct ring ring;
} *wire_types __attribute__((unused));

char _license[] SEC("license") = "GPL";
