// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"fmt"
	"strings"
)

// claims finds two tenants that own the same.
type claims struct {
	errs    []error
	numbers map[uint32]*Tenant
	// owners are those who claim a thing by a name that is not a pattern.
	owners map[thing]claim
}

// thing is what can be owned once.
type thing struct{ kind, name string }

// claim says who owns a thing, and in which words.
type claim struct {
	tenant *Tenant
	said   string
}

// The kinds of things. A port and a bridge are devices, and a port of OpenStack's says how
// its devices are named.
const (
	deviceThing    = "device"
	netnsThing     = "namespace"
	containerThing = "container"
	vmThing        = "VM"
)

func newClaims() *claims {
	return &claims{numbers: map[uint32]*Tenant{}, owners: map[thing]claim{}}
}

func (c *claims) note(err error) { c.errs = append(c.errs, err) }

// enter notes all that a tenant owns by name.
func (c *claims) enter(t *Tenant) {
	for _, l := range []struct {
		kind, field string
		names       []string
	}{
		{deviceThing, "port", t.Ports},
		{deviceThing, "bridge", t.Bridges},
		{netnsThing, "namespace", t.NetNS},
		{containerThing, "container", t.Containers},
		{vmThing, "VM", t.VMs},
	} {
		for _, name := range l.names {
			if !IsPattern(name) {
				c.claim(thing{l.kind, name}, claim{t, l.field + " " + name})
			}
		}
	}
	for _, uuid := range t.NeutronPorts {
		for _, name := range neutronDevices(uuid) {
			if !c.claim(thing{deviceThing, name}, claim{t, "port " + uuid + " of OpenStack"}) {
				break // the others are the same mistake
			}
		}
	}
}

// claim notes a claim, and reports whether nobody else has made it.
func (c *claims) claim(what thing, now claim) bool {
	before, ok := c.owners[what]
	if !ok {
		c.owners[what] = now
		return true
	}
	if before.tenant == now.tenant {
		return true
	}
	text := now.said + " belongs"
	if before.said != now.said {
		text = before.said + " and " + now.said + " are the same " + what.kind + " and belong"
	}
	c.note(fmt.Errorf("%s to %s and to %s: remove it from one of them", text, before.tenant.label(), now.tenant.label()))
	return false
}

// share notes what every tenant may see, and so cannot belong to one.
func (c *claims) share(kind, name, said string) {
	if owner, ok := c.owners[thing{kind, name}]; ok {
		c.note(fmt.Errorf("%s and belongs to %s (%s): remove it there or here", said, owner.tenant.label(), owner.said))
	}
}

// neutronPrefixes are how the names of devices of OpenStack's ports begin: a guest's tap; the
// pair and the bridge between it and Open vSwitch; a router's inner and outer end.
var neutronPrefixes = [...]string{"tap", "qvo", "qvb", "qbr", "qr-", "qg-"}

// neutronDevices returns the names that devices of the port may have.
func neutronDevices(uuid string) []string {
	part := strings.ToLower(uuid)[:neutronNameLen]
	names := make([]string, 0, len(neutronPrefixes))
	for _, prefix := range neutronPrefixes {
		names = append(names, prefix+part)
	}
	return names
}
