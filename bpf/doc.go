// SPDX-License-Identifier: Apache-2.0

// Package bpf is the kernel side of dwell: programs on the kernel's tracepoints
// that record each ICMP echo at each hook, and the loader and reader for them.
//
// The programs (in c/) are attached to BTF tracepoints (tp_btf), because those
// are allowed where kprobes and fentry are not, have stable arguments, and cost
// the least. They know nothing of pings or traces: each writes one narrow record
// an event into one ring buffer, and [Tracer.Drain] turns records into
// [event.Event] values. What the records mean is the correlator's business.
//
// Three things keep the cost low, since what is measured must not be made slow
// by measuring it: packets that are no echoes are turned away after one read; no
// record wakes the reader, who comes by on a tick, unless the ring fills up; and
// filters that are not set are one comparison.
//
// Linux 5.17 or later with BTF is needed (kfree_skb got its drop reason then), on
// amd64 or arm64; the tests are run on 6.1, 6.12 and 6.18 (see vmtest). CAP_BPF and
// CAP_PERFMON are enough, which a test holds.
//
// What the kernel does and a reader of events should know:
//
//   - A reply that a raw socket takes is also seen at kfree_skb, with NO_SOCKET:
//     the socket got a clone, and the original found no datagram socket.
//   - Linux 6.1 frees an answered ICMPv6 request at kfree_skb, with NOT_SPECIFIED.
//   - Of a fragmented echo the first fragment is recorded, with its own payload
//     length; once put together again, at delivery, the length is the whole one.
package bpf
