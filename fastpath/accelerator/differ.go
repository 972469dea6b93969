// SPDX-License-Identifier: Apache-2.0

package accelerator

import (
	"slices"
	"time"

	"github.com/dwelltrace/dwell/fastpath/bypass"
)

// differs returns the slots of the tenants whose devices are others than in o, or are blocked for other
// reasons, or that it may concern everybody.
func (v *view) differs(o *view) (slots []uint16, everybody bool) {
	if v.facts == nil || o.facts == nil {
		return nil, true
	}
	if v.sameDevices(*o) {
		return nil, false
	}
	if v.facts.Blocked != o.facts.Blocked {
		return nil, true
	}
	for _, pair := range [][2]*view{{v, o}, {o, v}} {
		for _, d := range pair[0].devices {
			if slices.Contains(pair[1].devices, d) {
				continue
			}
			if !d.Port {
				return nil, true
			}
			slots = append(slots, d.Slot)
		}
	}
	for i, id := range v.active {
		if v.why(id) != o.why(id) {
			slots = append(slots, v.tenants[i].Slot)
		}
	}
	return slots, false
}

// steady knows since when ports have had a peer that can be given packets. Each change of that makes
// all flows be asked about again, and a guest can make one with a program of its own at its device:
// so a port is only given back its peer when nothing of the kind has happened for a while.
type steady struct{ noPeer map[int]time.Time }

// settle leaves out the peers that are not steady.
func (s *steady) settle(devices []bypass.Device) {
	now := time.Now()
	for i := range devices {
		d := &devices[i]
		if d.Port && !d.Peer {
			s.noPeer[d.Index] = now
		}
		d.Peer = d.Peer && now.Sub(s.noPeer[d.Index]) >= steadyFor
	}
}
