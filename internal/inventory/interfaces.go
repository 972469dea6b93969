// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// maxAltName is the most bytes that an alternative name may have (ALTIFNAMSIZ - 1 in
// linux/if.h; ip link property add, Linux 5.5).
const maxAltName = 127

// CheckInterface returns an error for what can never mean a device, see
// [Inventory.FindInterfaces].
func CheckInterface(ref string) error {
	if ref == "" || len(ref) > maxAltName || strings.Contains(ref, "/") {
		return fmt.Errorf("interface name %q: must have 1 to %d bytes, and no slash", ref, maxAltName)
	}
	if _, err := path.Match(ref, ""); err != nil {
		return fmt.Errorf("pattern %q for names of interfaces: %w (the syntax is that of Go's path.Match)", ref, err)
	}
	return nil
}

// IsKernelName reports whether ref can be the name of a device, as opposed to a pattern or
// an alternative name.
func IsKernelName(ref string) bool {
	return !strings.ContainsAny(ref, "*?[") && len(ref) < unix.IFNAMSIZ
}

// FindInterfaces returns the kernel's names of the devices that a reference means now, in
// order: a name, an alternative name (altname of ip link) or a pattern of either as in
// [path.Match]. It looks in the namespaces with the given inode numbers, or in all that are
// known, at what the last look at each of them saw.
func (v *Inventory) FindInterfaces(ref string, within []uint32) []string {
	matches := func(name string) bool {
		ok, _ := path.Match(ref, name)
		return ok
	}
	var names []string
	v.mu.RLock()
	defer v.mu.RUnlock()
	for inode, s := range v.spaces {
		snap := s.snapshot.Load()
		if !snap.found || within != nil && !slices.Contains(within, inode) {
			continue
		}
		for _, d := range snap.devices {
			if d.seen.Equal(snap.listed) && (matches(d.device.Name) || slices.ContainsFunc(d.others, matches)) {
				names = append(names, d.device.Name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// RefreshInterfaces lists the devices of every known namespace again that was last looked at
// longer than Config.MaxAge ago. Its caller decides how often, and so how much of the
// machine's time it takes.
func (v *Inventory) RefreshInterfaces() {
	var old []*space
	for inode := range v.finder.titles() {
		s := v.space(inode)
		if snap := s.snapshot.Load(); !snap.found || v.cfg.Now().Sub(snap.looked) >= v.cfg.MaxAge {
			old = append(old, s)
		}
	}
	oldestFirst(old)
	for _, s := range old {
		waitFor(v.ask(s, v.needOf(s, s.snapshot.Load(), v.cfg.Now())).done, Steady)
	}
}
