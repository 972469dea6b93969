// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* Which UDP ports carry tunnels. */
#ifndef DWELL_PARSE_PORTS_H
#define DWELL_PARSE_PORTS_H

#include "kernel.h"

/* What a UDP port carries. */
enum port_kind {
	PORT_VXLAN = 1, /* also with a protocol (VXLAN-GPE), if the packet says so */
	PORT_GENEVE,
	PORT_FOU_IP, /* IPv4 or IPv6 directly in UDP */
	PORT_FOU_GRE,
	PORT_GUE,
};

struct tunnel_ports {
	__u8 kind[1 << 16];
};

/* key: 0. value: the kind of each destination port, in network order; 0 is no tunnel. User
 * space stores it whole, at any time: a program sees the old or the new kind of a port,
 * because nothing can tear a byte.
 *
 * One large value, because the address of an array's element is known to the program when
 * it is loaded: looking a port up is one load.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tunnel_ports);
} tunnel_ports SEC(".maps");

static __always_inline __u8 port_kind(__be16 port)
{
	__u32 key = 0;
	struct tunnel_ports *ports = bpf_map_lookup_elem(&tunnel_ports, &key);

	return ports ? ports->kind[port] : 0;
}

#endif
