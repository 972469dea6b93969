// SPDX-License-Identifier: Apache-2.0

//go:build linux

package tenancy

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/backend/client"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

var (
	hosts = flag.Int("hosts", 5, "how many hosts to build")
	seed  = flag.Uint64("seed", 1, "seed of the first host")
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNothingOfOneTenantReachesAnother(t *testing.T) {
	privilegetest.BPF(t)
	for n := range *hosts {
		t.Run(fmt.Sprintf("seed %d", *seed+uint64(n)), func(t *testing.T) {
			r := rand.New(rand.NewPCG(*seed+uint64(n), 9))
			h := newHost(t, r)
			for _, c := range h.customers {
				t.Logf("%s: %d guests, %s, nat %t, by namespace %t", c.token, len(c.guests), c.how, c.nat, c.byNetNS)
				for _, g := range c.guests {
					t.Logf("%s has TTL %d (0 is the usual)", g.netns, g.ttl)
				}
			}
			a := h.start()
			operator := a.follow(client.Operator)
			views := map[string]*seen{}
			for _, c := range h.customers {
				views[c.token] = a.follow(c.token)
			}
			sent := h.send(h.journeys(r))
			a.await(fmt.Sprintf("%d traces", sent), func() bool { return len(operator.all()) >= sent })
			for _, c := range h.customers {
				h.check(a, c, operator.all(), views[c.token])
			}
		})
	}
}

// check waits until a tenant has got what is its own, and looks for anything of others in all
// that it can get.
func (h *host) check(a *running, c *customer, full []*trace.Trace, view *seen) {
	h.t.Helper()
	var want []trace.ID
	for _, t := range full {
		if h.sentBy(c, t) {
			want = append(want, t.ID)
		}
	}
	if len(want) == 0 {
		h.t.Errorf("%s has sent nothing", c.token)
	}
	a.await(fmt.Sprintf("%d traces of %s", len(want), c.token), func() bool {
		got := view.all()
		return !slices.ContainsFunc(want, func(id trace.ID) bool {
			return !slices.ContainsFunc(got, func(t *trace.Trace) bool { return t.ID == id })
		})
	})
	a.ask(c.token, view)
	h.checkText(c, full, view)
	h.checkTimes(c, full, view.all())
	h.checkOutcomes(c, full, view.all())
}

// sentBy reports whether a ping is one of a tenant's guests.
func (h *host) sentBy(c *customer, t *trace.Trace) bool {
	return strings.Contains(t.Root().NetNS.Name, c.token)
}

// checkText fails if a name, address or inode number of others is in what a tenant got.
func (h *host) checkText(c *customer, full []*trace.Trace, view *seen) {
	h.t.Helper()
	text := view.text.String()
	known := h.addressesOf(c, full)
	secret := []string{h.name("out"), "out0", fmt.Sprint(h.outside)}
	for _, other := range h.customers {
		if other == c {
			continue
		}
		secret = append(secret, other.token)
		for _, g := range other.guests {
			secret = append(secret, fmt.Sprint(g.inode))
			if !known[netip.MustParseAddr(g.address)] {
				secret = append(secret, g.address)
			}
		}
	}
	for _, s := range secret {
		if !strings.Contains(text, s) {
			continue
		}
		if at := regexp.MustCompile(`(?:^|[^0-9a-z.])` + regexp.QuoteMeta(s) + `(?:$|[^0-9.])`).FindStringIndex(text); at != nil {
			h.t.Errorf("%s can see %s: …%s…", c.token, s, text[max(0, at[0]-200):min(len(text), at[1]+200)])
		}
	}
}

// addressesOf returns those that were seen on a tenant's own devices, where it could have seen
// them itself.
func (h *host) addressesOf(c *customer, full []*trace.Trace) map[netip.Addr]bool {
	known := map[netip.Addr]bool{}
	for _, t := range full {
		for i := range t.Spans {
			s := &t.Spans[i]
			if s.Device != nil && !s.Kind.Finer() && strings.Contains(s.Device.Name, c.token) {
				src, dst := s.Packet.Addresses()
				known[src], known[dst] = true, true
			}
		}
	}
	return known
}

// inside reports whether the time of a leaf was spent in what belongs to somebody else.
func (h *host) inside(c *customer, t *trace.Trace, i int) bool {
	s := &t.Spans[i]
	for s.Kind.Finer() || s.Kind == trace.KindSoftirq {
		up := &t.Spans[s.Parent]
		if up.Kind.Journey() || up.Kind == trace.KindHypervisor || up.Kind == trace.KindDevice {
			break
		}
		s = up
	}
	if s.NetNS.Name != h.name("hyp") {
		return !strings.Contains(s.NetNS.Name, c.token)
	}
	foreign := func(d *trace.Device) bool {
		return d != nil && !strings.Contains(d.Name, c.token) && (strings.Contains(d.Name, "zq") || d.Name == "out0")
	}
	return foreign(s.Device) && (s.Peer == nil || foreign(s.Peer))
}

// checkTimes fails if a tenant can see when anything happened inside of others, apart from when
// a packet came in and out.
func (h *host) checkTimes(c *customer, full, views []*trace.Trace) {
	h.t.Helper()
	secret, known := map[int64]string{}, map[int64]bool{}
	for _, t := range full {
		for i := range t.Spans {
			s := &t.Spans[i]
			switch {
			case !s.Leaf:
			case h.inside(c, t, i):
				secret[s.Start], secret[s.End] = s.String(), s.String()
			default:
				known[s.Start], known[s.End] = true, true
			}
		}
	}
	for _, t := range views {
		for i := range t.Spans {
			s := &t.Spans[i]
			times := []int64{s.Start, s.End}
			for _, e := range s.Events {
				times = append(times, e.Time)
			}
			for _, at := range times {
				if of, bad := secret[at]; bad && !known[at] {
					h.t.Errorf("%s sees in %v the time %s of %s", c.token, s, strconv.FormatInt(at, 10), of)
				}
			}
		}
	}
}

// checkOutcomes fails unless a tenant sees of its own pings that they are complete if they are.
func (h *host) checkOutcomes(c *customer, full, views []*trace.Trace) {
	h.t.Helper()
	for _, t := range full {
		if !h.sentBy(c, t) || t.Outcome != trace.Complete {
			continue
		}
		n := slices.IndexFunc(views, func(v *trace.Trace) bool { return v.ID == t.ID })
		v := views[n]
		whole, _ := t.RTT()
		if rtt, ok := v.RTT(); v.Outcome != trace.Complete || !ok || rtt != whole {
			h.t.Errorf("%s sees its %v as %v %v after %d ns, which was complete after %d", c.token, t.Ping, v.Outcome, v.Cause, rtt, whole)
		}
	}
}
