// SPDX-License-Identifier: Apache-2.0

package trace

// Kind is what a span is about. It is the value of dwell.kind.
type Kind uint8

// The kinds of span. From KindTransmit on they are leaves unless a finer hook divides
// them; then they are the parents of finer leaves that tile them. Each begins at one
// event and ends at another, as its comment says.
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
	// KindLink: net_dev_start_xmit on one end of a pair of devices to arrival on the other.
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
	// KindStacked: from a device to one above or below it (macvlan, VLAN, bond), or beside
	// it on the same.
	KindStacked
	// KindRedirect: from a device to one that is not its peer, because a program or a rule of
	// traffic control put the packet there.
	KindRedirect
	// KindMirror: from a device to the copy of the packet that was sent out on another, if the
	// copy is what went on.
	KindMirror
	// KindFastPath: arrival to net_dev_xmit on the way out if the packet leaves this host
	// there, otherwise to net_dev_start_xmit; or to where it was given to the other end of a
	// pair.
	KindFastPath
	// KindTunnel: net_dev_start_xmit on a tunnel device to arrival on another, of a tunnel
	// whose packets were not seen between.
	KindTunnel
	// KindEncrypted: the same, of a tunnel whose packets cannot be read.
	KindEncrypted
	// KindProcess: arrival to net_dev_queue, in a program that takes packets from a packet
	// socket and sends them on.
	KindProcess
	// KindUnseen: between two events that no hook connects.
	KindUnseen

	// KindSend: netfilter's output hook to net_dev_queue, of a packet made here. Only
	// seen where netfilter is timed; elsewhere a journey begins at net_dev_queue.
	KindSend

	// What follows are the finer leaves of those that begin with an arrival, and of those
	// that pass netfilter where that is timed.

	// KindSoftirq: arrival to netif_receive_skb, waiting for the softirq.
	KindSoftirq
	// KindStack: netif_receive_skb to the end of the parent, if nothing else is seen.
	KindStack
	// KindReceive: netif_receive_skb, or the tunnel or bridge, to a netfilter hook.
	KindReceive
	// KindPrerouting, KindInput, KindForwardChain, KindOutput and KindPostrouting: the
	// chains of a netfilter hook, from before the first to after the last.
	KindPrerouting
	KindInput
	KindForwardChain
	KindOutput
	KindPostrouting
	// KindRouting: end of prerouting to the beginning of input or forward.
	KindRouting
	// KindOutgoing: end of forward or output to the beginning of postrouting.
	KindOutgoing
	// KindNeighbour: end of postrouting to net_dev_queue: finding the neighbour's
	// address, and tc egress.
	KindNeighbour
	// KindSocket: end of input to the socket, or to the kernel's own answer.
	KindSocket

	// KindBeyond: request out on a device that leads off this host, to reply in.
	KindBeyond
	// KindRespond: request taken by a process, to its reply.
	KindRespond

	kindEnd // one more than the last kind
)

var kindNames = [kindEnd]string{
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
	KindRedirect:    "redirect",
	KindMirror:      "mirror",
	KindFastPath:    "fast path",
	KindTunnel:      "tunnel",
	KindEncrypted:   "encrypted",
	KindProcess:     "process",
	KindUnseen:      "unseen",
	KindSend:        "send",

	KindSoftirq:      "softirq wait",
	KindStack:        "stack",
	KindReceive:      "receive",
	KindPrerouting:   "netfilter prerouting",
	KindInput:        "netfilter input",
	KindForwardChain: "netfilter forward",
	KindOutput:       "netfilter output",
	KindPostrouting:  "netfilter postrouting",
	KindRouting:      "routing",
	KindOutgoing:     "outgoing",
	KindNeighbour:    "neighbour",
	KindSocket:       "socket",

	KindBeyond:  "beyond",
	KindRespond: "respond",
}

// Kinds returns all kinds, in the order of their constants.
func Kinds() []Kind {
	kinds := make([]Kind, 0, kindEnd-KindPing)
	for k := KindPing; k < kindEnd; k++ {
		kinds = append(kinds, k)
	}
	return kinds
}

// ParseKind returns the kind with that name; ok is false if there is none.
func ParseKind(name string) (k Kind, ok bool) {
	for k = KindPing; k < kindEnd; k++ {
		if kindNames[k] == name {
			return k, true
		}
	}
	return 0, false
}

// String returns the kind's name.
func (k Kind) String() string {
	if k < kindEnd && kindNames[k] != "" {
		return kindNames[k]
	}
	return "unknown"
}

// Finer reports whether the kind is that of a step within the stack of a namespace,
// which is about no device.
func (k Kind) Finer() bool { return k >= KindSend && k <= KindSocket }

// Journey reports whether the kind is that of a journey.
func (k Kind) Journey() bool { return k == KindRequest || k == KindReply }
