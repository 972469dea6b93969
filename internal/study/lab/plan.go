// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/vishvananda/netlink"

	"github.com/dwelltrace/dwell/internal/netns"
)

// step is one thing that Up does. Each brings about what the description says,
// whatever it finds, so that a plan can be carried out on any remains.
type step struct {
	what string
	do   func() error
}

// builder carries out the plan of one topology.
type builder struct {
	topology Topology
	prefix   string
	spaces   map[string]*space // by role
	created  []string          // names of namespaces that were not there before
}

// space is an open namespace with a netlink handle in it.
type space struct {
	*netns.NS
	nl *netlink.Handle
}

func newBuilder(t Topology, prefix string) *builder {
	return &builder{topology: t, prefix: prefix, spaces: map[string]*space{}}
}

// plan lists the steps. Devices come up before they get addresses: IPv6 ignores
// the routes of a device that is down.
func (b *builder) plan() []step {
	t := &b.topology
	var steps []step
	add := func(do func() error, format string, args ...any) {
		steps = append(steps, step{fmt.Sprintf(format, args...), do})
	}
	for _, s := range t.Spaces {
		add(func() error { return b.ensureSpace(s.Role) }, "network namespace %s", s.Role)
		add(func() error { return b.spaces[s.Role].ensureSysctls(s.Forward) }, "sysctls of %s", s.Role)
		add(func() error { return b.spaces[s.Role].ensureLoopback(s.Loopback) }, "loopback of %s", s.Role)
	}
	for _, br := range t.Bridges {
		add(func() error { return b.spaces[br.In].ensureBridge(br) }, "bridge %s", br.Name)
	}
	for _, v := range t.Veths {
		add(func() error { return ensureVeth(b.spaces[v[0].In], b.spaces[v[1].In], v) }, "veth pair %s, %s", v[0].Name, v[1].Name)
	}
	for _, v := range t.VXLANs {
		add(func() error { return b.spaces[v.In].ensureVXLAN(v) }, "vxlan %s of %s", v.Name, v.In)
	}
	for _, p := range t.ports() {
		add(func() error { return b.spaces[p.In].ensureAddrs(p.Name, p.Addrs) }, "addresses of %s", p.Name)
	}
	for _, s := range t.Spaces {
		add(func() error { return b.spaces[s.Role].ensureRoutes(s.Routes) }, "routes of %s", s.Role)
		if len(s.Masquerade) > 0 {
			add(func() error { return b.spaces[s.Role].ensureNAT(s.Masquerade) }, "NAT of %s", s.Role)
		}
		if len(s.Tenants) > 0 {
			add(func() error { return b.spaces[s.Role].ensureTenants(s.Tenants) }, "tenants of %s", s.Role)
		}
	}
	return steps
}

// ensureSpace opens the namespace and makes it if it is not there, or if only its
// name is left after a crash.
func (b *builder) ensureSpace(role string) error {
	name := spaceName(b.prefix, b.topology.Name, role)
	ns, err := netns.OpenName(name)
	if err != nil {
		if err := netns.Delete(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if ns, err = netns.Create(name); err != nil {
			return err
		}
		b.created = append(b.created, name)
	}
	nl, err := ns.Netlink()
	if err != nil {
		ns.Close()
		return err
	}
	b.spaces[role] = &space{ns, nl}
	return nil
}

// undo deletes the namespaces that this builder made.
func (b *builder) undo() error {
	b.close()
	var errs []error
	for _, name := range b.created {
		if err := netns.Delete(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	b.created = nil
	return errors.Join(errs...)
}

// close releases the namespaces.
func (b *builder) close() {
	for role, s := range b.spaces {
		s.nl.Close()
		s.NS.Close()
		delete(b.spaces, role)
	}
}

func (b *builder) lab() *Lab {
	l := &Lab{topology: b.topology, prefix: b.prefix, inodes: map[string]uint32{}}
	for role, s := range b.spaces {
		l.inodes[role] = s.Inode()
	}
	return l
}
