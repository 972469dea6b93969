// SPDX-License-Identifier: Apache-2.0

package trace

// Kind is what a span is about. It is the value of dwell.kind.
type Kind uint8

// The kinds of span. From KindTransmit on they are leaves unless something looks
// into them; each begins at one event and ends at another, as its comment says.
const (
	// KindPing is the root: sender's first event to delivery of the reply.
	KindPing Kind = 1 + iota
	// KindRequest is the journey of the echo request through this host.
	KindRequest
	// KindReply is the journey of an echo reply through this host.
	KindReply
	// KindDevice is a bridge, router or NAT device as the paper counts it: arrival
	// to net_dev_start_xmit on the way out.
	KindDevice
	// KindHypervisor is the hypervisor as the paper counts it: arrival to
	// net_dev_xmit on the way out.
	KindHypervisor

	// KindTransmit: net_dev_queue to net_dev_start_xmit of one device.
	KindTransmit
	// KindLink: net_dev_start_xmit on one end to arrival on the other.
	KindLink
	// KindBridge: arrival on a port to netif_receive_skb on the bridge or
	// net_dev_queue on another port; or net_dev_start_xmit on the bridge to
	// net_dev_queue on a port.
	KindBridge
	// KindForward: arrival to net_dev_queue on the way out.
	KindForward
	// KindEncapsulate: net_dev_start_xmit on a tunnel device to net_dev_queue of
	// the outer packet.
	KindEncapsulate
	// KindDecapsulate: arrival of the outer packet to arrival on the tunnel device.
	KindDecapsulate
	// KindDriver: net_dev_start_xmit to net_dev_xmit of a NIC.
	KindDriver
	// KindDeliver: last arrival to the socket, or to the kernel's own answer.
	KindDeliver
	// KindStacked: from a device to one above or below it (macvlan, VLAN, bond).
	KindStacked
	// KindUnseen: between two events that no hook connects.
	KindUnseen

	// KindBeyond: request out on a device that leads off this host, to reply in.
	KindBeyond
	// KindRespond: request taken by a process, to its reply.
	KindRespond
)

var kindNames = [...]string{
	KindPing:        "ping",
	KindRequest:     "echo request",
	KindReply:       "echo reply",
	KindDevice:      "device",
	KindHypervisor:  "hypervisor",
	KindTransmit:    "transmit",
	KindLink:        "link",
	KindBridge:      "bridge",
	KindForward:     "forward",
	KindEncapsulate: "encapsulate",
	KindDecapsulate: "decapsulate",
	KindDriver:      "driver",
	KindDeliver:     "deliver",
	KindStacked:     "stacked",
	KindUnseen:      "unseen",
	KindBeyond:      "beyond",
	KindRespond:     "respond",
}

// String returns the kind's name.
func (k Kind) String() string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return "unknown"
}

// Journey reports whether the kind is that of a journey.
func (k Kind) Journey() bool { return k == KindRequest || k == KindReply }
