// SPDX-License-Identifier: Apache-2.0

// Package bpf is the kernel side of dwell: programs on the kernel's tracepoints
// that record each ICMP echo at each hook, and the loader and reader for them.
//
// The programs (in c/) are attached to BTF tracepoints (tp_btf), because those
// are allowed where kprobes and fentry are not, have stable arguments, and cost
// the least. They know nothing of pings or traces: each writes one narrow record per
// event into its CPU's ring buffer, and [Tracer.Drain] turns records into [event.Event] values.
// What the records mean is the correlator's business. A slow consumer should run
// [Tracer.Gather] in another goroutine, which keeps the rings from overflowing.
//
// Three things keep the cost low, because measuring must not slow down what is measured:
// packets that are not echoes are skipped after one read; no record wakes the reader,
// which drains the rings on a tick, unless one fills up; and an unset filter costs
// one comparison.
//
// Linux 5.17 or later with BTF is needed (kfree_skb got its drop reason then), on
// amd64 or arm64; the tests are run on 6.1, 6.12 and 6.18 (see vmtest). CAP_BPF and
// CAP_PERFMON are enough, which a test holds.
//
// How long netfilter's chains take is seen by programs of another kind, put around
// them in chosen namespaces: [Tracer.AttachNetfilter]. They are loaded when they are
// first wanted, need Linux 6.4 with CONFIG_NETFILTER_BPF_LINK, and CAP_NET_ADMIN as
// well; all else works without. What they write is judged by the same filter and
// goes through the same ring.
//
// What the kernel does and a reader of events should know:
//
//   - A reply that a raw socket takes is also seen at kfree_skb, with NO_SOCKET:
//     the socket got a clone, and the original found no datagram socket.
//   - Linux 6.1 frees an answered ICMPv6 request at kfree_skb, with NOT_SPECIFIED.
//   - Of a fragmented echo the first fragment is recorded, with its own payload
//     length, and of the others those that are dropped; once put together again, at
//     delivery, the length is the whole one.
//     With connection tracking, that is between first and last of prerouting, and
//     the whole is another sk_buff.
//   - A netfilter hook without any chain still has a first and a last event. What is
//     between them is the recording of the first, 0.1 µs.
//   - Connection tracking looks a packet up in prerouting or output, and so between
//     first and last, but confirms a new connection after last, of input or
//     postrouting.
package bpf
