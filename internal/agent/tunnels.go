// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"maps"
	"time"

	"github.com/dwelltrace/dwell/bpf"
	"github.com/dwelltrace/dwell/internal/inventory"
)

// tunnelBudget is how long namespaces may be scanned for tunnels' ports at a time, which is each
// [inventory.Steady]. A namespace in which pings are seen has been scanned already.
const tunnelBudget = 2 * time.Millisecond

// portKinds translates what the inventory says.
var portKinds = map[inventory.Tunnel]bpf.PortKind{
	inventory.VXLAN:  bpf.PortVXLAN,
	inventory.Geneve: bpf.PortGeneve,
	inventory.FOUIP:  bpf.PortFOUIP,
	inventory.FOUGRE: bpf.PortFOUGRE,
	inventory.GUE:    bpf.PortGUE,
}

// tunnelWatcher tells the kernel side which UDP ports carry tunnels, because there are
// devices that say so. A port stays known after its device is gone: packets may still be on
// their way.
type tunnelWatcher struct {
	inventory *inventory.Inventory
	set       func(map[uint16]bpf.PortKind) error
	known     map[uint16]bpf.PortKind
}

// update passes on what is new.
func (w *tunnelWatcher) update() error {
	known := maps.Clone(w.known)
	if known == nil {
		known = map[uint16]bpf.PortKind{}
	}
	for port, tunnel := range w.inventory.Tunnels() {
		known[port] = portKinds[tunnel]
	}
	if maps.Equal(known, w.known) {
		return nil
	}
	if err := w.set(known); err != nil {
		return err
	}
	w.known = known
	return nil
}

// watch updates until ctx is done.
func (w *tunnelWatcher) watch(ctx context.Context) error {
	ticker := time.NewTicker(inventory.Steady)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			w.inventory.LookAround(tunnelBudget)
			if err := w.update(); err != nil {
				return err
			}
		}
	}
}
