// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* What the programs and user space share. Another layout needs another version: see bypass.go. */
#ifndef DWELL_BYPASS_MAPS_H
#define DWELL_BYPASS_MAPS_H

#include "kernel.h"

enum {
	MAX_TENANTS = 256,	/* slot 0 is nobody's; its epoch is everybody's */
	MAX_DEVICES = 4096,
	DEFAULT_FLOWS = 131072, /* of each family; user space may ask for another number */
	OUTER_ROOM = 72,	/* Ethernet, IPv6, UDP and VXLAN headers, rounded up */
};

/* The values of flow.Reason: why a packet was not sent by the fast path, or nothing was learnt
 * from it.
 */
enum reason {
	FAST, /* it was */
	/* Who asks for it, and whether anybody is there to keep it right. */
	REASON_OFF,
	REASON_SHADOW,
	REASON_UNATTENDED,
	REASON_HELD,
	REASON_DEVICE,
	/* What the packet is. */
	REASON_PROTOCOL,
	REASON_VLAN,
	REASON_HEADER,
	REASON_OPTIONS,
	REASON_FRAGMENT,
	REASON_TTL,
	REASON_TRUNCATED,
	REASON_TRANSPORT,
	REASON_ICMP_TYPE,
	REASON_TCP_FLAGS,
	REASON_CHECKSUM,
	REASON_OFFLOAD,
	REASON_TUNNEL,
	/* What is known of its flow. */
	REASON_UNKNOWN,
	REASON_UNCONFIRMED,
	REASON_UNAPPROVED,
	REASON_FORBIDDEN,
	REASON_ENDED,
	REASON_LEASE,
	REASON_CHANGED,
	REASON_ROUTE,
	REASON_CONNECTION,
	REASON_LENGTH,
	REASON_FRAME,
	REASON_CLASS,
	REASON_MARK,
	REASON_FULL,
	REASON_FAILED,
	/* Why nothing was learnt from a packet that took the slow path. */
	REASON_DIFFERS,
	REASON_MOVED,
	REASON_STATE,
	REASON_UNREPLIED,
	REASON_HELPER,
	REASON_NEXT_HOP,
	REASON_MISMATCH,
	REASONS,
};

/* One direction of a flow, as it arrives. Ports are those of TCP and UDP; of an echo, the identifier
 * and type * 256 + code. Addresses and ports are in network order.
 */
struct key4 {
	__u32 ifindex;
	__be32 src;
	__be32 dst;
	__be16 sport;
	__be16 dport;
	__u32 vni_proto; /* of VXLAN, 0 for none, * 256 + protocol */
};

struct key6 {
	__u32 ifindex;
	__be32 src[4];
	__be32 dst[4];
	__be16 sport;
	__be16 dport;
	__u32 vni_proto;
};

enum flow_flag {
	FLOW_ROUTED = 1 << 0,	     /* TTL is one less, and the next hop's MAC is the kernel's to say */
	FLOW_TRACKED = 1 << 1,	     /* conn is the address of its struct nf_conn */
	FLOW_REPLY = 1 << 2,	     /* this direction is that connection's reply */
	FLOW_ENCAPSULATED = 1 << 3,  /* outer is put before the frame */
	FLOW_DECAPSULATED = 1 << 4,  /* outer is taken from the frame */
	FLOW_TO_PORT = 1 << 5,	     /* out is a tenant's port, and macs_out are its frames' */
	FLOW_PRIORITY = 1 << 6,	     /* the slow path sets the priority */
	FLOW_TRANSLATED = 1 << 7,    /* addresses or ports change */
	FLOW_FROM_PORT = 1 << 8,     /* it enters by a tenant's port */
};

/* What is done to each packet of a flow. It never changes: a flow that is treated in another way
 * is another entry.
 */
struct rewrite {
	__be32 src[4]; /* IPv4: the first alone */
	__be32 dst[4];
	__be16 sport;
	__be16 dport;
	__u32 out; /* index of the device */
	__be32 next_hop[4];
	__u8 next_family; /* AF_INET, AF_INET6, or 0: macs_out are right */
	__u8 tos;	  /* of the packets; ECN does not matter */
	__u16 flags;	  /* enum flow_flag */
	__u8 macs_in[12]; /* destination and source of the frames */
	__u8 macs_out[12];
	__u32 mark_in;
	__u32 mark;
	__u32 priority;
	__u32 vni;  /* of the tunnel into which it is put, or 0 */
	__u32 hash; /* the packets', of which the tunnel's source port is made */
	__u16 outer_len;
	__u16 _pad;
	__u8 outer[OUTER_ROOM]; /* what changes from packet to packet is 0 in it */
	__be32 label; /* IPv6's flow label, which routes and the tunnel's source port may depend on */
};

/* An entry. All but rewrite, id, conn and the slots changes, each by itself. */
struct flow {
	__u64 id;	/* no other entry has had it */
	__u64 lease;	/* jiffies until which it is believed */
	__u64 epoch;	/* sum of the epochs when the slow path was last seen to do the same */
	__u64 conn;
	__u64 used;	/* jiffies at its last packet, fast or slow */
	__u64 asked;	/* jiffies when user space was last asked to approve */
	__u64 queued;	/* jiffies at its last packet that was not given to the port's peer at once */
	__u64 fast;	/* packets */
	__u64 bytes;	/* of them */
	__u64 slow;	/* packets since the entry was made */
	__u32 route;	/* the kernel's generation of routes, then */
	__u32 approval; /* number of the approval that was given */
	__u32 denied;	/* enum reason, by user space, or 0 */
	__u32 detail;	/* what user space says of it; programs do not look */
	__u32 ended;	/* enum reason why it must not be used any more, or 0 */
	__u32 agreed;	/* packets that the slow path treated as this entry says */
	__u32 longest;	/* bytes, from the IP header on, that the slow path let pass in this lease */
	__u32 segment;	/* the same of the segments of packets that a device has yet to cut: a bridge does not look at those */
	__u32 last;	/* enum reason of the last slow packet */
	__u16 slot;	/* of the tenant whose port it enters by or, from the NIC, leaves by */
	__u16 other;	/* of the tenant of the other port, or 0 */
	__u32 peer;	/* index of the device that is given packets in place of the port, or 0 */
	__u32 peer_netns; /* inode of its namespace */
	__u32 zone;	  /* of connection tracking */
	__u32 _pad;
	struct rewrite rewrite;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, DEFAULT_FLOWS);
	__type(key, struct key4);
	__type(value, struct flow);
} flows4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, DEFAULT_FLOWS);
	__type(key, struct key6);
	__type(value, struct flow);
} flows6 SEC(".maps");

/* Only user space writes it; alive is written by the program beat. */
struct setting {
	__u32 held;	/* nothing is sent fast, because it is not known yet what changed */
	__u32 approval; /* number of the approvals that count */
	__u32 lease;	/* jiffies, at most */
	__u32 agreed;	/* packets that must be alike before the first is sent fast */
	__u32 watched;	/* how many keys of watched there are */
	__u32 ports;	/* VXLAN's UDP port in network order, 0: none */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct setting);
} settings SEC(".maps");

/* Jiffies until which user space is there. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} attended SEC(".maps");

/* Numbers of changes. Only user space writes it. Elements are of tenants by slot, that of slot 0 counts
 * what may concern all. EPOCH_ANY is raised first, whatever is raised.
 */
enum { EPOCH_ALL = 0, EPOCH_ANY = MAX_TENANTS, EPOCHS };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, EPOCHS);
	__type(key, __u32);
	__type(value, __u64);
} epochs SEC(".maps");

/* The values of flow.Mode. */
enum mode { MODE_OFF, MODE_SHADOW, MODE_ON };

struct tenant {
	__u32 mode;
	__u32 number;	/* tenant.NumberOf its ID */
	__u32 capacity; /* entries, of both families together */
	__u32 _pad;
};

/* key: slot. Only user space writes it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_TENANTS);
	__type(key, __u32);
	__type(value, struct tenant);
} tenants SEC(".maps");

/* Entries of a tenant. key: slot. Only programs write it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_TENANTS);
	__type(key, __u32);
	__type(value, __s64);
} usage SEC(".maps");

enum device_role { DEVICE_PORT = 1, DEVICE_NIC, DEVICE_TUNNEL };

enum device_flag {
	DEVICE_BLOCKED = 1 << 0, /* others have programs, filters or hooks there that would be passed over */
	DEVICE_PEER = 1 << 1,	 /* what goes to the port may be given to its peer's input at once */
};

struct device {
	__u16 role;
	__u16 slot; /* of a port's tenant */
	__u32 flags;
	__u32 peer_netns; /* inode and index of the other end, or 0 */
	__u32 peer;
	__u32 master; /* index of the bridge of which it is a port, or 0 */
	__u32 _pad;
};

/* key: ifindex. Only user space writes it. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_DEVICES);
	__type(key, __u32);
	__type(value, struct device);
} devices SEC(".maps");

/* What became of packets. Those from the NIC that are nobody's are slot 0's. */
struct count {
	__u64 fast;
	__u64 bytes;
	__u64 same;   /* slow packets that the entry foretold */
	__u64 differ; /* those that it should have foretold and did not, and that are not among the doubts */
	__u64 learnt; /* entries made */
	__u64 slow[REASONS];
	__u64 unlearnt[REASONS]; /* of them, noted ones that left and taught nothing; with REASON_MISMATCH, the doubts */
};

enum direction { FROM_TENANT, TO_TENANT, DIRECTIONS };

/* key: slot * DIRECTIONS + enum direction. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MAX_TENANTS * DIRECTIONS);
	__type(key, __u32);
	__type(value, struct count);
} counts SEC(".maps");

/* A request to user space to approve a flow, both directions of it. */
struct candidate {
	__u8 family; /* AF_INET or AF_INET6 */
	__u8 _pad[7];
	__u64 id;
	__u64 back_id;
	union {
		struct key4 key4;
		struct key6 key6;
	};
	union {
		struct key4 back4;
		struct key6 back6;
	};
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} candidates SEC(".maps");

/* Requests that found no room: they are made again. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} unasked SEC(".maps");

/* What became of packets of single flows, while somebody asks why one is slow. IPv4 has the first
 * word of each address.
 */
struct watch {
	__u64 fast;
	__u64 slow[REASONS];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, struct key6);
	__type(value, struct watch);
} watched SEC(".maps");

/* The programs that record what they do to echoes, in place of those that do not. */
enum slot { SLOT_INGRESS, SLOT_EGRESS, SLOTS };

struct {
	__uint(type, MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, SLOTS);
	__type(key, __u32);
	__type(value, __u32);
} traced SEC(".maps");

#endif
