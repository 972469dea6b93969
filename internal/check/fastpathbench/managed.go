// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/accelerator"
	"github.com/dwelltrace/dwell/fastpath/flow"
	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// The tenants of a lab with two.
const (
	red  = "red"  // whose latency is measured
	blue = "blue" // who attacks
)

// inForceWithin is how long a change of modes may take until it is in force.
const inForceWithin = time.Minute

// managed is the fast path of two tenants, as the agent keeps it.
type managed struct {
	manager *accelerator.Manager
	set     *tenant.Set
	pin     string
	stop    context.CancelFunc
	done    chan error
}

// manage begins with no tenant on the fast path.
func manage(hypervisor *netns.NS, dir string) (*managed, error) {
	set, err := tenant.NewSet([]tenant.Tenant{
		{ID: red, Bridges: []string{bridgeDevice}, Prefixes: []netip.Prefix{netip.MustParsePrefix(guestNet)}},
		{ID: blue, Bridges: []string{otherBridge}, Prefixes: []netip.Prefix{netip.MustParsePrefix(otherNet)}},
	}, nil, []string{uplinkDevice})
	if err != nil {
		return nil, err
	}
	m := &managed{set: set, pin: filepath.Join(dir, "bpf"), done: make(chan error, 1)}
	m.manager, err = accelerator.New(accelerator.Options{
		Pin: m.pin, NetNS: hypervisor, NICs: []string{uplinkDevice}, Capacity: strangersRoom,
	})
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	m.stop = stop
	go func() { m.done <- m.manager.Run(ctx) }()
	return m, nil
}

// close leaves nothing behind.
func (m *managed) close() error {
	m.stop()
	errs := []error{<-m.done, m.manager.Down(), m.manager.Close()}
	if err := unix.Unmount(m.pin, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// enter has red on the fast path, and blue or not, and returns when that is in force.
func (m *managed) enter(ctx context.Context, both bool) error {
	modes := map[string]flow.Mode{red: flow.On, blue: flow.Off}
	if both {
		modes[blue] = flow.On
	}
	m.manager.SetTenants(m.set, modes)
	why := ""
	err := await(ctx, inForceWithin, func() (bool, error) {
		s, err := m.manager.Status(ctx, accelerator.Query{Operator: true})
		if err != nil {
			return false, err
		}
		why = missing(s, both)
		return why == "", nil
	})
	if err != nil && why != "" {
		err = fmt.Errorf("the fast path is not in force: %s: %w", why, err)
	}
	return err
}

// missing says what of the modes is not in force yet, or "".
func missing(s *accelerator.Status, both bool) string {
	if !s.Supported || !s.Attended || s.Held {
		return strings.Join(append([]string{"it is not attended, or held", s.Unsupported, s.HeldBecause}, s.Problems...), "; ")
	}
	attached := map[string]bool{}
	for _, d := range s.Devices {
		attached[d.Name] = d.Attached
		if d.Blocked != "" {
			return d.Name + ": " + d.Blocked
		}
	}
	switch {
	case !attached[portDevice], !attached[uplinkDevice]:
		return "the devices have no programs"
	case attached[otherPort] != both:
		return fmt.Sprintf("%s has programs: %t", otherPort, attached[otherPort])
	}
	for _, t := range s.Tenants {
		if (t.Tenant == red || both) && len(t.Blocked) > 0 {
			return t.Blocked[0]
		}
	}
	return ""
}

// await asks again and again until something is so.
func await(ctx context.Context, within time.Duration, is func() (bool, error)) error {
	ctx, stop := context.WithTimeoutCause(ctx, within, fmt.Errorf("waited for %v", within))
	defer stop()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for {
		ok, err := is()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-again.C:
		}
	}
}

// counts is what became of a tenant's packets, and how many entries it has.
func (m *managed) counts(id string) (c counted, entries int, err error) {
	for _, t := range m.manager.Stats().Tenants {
		if t.Tenant != id {
			continue
		}
		c.why, c.taught = map[flow.Reason]uint64{}, map[flow.Reason]uint64{}
		for _, n := range []*accelerator.CountStats{&t.From, &t.To} {
			c.fast += n.Fast
			c.differ += n.Differ
			for why, k := range n.Slow {
				c.slow += k
				c.why[why] += k
			}
			for why, k := range n.Unlearnt {
				c.taught[why] += k
			}
		}
		return c, t.Flows, nil
	}
	return c, 0, fmt.Errorf("there is no tenant %s", id)
}

// strange are entries that are not what they should be, as texts.
type strange struct {
	// taken are at another's port or of another's room, or in another's name and were ever fast: there must be none.
	taken []string
	// named are in another's name, and were never fast: they take room from the tenant who sent such packets.
	named []string
}

// strange looks for entries that are not the tenant's who has them.
func (m *managed) strange(ctx context.Context) (all strange, err error) {
	for _, of := range []struct{ id, port, prefix string }{{red, portDevice, guestNet}, {blue, otherPort, otherNet}} {
		list, err := m.manager.Flows(ctx, accelerator.Query{Tenant: of.id, Operator: true}, 0)
		if err != nil {
			return all, err
		}
		for i := range list.Flows {
			for _, d := range []*accelerator.DirectionListing{list.Flows[i].Forth, list.Flows[i].Back} {
				if d != nil {
					all.add(d, of.id, of.port, netip.MustParsePrefix(of.prefix))
				}
			}
		}
	}
	return all, nil
}

// add takes one direction of a flow that a tenant has, who has a port and a prefix.
func (s *strange) add(d *accelerator.DirectionListing, id, port string, prefix netip.Prefix) {
	own := d.In != port || prefix.Contains(sourceOf(d.Packet))
	text := fmt.Sprintf("%s's: %s from %s to %s: %s", id, d.Packet, d.In, d.Out, d.State)
	switch {
	case d.In != port && d.Out != port, !own && (d.Fast > 0 || d.State == accelerator.StateFast):
		s.taken = append(s.taken, text)
	case !own:
		s.named = append(s.named, text)
	}
}

// sourceOf returns the source of a packet as a listing writes it: "tcp 192.0.2.10:40000 > 198.51.100.2:443".
func sourceOf(packet string) netip.Addr {
	words := strings.Fields(packet)
	if len(words) < 2 {
		return netip.Addr{}
	}
	if at, err := netip.ParseAddrPort(words[1]); err == nil {
		return at.Addr()
	}
	addr, err := netip.ParseAddr(words[1])
	if err != nil {
		return netip.Addr{}
	}
	return addr
}
