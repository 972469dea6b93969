// SPDX-License-Identifier: Apache-2.0

package approval

import (
	"slices"
	"strings"

	"github.com/dwelltrace/dwell/fastpath/premises"
)

// on reports whether the flow's packets may pass one of the devices, nil for all.
func (d *direction) on(devices []string) bool {
	return devices == nil || slices.ContainsFunc(devices, func(name string) bool { return !d.anothers(name) })
}

// may reports whether a rule that asks for devices may match packets of the flow.
func (d *direction) may(n *premises.Note) bool {
	if n == nil {
		return true
	}
	for _, name := range n.In {
		if d.anothers(name) || d.from != nil && slices.Contains(d.host.Uplinks, name) {
			return false
		}
	}
	for _, name := range n.Out {
		if d.anothers(name) || d.to != nil && slices.Contains(d.host.Uplinks, name) {
			return false
		}
	}
	return true
}

// anothers reports whether the device is for sure one of a tenant that the flow is not of.
func (d *direction) anothers(name string) bool {
	if strings.HasSuffix(name, "+") {
		return false
	}
	t := d.host.Owner(name)
	return t != nil && t != d.from && t != d.to
}
