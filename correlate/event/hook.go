// SPDX-License-Identifier: Apache-2.0

package event

// Hook is a place in the kernel where a packet is seen.
type Hook uint8

// The hooks, by the names of their tracepoints or, for netfilter, of our programs.
// The numbers are the wire values that the BPF programs write.
const (
	// NetDevQueue is net:net_dev_queue: handed to a device's queueing discipline.
	NetDevQueue Hook = 1 + iota
	// NetDevStartXmit is net:net_dev_start_xmit: handed to a device's driver.
	NetDevStartXmit
	// NetDevXmit is net:net_dev_xmit: the driver has returned.
	NetDevXmit
	// NetifRx is net:netif_rx: put on a CPU's backlog, arrival on most virtual
	// devices.
	NetifRx
	// NAPIGROReceiveEntry is net:napi_gro_receive_entry: arrival through NAPI,
	// from a NIC or out of a tunnel.
	NAPIGROReceiveEntry
	// NetifReceiveSKB is net:netif_receive_skb: the softirq takes the packet up
	// the stack. For a bridged packet it fires on the port and again on the bridge.
	NetifReceiveSKB
	// KfreeSKB is skb:kfree_skb: dropped, with a reason.
	KfreeSKB
	// SKBCopyDatagramIovec is skb:skb_copy_datagram_iovec: a process has taken the
	// packet from its socket.
	SKBCopyDatagramIovec
	// NetfilterFirst is before the first chain of a netfilter hook, which is in
	// Event.Code (see NetfilterHook).
	NetfilterFirst
	// NetfilterLast is after the last chain of a netfilter hook. It is not seen if a
	// chain dropped, stole or queued the packet.
	NetfilterLast
)

var hookNames = [...]string{
	NetDevQueue:          "net_dev_queue",
	NetDevStartXmit:      "net_dev_start_xmit",
	NetDevXmit:           "net_dev_xmit",
	NetifRx:              "netif_rx",
	NAPIGROReceiveEntry:  "napi_gro_receive_entry",
	NetifReceiveSKB:      "netif_receive_skb",
	KfreeSKB:             "kfree_skb",
	SKBCopyDatagramIovec: "skb_copy_datagram_iovec",
	NetfilterFirst:       "netfilter_first",
	NetfilterLast:        "netfilter_last",
}

// String returns the tracepoint's name, or our program's.
func (h Hook) String() string {
	if int(h) < len(hookNames) && hookNames[h] != "" {
		return hookNames[h]
	}
	return "unknown"
}

// Tracepoint reports whether the hook is a tracepoint of the kernel, which every kernel
// that is traced must have.
func (h Hook) Tracepoint() bool { return h >= NetDevQueue && h <= SKBCopyDatagramIovec }

// Arrival reports whether the hook is where a packet arrives on a device.
func (h Hook) Arrival() bool { return h == NetifRx || h == NAPIGROReceiveEntry }

// NetfilterHook is where in the network stack a chain is called: the kernel's enum
// nf_inet_hooks (include/uapi/linux/netfilter.h), the same for IPv4 and IPv6. It is
// the Event.Code of NetfilterFirst and NetfilterLast.
type NetfilterHook uint32

// The netfilter hooks, in the order of the kernel's enum.
const (
	// NetfilterPreRouting: after arrival, before the first routing decision.
	NetfilterPreRouting NetfilterHook = iota
	// NetfilterLocalIn: routed to this namespace.
	NetfilterLocalIn
	// NetfilterForward: routed through this namespace.
	NetfilterForward
	// NetfilterLocalOut: made in this namespace, and routed.
	NetfilterLocalOut
	// NetfilterPostRouting: before it is handed to the device on its way out.
	NetfilterPostRouting
)

var netfilterHookNames = [...]string{
	NetfilterPreRouting:  "prerouting",
	NetfilterLocalIn:     "input",
	NetfilterForward:     "forward",
	NetfilterLocalOut:    "output",
	NetfilterPostRouting: "postrouting",
}

// String returns the name that nft(8) has for the hook: "prerouting", "input",
// "forward", "output" or "postrouting".
func (h NetfilterHook) String() string {
	if int(h) < len(netfilterHookNames) {
		return netfilterHookNames[h]
	}
	return "unknown"
}
