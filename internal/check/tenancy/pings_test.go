// SPDX-License-Identifier: Apache-2.0

//go:build linux

package tenancy

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/study/pinger"
)

// pingsEach is how many echoes a guest sends to each target.
const pingsEach = 2

// journey is a few pings of one guest.
type journey struct {
	from   guest
	target string
	// size is that of the payload; the larger one is sent in fragments.
	size int
}

// journeys draws who pings whom: every guest pings the world, somebody else, and itself a
// neighbour, if there is one; on the shared bridge also an address that nobody has, whose
// frames are flooded to the ports of all.
func (h *host) journeys(r *rand.Rand) (all []journey) {
	for _, c := range h.customers {
		for _, g := range c.guests {
			size := []int{56, 56, 3000}[r.IntN(3)]
			all = append(all, journey{g, farAddr, size})
			if c.how == onSharedBridge {
				all = append(all, journey{g, nobodyAddr, size})
			}
			other := h.customers[r.IntN(len(h.customers))]
			if other == c {
				for _, neighbour := range c.guests {
					if neighbour != g {
						all = append(all, journey{g, neighbour.address, size})
					}
				}
				continue
			}
			target := other.guests[r.IntN(len(other.guests))].address
			if other.nat {
				target = other.public()
			}
			all = append(all, journey{g, target, size})
		}
	}
	return all
}

// send sends all pings, those of different guests at once, and returns how many.
func (h *host) send(all []journey) int {
	h.t.Helper()
	var wg sync.WaitGroup
	for _, j := range all {
		wg.Go(func() {
			ns, err := netns.OpenName(j.from.netns)
			if err != nil {
				h.t.Error(err)
				return
			}
			defer ns.Close()
			_, err = pinger.Run(h.t.Context(), pinger.Config{
				NetNS: ns, Target: netip.MustParseAddr(j.target), Count: pingsEach, Interval: 20 * time.Millisecond, Timeout: 200 * time.Millisecond, Size: j.size,
			})
			if err != nil {
				h.t.Errorf("%s to %s: %v", j.from.netns, j.target, err)
			}
		})
	}
	wg.Wait()
	return len(all) * pingsEach
}
