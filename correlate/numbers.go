// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"strconv"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// Numbers is a [Resolver], [Rules] and [FastPath] that knows no names and answers with the numbers. It is
// enough to see traces, and is what to fall back on where a name is not known.
type Numbers struct{}

// NetNS returns a namespace called "netns-<inode>".
func (Numbers) NetNS(inode uint32) *trace.NetNS {
	return &trace.NetNS{Inode: inode, Name: "netns-" + decimal(inode)}
}

// Device returns a device called "if<index>".
func (n Numbers) Device(netns, ifindex uint32) *trace.Device {
	return &trace.Device{NetNS: n.NetNS(netns), Index: ifindex, Name: "if" + decimal(ifindex)}
}

// DropReason returns "reason<code>".
func (Numbers) DropReason(code uint32) string { return "reason" + decimal(code) }

// Rule returns a rule of which nothing is known.
func (Numbers) Rule(_, _ uint32) trace.Rule { return trace.Rule{} }

// Reason returns "".
func (Numbers) Reason(uint16) string { return "" }

// FastPathReason returns "".
func (Numbers) FastPathReason(uint16) string { return "" }

func decimal(n uint32) string { return strconv.FormatUint(uint64(n), 10) }
