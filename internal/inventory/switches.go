// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/dwelltrace/dwell/internal/ovsdb"
)

const (
	// datapath is the device to which all ports of Open vSwitch belong for the kernel, and
	// the name of the bridge of those that belong to one that is not known.
	datapath = "ovs-system"
	// internalPort is the type of a port that is a device of its own, such as the one
	// that has the bridge's name; and of datapath.
	internalPort = "openvswitch"
)

// switches knows the bridges of Open vSwitch, as far as its database has been asked.
type switches struct {
	socket  string
	bridges atomic.Pointer[ovsdb.Bridges] // nil if it has not answered yet
	changes atomic.Uint64                 // answers that were not those of before

	mu    sync.Mutex // held during a query
	asked time.Time
}

func (s *switches) known() *ovsdb.Bridges { return s.bridges.Load() }

// ask queries the database if there are ports and what is known does not have them all or
// is too old. It reports whether more is known now, and does not wait for others that ask.
func (s *switches) ask(ports []string, now func() time.Time) bool {
	if len(ports) == 0 || !s.mu.TryLock() {
		return false
	}
	defer s.mu.Unlock()
	age := now().Sub(s.asked)
	if !s.asked.IsZero() && (age < Steady || age < ovsMaxAge && s.knows(ports)) {
		return false
	}
	_, learned := s.query(now)
	return learned
}

// askAgain queries the database about ports that may have been moved, unless it was asked just
// now. It reports whether there was an answer.
func (s *switches) askAgain(now func() time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.asked.IsZero() && now().Sub(s.asked) < Steady {
		return false
	}
	answered, _ := s.query(now)
	return answered
}

// query reports whether there was an answer, and whether it was not that of before. Without
// one, what was known is still the best.
func (s *switches) query(now func() time.Time) (answered, learned bool) {
	ctx, cancel := context.WithTimeout(context.Background(), ovsTimeout)
	defer cancel()
	answer, err := ovsdb.Query(ctx, s.socket)
	s.asked = now()
	if err != nil {
		return false, false
	}
	if before := s.known(); before != nil && before.Equal(answer) {
		return true, false
	}
	s.bridges.Store(&answer)
	s.changes.Add(1)
	return true, true
}

func (s *switches) knows(ports []string) bool {
	known := s.known()
	if known == nil {
		return false
	}
	for _, p := range ports {
		if known.Of(p) == "" {
			return false
		}
	}
	return true
}

// portsOf returns the names of the ports of Open vSwitch.
func portsOf(links []netlink.Link) (ports []string) {
	system := datapathOf(links)
	for _, l := range links {
		if isPort(l, system) {
			ports = append(ports, l.Attrs().Name)
		}
	}
	return ports
}

// datapathOf returns the index of Open vSwitch's device for all ports, or 0.
func datapathOf(links []netlink.Link) int {
	for _, l := range links {
		if l.Type() == internalPort && l.Attrs().Name == datapath {
			return l.Attrs().Index
		}
	}
	return 0
}

// isPort reports whether the link is a port of Open vSwitch. An internal port may be in a
// namespace where there is nothing else of it.
func isPort(l netlink.Link, system int) bool {
	a := l.Attrs()
	return a.Index != system && (l.Type() == internalPort || system != 0 && a.MasterIndex == system)
}

// bridgesOf returns the names of the bridges that links are ports of, by index. A bridge
// belongs to itself.
func bridgesOf(links []netlink.Link, known *ovsdb.Bridges) map[int]string {
	own, masters := map[int]string{}, map[int]bool{}
	for _, l := range links {
		masters[l.Attrs().MasterIndex] = true
	}
	for _, l := range links {
		if l.Type() == "bridge" || masters[l.Attrs().Index] && lone(l) {
			own[l.Attrs().Index] = l.Attrs().Name
		}
	}
	bridges := maps.Clone(own)
	for _, l := range links {
		if a := l.Attrs(); own[a.Index] == "" && own[a.MasterIndex] != "" {
			bridges[a.Index] = own[a.MasterIndex]
		}
	}
	if len(portsOf(links)) > 0 {
		addSwitchPorts(bridges, links, known)
	}
	return bridges
}

// lone reports whether the link is a datapath of Open vSwitch that is a bridge itself, as one
// that was made without the daemon is.
func lone(l netlink.Link) bool { return l.Type() == internalPort && l.Attrs().Name != datapath }

// addSwitchPorts adds the ports of Open vSwitch. Without an answer of the database, they
// belong to the bridge whose internal port is there, if there is just one.
func addSwitchPorts(bridges map[int]string, links []netlink.Link, known *ovsdb.Bridges) {
	system, internal := datapathOf(links), []string{}
	for _, l := range links {
		if isPort(l, system) && l.Type() == internalPort {
			internal = append(internal, l.Attrs().Name)
		}
	}
	unknown := datapath
	if system != 0 && len(internal) == 1 {
		unknown = internal[0]
	}
	for _, l := range links {
		a := l.Attrs()
		if !isPort(l, system) || bridges[a.Index] == a.Name {
			continue
		}
		bridges[a.Index] = unknown
		if known == nil {
			continue
		}
		if name := known.Of(a.Name); name != "" {
			bridges[a.Index] = name
		}
	}
}
