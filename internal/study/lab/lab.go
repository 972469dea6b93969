// SPDX-License-Identifier: Apache-2.0

// Package lab makes virtual networks out of network namespaces, the paper's and one of two
// tenants, and removes them again.
//
// A measurement is worth little if the next person cannot make the same network.
// So each topology is described once, as data, with its address plan drawn above
// it (see bridge.go); tests, demo, benchmarks and examples all use that one. The
// hypervisor is a namespace of its own too: nothing here ever touches the host's
// network.
//
// What belongs to a lab is determined by the names of its namespaces alone, and all else
// lives in them. So whatever a crash leaves behind, [Down] finds it.
package lab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/dwelltrace/dwell/internal/netns"
)

// DefaultPrefix begins the names of a lab's namespaces.
const DefaultPrefix = "dwell"

// Options of a lab. The zero value is the default.
type Options struct {
	// Prefix begins the names of the namespaces and distinguishes several labs of one
	// topology apart. Default: DefaultPrefix.
	Prefix string

	// beforeStep is called before each step of Up, for tests.
	beforeStep func(i int, what string)
}

func (o Options) prefix() (string, error) {
	prefix := cmp.Or(o.Prefix, DefaultPrefix)
	return prefix, CheckPrefix(prefix)
}

// CheckPrefix returns an error if the names of namespaces cannot begin with prefix. An
// empty one would leave it to chance whose "bridge-guest" is removed.
func CheckPrefix(prefix string) error {
	if prefix == "" || len(prefix) > 64 || strings.ContainsAny(prefix, "/\x00 \n") {
		return fmt.Errorf("%q cannot begin the names of network namespaces: use letters and digits, 1 to 64", prefix)
	}
	return nil
}

// Topologies returns the descriptions of all topologies, the paper's first.
func Topologies() []Topology { return append(Paper(), tenants()) }

// Paper returns the descriptions of the paper's topologies. Each has one guest.
func Paper() []Topology {
	return []Topology{bridge(), bridgeNamespaces(), nat(), routed(), vxlan(), vxlanBridged()}
}

// Find returns the description of the named topology.
func Find(name string) (Topology, error) {
	var names []string
	for _, t := range Topologies() {
		if t.Name == name {
			return t, nil
		}
		names = append(names, t.Name)
	}
	return Topology{}, fmt.Errorf("unknown topology %q; choose one of: %s", name, strings.Join(names, ", "))
}

// Lab is a topology that is up.
type Lab struct {
	topology Topology
	prefix   string
	inodes   map[string]uint32 // by role
}

// Topology returns the description.
func (l *Lab) Topology() Topology { return l.topology }

// NetNS returns the inode number and name of the namespace that plays a role, or
// 0 and "" if the topology has no such role.
func (l *Lab) NetNS(role string) (inode uint32, name string) {
	inode, ok := l.inodes[role]
	if !ok {
		return 0, ""
	}
	return inode, spaceName(l.prefix, l.topology.Name, role)
}

// Open opens the namespace that plays a role. The caller closes it.
func (l *Lab) Open(role string) (*netns.NS, error) {
	if _, ok := l.topology.Space(role); !ok {
		return nil, fmt.Errorf("topology %s has no %q; it has: %s", l.topology.Name, role, strings.Join(l.topology.Roles(), ", "))
	}
	return netns.OpenName(spaceName(l.prefix, l.topology.Name, role))
}

// Target returns the IPv4 or IPv6 address that the guests ping. It is invalid
// where the topology has no IPv6.
func (l *Lab) Target(ipv6 bool) netip.Addr {
	if ipv6 {
		return l.topology.Target6
	}
	return l.topology.Target4
}

// Down removes the lab; see [Down].
func (l *Lab) Down(ctx context.Context) error {
	_, err := Down(ctx, l.topology.Name, Options{Prefix: l.prefix})
	return err
}

// Up makes the named topology and returns when packets arrive. On a lab that is up it
// changes nothing, on one that is damaged it makes what is missing. If it fails or ctx
// ends, the namespaces that this call made are gone again. Labs with different prefixes
// can be made at the same time; with the same one they wait for each other.
//
// It needs CAP_SYS_ADMIN and CAP_NET_ADMIN, and a kernel with veth, bridge and
// nf_tables.
func Up(ctx context.Context, name string, opts Options) (*Lab, error) {
	t, prefix, err := resolve(name, opts)
	if err != nil {
		return nil, err
	}
	unlock, err := lock(ctx, prefix)
	if err != nil {
		return nil, err
	}
	defer unlock()
	b := newBuilder(t, prefix)
	defer b.close()
	for i, s := range b.plan() {
		if opts.beforeStep != nil {
			opts.beforeStep(i, s.what)
		}
		err := context.Cause(ctx)
		if err == nil {
			err = s.do()
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("lab %s: %s: %w", name, s.what, err), b.undo())
		}
	}
	if err := b.awaitReady(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("lab %s: waiting for the links: %w", name, err), b.undo())
	}
	return b.lab(), nil
}

// Get returns a lab that Up has made, without changing anything.
func Get(name string, opts Options) (*Lab, error) {
	t, prefix, err := resolve(name, opts)
	if err != nil {
		return nil, err
	}
	l := &Lab{topology: t, prefix: prefix, inodes: map[string]uint32{}}
	for _, role := range t.Roles() {
		ns, err := netns.OpenName(spaceName(prefix, name, role))
		if err != nil {
			return nil, fmt.Errorf("lab %s is not up (dwell lab up %s creates it): %w", name, name, err)
		}
		l.inodes[role] = ns.Inode()
		ns.Close()
	}
	return l, nil
}

// Down removes the named topology, or all of them if name is "", and returns the
// names of the namespaces that it removed. It finds what a crash left too. A lab
// that is not there is no error.
//
// The kernel keeps a namespace for as long as a process runs in it.
func Down(ctx context.Context, name string, opts Options) ([]string, error) {
	topologies := Topologies()
	prefix, err := opts.prefix()
	if name != "" {
		var t Topology
		t, prefix, err = resolve(name, opts)
		topologies = []Topology{t}
	}
	if err != nil {
		return nil, err
	}
	unlock, err := lock(ctx, prefix)
	if err != nil {
		return nil, err
	}
	defer unlock()
	return remove(prefix, topologies)
}

// remove deletes the namespaces of the topologies, as many as it can.
func remove(prefix string, topologies []Topology) ([]string, error) {
	entries, err := netns.List()
	if err != nil {
		return nil, err
	}
	ours := map[string]bool{}
	for _, t := range topologies {
		for _, role := range t.Roles() {
			ours[spaceName(prefix, t.Name, role)] = true
		}
	}
	var removed []string
	var errs []error
	for _, e := range entries {
		if !ours[e.Name] {
			continue
		}
		if err := netns.Delete(e.Name); err != nil {
			errs = append(errs, err)
			continue
		}
		removed = append(removed, e.Name)
	}
	return removed, errors.Join(errs...)
}

func resolve(name string, opts Options) (Topology, string, error) {
	t, err := Find(name)
	if err != nil {
		return t, "", err
	}
	prefix, err := opts.prefix()
	return t, prefix, err
}

func spaceName(prefix, topology, role string) string {
	return prefix + "-" + topology + "-" + role
}
