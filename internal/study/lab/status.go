// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"io/fs"

	"github.com/dwelltrace/dwell/internal/netns"
)

// State says how much of a lab is there.
type State string

// The states of a lab.
const (
	// StateDown: nothing is there.
	StateDown State = "down"
	// StatePartial: something is missing; Up makes it, Down removes the rest.
	StatePartial State = "partial"
	// StateUp: every namespace and device is there.
	StateUp State = "up"
)

// Status is what is there of a topology.
type Status struct {
	Topology Topology
	State    State
	// NetNS holds the namespaces that are there, the guest's first.
	NetNS []netns.Entry
	// Missing names what is not there, if the state is partial.
	Missing []string
}

// List returns the status of every topology. It needs CAP_SYS_ADMIN to inspect the
// namespaces.
func List(opts Options) ([]Status, error) {
	prefix, err := opts.prefix()
	if err != nil {
		return nil, err
	}
	var all []Status
	for _, t := range Topologies() {
		s, err := status(t, prefix)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

func status(t Topology, prefix string) (Status, error) {
	s := Status{Topology: t, State: StateUp}
	for _, role := range t.Roles() {
		name := spaceName(prefix, t.Name, role)
		if inode := netns.MountedInode(netns.Dir + "/" + name); inode != 0 {
			s.NetNS = append(s.NetNS, netns.Entry{Name: name, Inode: inode})
		}
		missing, err := missingDevices(name, role, &t)
		if err != nil {
			return s, err
		}
		s.Missing = append(s.Missing, missing...)
	}
	switch {
	case len(s.NetNS) == 0:
		s.State, s.Missing = StateDown, nil
	case len(s.Missing) > 0:
		s.State = StatePartial
	}
	return s, nil
}

// missingDevices returns the devices that the namespace lacks, or the namespace.
func missingDevices(name, role string, t *Topology) ([]string, error) {
	if netns.MountedInode(netns.Dir+"/"+name) == 0 {
		return []string{name}, nil
	}
	ns, err := netns.OpenName(name)
	if errors.Is(err, fs.ErrNotExist) { // just now
		return []string{name}, nil
	}
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	nl, err := ns.Netlink()
	if err != nil {
		return nil, err
	}
	defer nl.Close()
	s := space{ns, nl}
	var missing []string
	for _, p := range t.ports() {
		if p.In != role {
			continue
		}
		link, err := s.link(p.Name)
		if err != nil {
			return nil, err
		}
		if link == nil {
			missing = append(missing, p.Name)
		}
	}
	return missing, nil
}
