// SPDX-License-Identifier: Apache-2.0

package datapath

// Reason says why TC ingress left a packet to FORWARD. The numbers are those of enum reason in
// c/maps.h, and are in traces.
type Reason uint16

// The reasons, in the order in which they are looked for.
const (
	// Decided is not a reason: the packet was passed or dropped.
	Decided Reason = iota
	VLAN
	Bridged
	BrokenHeader
	IPOptions
	Fragment
	TTL
	Truncated
	ShortTransport
	NoRules
	Rules
	ManyLeaves
	DropForbidden
	Protocol
	ICMPState
	ICMPType
	Address
	MarkUnknown
	Route
	ZoneUnknown
	Connection
	reasons
)

// String returns the reason in a word or two, as metrics and traces have it.
func (r Reason) String() string {
	switch r {
	case Decided:
		return "decided"
	case VLAN:
		return "vlan" // a VLAN tag, which may lead to another device
	case Bridged:
		return "bridged" // not to the scope device's hardware address
	case BrokenHeader:
		return "broken-header" // an IP header that is not valid, or its checksum
	case IPOptions:
		return "ip-options" // or extension headers
	case Fragment:
		return "fragment"
	case TTL:
		return "ttl" // used up here: answered before FORWARD
	case Truncated:
		return "truncated" // shorter than its header says
	case ShortTransport:
		return "short-transport" // without a whole header above IP
	case NoRules:
		return "no-rules" // none were loaded
	case Rules:
		return "rules" // they look at what is not known here
	case ManyLeaves:
		return "many-leaves" // passed, but it does not fit the packet's tag
	default:
		return r.ofDrop()
	}
}

// ofDrop returns the reasons why what the rules drop was not dropped.
func (r Reason) ofDrop() string {
	switch r {
	case DropForbidden:
		return "drop-forbidden" // another's rules must see the packet first
	case Protocol:
		return "protocol" // connections of it cannot be looked for
	case ICMPState:
		return "icmp-state" // some rule looks at state, which the packet may change
	case ICMPType:
		return "icmp-type" // not an echo request
	case Address:
		return "address" // not routed, or answered by an error before FORWARD
	case MarkUnknown:
		return "mark-unknown" // routes depend on marks, and the kernel cannot be asked
	case Route:
		return "route" // it would not be forwarded, or goes back
	case ZoneUnknown:
		return "zone-unknown" // the kernel cannot be asked for the connection
	case Connection:
		return "connection" // there is one, which the packet would keep alive
	}
	return "unknown"
}

// Reasons returns all reasons, in order.
func Reasons() []Reason {
	all := make([]Reason, 0, reasons-1)
	for r := Decided + 1; r < reasons; r++ {
		all = append(all, r)
	}
	return all
}
