// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// names answers as the recorded resolver did.
type names struct {
	// defined are the namespaces and devices by their numbers, from 1.
	namespaces []*trace.NetNS
	devices    []*trace.Device

	netns   map[uint32]*trace.NetNS
	device  map[deviceKey]*trace.Device
	reasons map[uint32]string
	rules   map[ruleKey]trace.Rule
	named   map[deviceKey]bool
	// verdictReasons are those of firewalls.
	verdictReasons  map[uint16]string
	fastPathReasons map[uint16]string

	// questions counts those of the correlator. Answers to later ones are pending, in
	// the order in which they were given.
	questions uint64
	pending   []answer
}

// answer is what is the answer from a question on.
type answer struct {
	question uint64
	set      func()
}

func newNames() *names {
	return &names{
		netns: map[uint32]*trace.NetNS{}, device: map[deviceKey]*trace.Device{}, reasons: map[uint32]string{},
		rules: map[ruleKey]trace.Rule{}, named: map[deviceKey]bool{}, verdictReasons: map[uint16]string{}, fastPathReasons: map[uint16]string{},
	}
}

// learn takes in an answer; question 0 means at once.
func (n *names) learn(question uint64, set func()) {
	if question == 0 {
		set()
		return
	}
	n.pending = append(n.pending, answer{question, set})
}

// ask counts a question and applies the answers that are good from it on.
func (n *names) ask() {
	n.questions++
	for len(n.pending) > 0 && n.pending[0].question <= n.questions {
		n.pending[0].set()
		n.pending = n.pending[1:]
	}
}

// settle applies what is still pending after a call of the correlator. Nothing is,
// unless this correlator asks other questions than the one that was recorded.
func (n *names) settle() {
	for _, a := range n.pending {
		a.set()
	}
	n.pending = n.pending[:0]
}

// NetNS implements [correlate.Resolver].
func (n *names) NetNS(inode uint32) *trace.NetNS {
	n.ask()
	return n.current().NetNS(inode)
}

// Device implements [correlate.Resolver].
func (n *names) Device(netns, ifindex uint32) *trace.Device {
	n.ask()
	return n.current().Device(netns, ifindex)
}

// DropReason implements [correlate.Resolver].
func (n *names) DropReason(code uint32) string {
	n.ask()
	return n.current().DropReason(code)
}

// isNamed answers as the recorded correlate.Options.Named did.
func (n *names) isNamed(netns, ifindex uint32, _ uint64) bool {
	n.ask()
	k := deviceKey{netns, ifindex}
	if _, known := n.named[k]; !known {
		n.settle()
	}
	named, known := n.named[k]
	return named || !known
}

// current returns a resolver that answers with what is known now and does not count.
func (n *names) current() correlate.Resolver { return current{n} }

// current answers without counting.
type current struct{ *names }

// NetNS implements [correlate.Resolver].
func (c current) NetNS(inode uint32) *trace.NetNS {
	if _, known := c.netns[inode]; !known {
		c.settle()
	}
	if ns := c.netns[inode]; ns != nil {
		return ns
	}
	ns := correlate.Numbers{}.NetNS(inode)
	remember(c.netns, inode, ns)
	return ns
}

// Device implements [correlate.Resolver].
func (c current) Device(netns, ifindex uint32) *trace.Device {
	k := deviceKey{netns, ifindex}
	if _, known := c.device[k]; !known {
		c.settle()
	}
	if d := c.device[k]; d != nil {
		return d
	}
	d := correlate.Numbers{}.Device(netns, ifindex)
	d.NetNS = c.NetNS(netns)
	remember(c.device, k, d)
	return d
}

// DropReason implements [correlate.Resolver].
func (c current) DropReason(code uint32) string {
	if _, known := c.reasons[code]; !known {
		c.settle()
	}
	return c.reasons[code]
}
