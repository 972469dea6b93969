// SPDX-License-Identifier: Apache-2.0

package pinned

import (
	"os"

	"github.com/cilium/ebpf/btf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Conntrack returns the description of the types of nf_conntrack where that is a module, or nil. The
// kernel loads the module for whoever asks for its table, which alone does not make it track anything.
func Conntrack(types *btf.Cache) *btf.Spec {
	if _, err := os.Stat("/sys/module/nf_conntrack"); err != nil {
		if _, err := netlink.ConntrackTableList(netlink.ConntrackTable, unix.AF_INET); err != nil {
			return nil
		}
	}
	spec, err := types.Module("nf_conntrack")
	if err != nil {
		return nil
	}
	return spec
}

// Offset returns the offset of a member in bytes. A path of names goes into members that are structs or
// unions. It reports false if there is no such member.
func Offset(t btf.Type, path ...string) (bytes uint32, ok bool) {
	bytes, _, ok = member(t, path)
	return bytes, ok
}

// Member returns the type of a member, as [Offset] its offset.
func Member(t btf.Type, path ...string) (btf.Type, bool) {
	_, t, ok := member(t, path)
	return t, ok
}

func member(t btf.Type, path []string) (bytes uint32, of btf.Type, ok bool) {
	if len(path) == 0 {
		return 0, t, true
	}
	var members []btf.Member
	switch t := btf.UnderlyingType(t).(type) {
	case *btf.Struct:
		members = t.Members
	case *btf.Union:
		members = t.Members
	}
	for _, m := range members {
		if m.Name == path[0] {
			bytes, of, ok = member(m.Type, path[1:])
			return m.Offset.Bytes() + bytes, of, ok
		}
	}
	return 0, nil, false
}
