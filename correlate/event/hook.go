// SPDX-License-Identifier: Apache-2.0

package event

// Hook is a place in the kernel where a packet is seen. What is known of it is its row
// in the table of [All].
type Hook uint8

// The hooks, by the names of their tracepoints or, for netfilter, of our programs.
// The numbers are the wire values that the BPF programs write, and mean nothing else:
// their order is that in which the hooks were added.
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
	// Acted is where a program of the firewall or the fast path did something to the packet.
	Acted
)

// unknown is the name of a hook that is in no table.
const unknown = "unknown"

// Info returns the hook's row in the table of [All], or one without a name.
func (h Hook) Info() HookInfo { return all.Info(h) }

// String returns the hook's name, as in its row, or "unknown".
func (h Hook) String() string { return all.rows[h].String() }

// Arrival reports whether the hook is where a packet arrives on a device.
func (h Hook) Arrival() bool { return all.rows[h].Arrival }

// Inbound reports whether a packet at the hook is on its way into a namespace.
func (h Hook) Inbound() bool { return all.rows[h].Inbound }

// Acts reports whether the hook's events say what was done to the packet, instead of where
// it was.
func (h Hook) Acts() bool { return all.rows[h].Acts }

// Terminal reports whether nothing can happen to the packet's buffer after the hook.
func (h Hook) Terminal() bool { return all.rows[h].Terminal }

// CodeKind says what the Event.Code of the hook's events means.
func (h Hook) CodeKind() CodeKind { return all.rows[h].Code }
