// SPDX-License-Identifier: Apache-2.0

package bypass

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/dwelltrace/dwell/fastpath/internal/pinned"
	"github.com/dwelltrace/dwell/internal/netns"
)

// Repin pins again what somebody has removed or unmounted, attaches again what was detached by that, and
// reports whether there was any. Without the pins, what is there would end with the agent.
func (b *Bypass) Repin() (repaired bool, err error) {
	b.change.Lock()
	defer b.change.Unlock()
	release, err := b.use()
	if err != nil {
		return false, err
	}
	defer release()
	err = netns.In(b.opts.NetNS, func() (err error) {
		repaired, err = b.repin()
		return err
	})
	if err != nil {
		return repaired, fmt.Errorf("pin the fast path's programs again: %w", explain(err))
	}
	return repaired, nil
}

func (b *Bypass) repin() (repaired bool, err error) {
	if _, err := os.Stat(b.dir()); errors.Is(err, fs.ErrNotExist) {
		if err := b.prepare(); err != nil {
			return false, err
		}
	}
	for name, m := range b.maps {
		again, err := pinned.Repin(b.path(name), m)
		if err != nil {
			return repaired, fmt.Errorf("map %s: %w", name, err)
		}
		repaired = repaired || again
	}
	for name, p := range b.programs {
		again, err := pinned.Repin(b.path(name), p)
		if err != nil {
			return repaired, fmt.Errorf("program %s: %w", name, err)
		}
		repaired = repaired || again
	}
	for _, d := range b.devices {
		for _, h := range hooks() {
			if !d.has(h) {
				continue
			}
			id, err := b.attached(h, d.Index)
			if err != nil {
				return repaired, err
			}
			if id == 0 {
				return true, b.setDevices(b.devices)
			}
		}
	}
	return repaired, nil
}
