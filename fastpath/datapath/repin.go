// SPDX-License-Identifier: Apache-2.0

package datapath

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/dwelltrace/dwell/fastpath/internal/pinned"
)

// Repin pins again what somebody has removed or unmounted, and reports whether there was any. Legacy
// iptables opens the programs that its rules name whenever anybody changes any rule: without the pins,
// nobody on the host could. Ports whose links were pinned have to be attached again.
func (d *Datapath) Repin() (repaired bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	repaired, err = d.repin()
	if err != nil {
		return repaired, fmt.Errorf("pin the firewall's programs again: %w", explain(err))
	}
	return repaired, nil
}

func (d *Datapath) repin() (repaired bool, err error) {
	if _, err := os.Stat(d.dir()); errors.Is(err, fs.ErrNotExist) {
		if err := errors.Join(pinned.Prepare(d.opts.Pin), os.MkdirAll(d.dir(), 0o700)); err != nil {
			return false, err
		}
	}
	for name, m := range d.maps {
		again, err := pinned.Repin(d.Path(name), m)
		if err != nil {
			return repaired, fmt.Errorf("map %s: %w", name, err)
		}
		repaired = repaired || again
	}
	for name, p := range d.programs {
		again, err := pinned.Repin(d.Path(name), p)
		if err != nil {
			return repaired, fmt.Errorf("program %s: %w", name, err)
		}
		repaired = repaired || again
	}
	return repaired, nil
}
