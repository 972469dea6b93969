// SPDX-License-Identifier: Apache-2.0

package premises

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/netns"
)

// programs are the programs of BPF at netfilter's hooks of one namespace that are not dwell's. Nobody knows
// what they look at, and they see each packet.
type programs struct {
	// names are in words for people, in order.
	names []string
	// unlisted says why they could not be listed, or is "".
	unlisted string
}

// readPrograms lists them once.
func readPrograms(ns *netns.NS) programs {
	if none() {
		return programs{} // without the kernel's types, which take tens of milliseconds to read
	}
	var l lister
	defer l.close()
	return l.list(ns)
}

// none reports whether it is certain that no namespace has a link to a hook of netfilter but for those of
// dwell's tracer. It is not without CAP_SYS_ADMIN.
func none() bool {
	it := new(link.Iterator)
	defer it.Close()
	for it.Next() {
		info, err := it.Link.Info()
		if err != nil {
			return false
		}
		at := info.Netfilter()
		if at != nil && !tracers(nameOf(info.Program), at.Priority) {
			return false
		}
	}
	return it.Err() == nil
}

// nameOf returns a program's name, or "" if it cannot be asked.
func nameOf(id ebpf.ProgramID) string {
	p, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return ""
	}
	defer p.Close()
	info, err := p.Info()
	if err != nil {
		return ""
	}
	return info.Name
}

// lister lists programs again and again.
type lister struct {
	hooked *hooked
}

// list lists the programs in the namespace, nil for the process's.
func (l *lister) list(ns *netns.NS) programs {
	inode, err := inodeOf(ns)
	if err == nil && l.hooked == nil {
		l.hooked, err = openHooked()
	}
	var all []hookedProgram
	if err == nil {
		all, err = l.hooked.read()
	}
	if err != nil {
		return programs{unlisted: unlisted(err)}
	}
	var p programs
	for i := range all {
		one := &all[i]
		if one.NetNS != inode || tracers(one.name(), one.Priority) {
			continue
		}
		name := fmt.Sprintf("the program %q of BPF (number %d)", one.name(), one.ID)
		if !slices.Contains(p.names, name) {
			p.names = append(p.names, name)
		}
	}
	slices.Sort(p.names)
	return p
}

func (l *lister) close() {
	if l.hooked != nil {
		l.hooked.close()
	}
}

// inodeOf returns the number of a namespace.
func inodeOf(ns *netns.NS) (uint32, error) {
	if ns != nil {
		return ns.Inode(), nil
	}
	current, err := netns.Current()
	if err != nil {
		return 0, err
	}
	defer current.Close()
	return current.Inode(), nil
}

// unlisted says why programs cannot be listed.
func unlisted(err error) string {
	const what = "it cannot be found out which programs of BPF are at netfilter's hooks"
	if errors.Is(err, unix.EPERM) {
		return what + ", because that needs CAP_BPF and CAP_PERFMON"
	}
	return what + ": " + err.Error()
}

// tracers reports whether a program is one of dwell's tracer (AttachNetfilter of package bpf), which only
// looks: before all others and after all others, where it leaves room for that of another dwell.
func tracers(name string, priority int32) bool {
	const room = 16
	switch name {
	case "netfilter_first":
		return priority <= math.MinInt32+room
	case "netfilter_last":
		return priority >= math.MaxInt32-room
	}
	return false
}

// attached says which there are, without a full stop, or returns "".
func (p *programs) attached() string {
	switch len(p.names) {
	case 0:
		return ""
	case 1:
		return p.names[0] + " is at a hook of netfilter, and what it looks at is not known"
	}
	return strings.Join(p.names, ", ") + " are at hooks of netfilter, and what they look at is not known"
}

// String is another text if there are others.
func (p *programs) String() string { return p.unlisted + strings.Join(p.names, ", ") }
