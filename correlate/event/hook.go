// SPDX-License-Identifier: Apache-2.0

package event

// Hook is a place in the kernel where a packet is seen.
type Hook uint8

// The hooks, by the names of their tracepoints. The numbers are the wire values
// that the BPF programs write.
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
}

// String returns the tracepoint's name.
func (h Hook) String() string {
	if int(h) < len(hookNames) && hookNames[h] != "" {
		return hookNames[h]
	}
	return "unknown"
}

// Arrival reports whether the hook is where a packet arrives on a device.
func (h Hook) Arrival() bool { return h == NetifRx || h == NAPIGROReceiveEntry }
