// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"github.com/dwelltrace/dwell/correlate/trace"
)

// LookAtNew scans the namespaces that were found under a name by which they are not known
// yet, so that answers about them need not wait. It scans them again while they are young,
// and where the other ends of their devices are: they get devices after their names, and may
// be gone before the first ping through them is a trace. Its caller decides how often; each
// namespace is scanned a few times in all, at doubled intervals.
func (v *Inventory) LookAtNew() {
	for inode, name := range v.finder.titles() {
		s := v.space(inode)
		snap := s.snapshot.Load()
		if snap.found && snap.netns.Name == name && !v.growing(snap) {
			continue
		}
		n := urgent
		if snap.found && snap.netns.Name == name {
			n = refresh
		}
		for _, k := range v.await(s, n).devices {
			v.lookFor(k.device.Lower)
		}
	}
}

// growing reports whether a namespace is young, and it is time for another look.
func (v *Inventory) growing(snap *snapshot) bool {
	if !snap.since.After(v.started) || snap.looked.Sub(snap.since) > Steady {
		return false
	}
	return v.cfg.Now().Sub(snap.looked) >= max(v.cfg.MinInterval, snap.looked.Sub(snap.since))
}

// lookFor scans the namespace that a device is in, if the device is not known.
func (v *Inventory) lookFor(p trace.Place) {
	if p.NetNS == 0 {
		return
	}
	s := v.space(p.NetNS)
	if _, ok := s.snapshot.Load().devices[p.Index]; !ok {
		v.await(s, urgent)
	}
}
