// SPDX-License-Identifier: Apache-2.0

package twin

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/dwelltrace/dwell/fastpath/bypass"
	"github.com/dwelltrace/dwell/fastpath/flow"
	"github.com/dwelltrace/dwell/internal/check/fastpath/frame"
)

// more sends frames without forgetting anything before, and returns how many of the tenants' packets were fast.
func (l *lone) more(steps []Step) (fast uint64) {
	l.Helper()
	before := l.allFast()
	err := onOneCPU(func() error {
		_, err := l.settle()
		if err == nil {
			err = l.Twin.send(steps)
		}
		if err == nil {
			_, err = l.settle()
		}
		return err
	})
	if err != nil {
		l.Fatal(err)
	}
	return l.allFast() - before
}

func (l *lone) allFast() uint64 {
	red, _ := l.fastOf(redSlot)
	blue, _ := l.fastOf(blueSlot)
	return red + blue
}

// flows returns all entries.
func (l *lone) flows() (list []*flow.Flow) {
	l.Helper()
	err := l.d.programs.Flows(func(f *flow.Flow) bool {
		one := *f
		list = append(list, &one)
		return true
	})
	if err != nil {
		l.Fatal(err)
	}
	return list
}

// each does something to each entry, with its other direction.
func (l *lone) each(do func(forth, back *flow.Flow) error) error {
	var errs []error
	for _, f := range l.flows() {
		back, err := l.d.programs.Get(f.Back())
		if err != nil {
			return err
		}
		errs = append(errs, do(f, back))
	}
	return errors.Join(errs...)
}

// tenants sets the mode of both.
func (l *lone) tenants(red, blue flow.Mode) error {
	return l.d.programs.SetTenants([]bypass.Tenant{
		{Slot: redSlot, Number: 1, Mode: red, Capacity: capacity}, {Slot: blueSlot, Number: 2, Mode: blue, Capacity: capacity},
	})
}

// After each of these the next packet of a flow is the kernel's, in both directions.
func TestStops(t *testing.T) {
	for _, c := range []struct {
		name string
		stop func(*lone) error
	}{
		{"held", func(l *lone) error { l.d.programs.Hold(true); return nil }},
		{"nobody attends", func(l *lone) error { return l.d.programs.Rest() }},
		{"everybody's epoch", func(l *lone) error { l.d.programs.Changed(); return nil }},
		{"the tenant's epoch", func(l *lone) error { l.d.programs.Changed(redSlot); return nil }},
		{"the other tenant's epoch", func(l *lone) error { l.d.programs.Changed(blueSlot); return nil }},
		{"off", func(l *lone) error { return l.tenants(flow.Off, flow.On) }},
		{"shadow", func(l *lone) error { return l.tenants(flow.Shadow, flow.On) }},
		{"the other off", func(l *lone) error { return l.tenants(flow.On, flow.Off) }},
		{"the other shadow", func(l *lone) error { return l.tenants(flow.On, flow.Shadow) }},
		{"approvals count no more", func(l *lone) error { l.d.programs.NewApproval(); return nil }},
		{"refused", func(l *lone) error {
			return l.each(func(f, b *flow.Flow) error {
				return l.d.programs.Refuse(f, b, l.d.programs.Approval(), flow.Forbidden, 0)
			})
		}},
		{"ended", func(l *lone) error {
			return l.each(func(f, _ *flow.Flow) error { return l.d.programs.End(f.Key, f.ID, flow.Changed) })
		}},
		{"forgotten", func(l *lone) error { _, err := l.d.programs.Flush(0); return err }},
		{"connection tracking flushed", func(l *lone) error { return l.nl.ConntrackTableFlush(netlink.ConntrackTable) }},
		{"another route", func(l *lone) error {
			lo, err := l.nl.LinkByName(RedBridge)
			if err != nil {
				return err
			}
			_, dst, _ := net.ParseCIDR("198.18.0.0/15")
			return l.nl.RouteAdd(&netlink.Route{Dst: dst, LinkIndex: lo.Attrs().Index})
		}},
		{"lease over", func(l *lone) error {
			for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
				over := true
				for _, f := range l.flows() {
					over = over && f.Lease <= 0
				}
				if over {
					return nil
				}
			}
			return errors.New("the lease does not end")
		}},
		{"devices blocked", func(l *lone) error {
			attached, err := l.d.programs.Attached()
			if err != nil {
				return err
			}
			var devices []bypass.Device
			for i := range attached {
				d := attached[i].Device
				d.Blocked = true
				devices = append(devices, d)
			}
			return l.d.programs.SetDevices(devices)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLone(t, "routed-tracked")
			red, blue := guests[0], guests[blueGuest]
			// The lease is long enough for all others, and begins anew below.
			if err := l.d.Begin(); err != nil {
				t.Fatal(err)
			}
			l.more(l.talk(red, blue, 7, 4))
			for deadline := time.Now().Add(time.Minute); ; {
				if fast := l.more(l.talk(red, blue, 7, 1)); fast == 2 {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("nothing is fast: %+v", l.flows())
				}
			}
			l.d.stop()
			l.d.done.Wait()
			if c.name == "lease over" {
				l.d.programs.Changed()
				if err := l.d.programs.SetLease(50 * time.Millisecond); err != nil {
					t.Fatal(err)
				}
				l.more(l.talk(red, blue, 7, 1)) // the kernel is asked
			}
			if err := c.stop(l); err != nil {
				t.Fatal(err)
			}
			if fast := l.more(l.talk(red, blue, 7, 1)); fast != 0 {
				t.Errorf("%d of 2 packets were fast", fast)
			}
		})
	}
}

// A segment that closes a connection ends both directions, until it is learnt anew.
func TestClosingEnds(t *testing.T) {
	l := newLone(t, "routed-tracked")
	r := newSource(1, 4)
	if err := l.d.Begin(); err != nil {
		t.Fatal(err)
	}
	f := l.learn(r, frame.TCP, 0)
	l.more(l.one(r, f, 0, func(p *packet) { p.Payload[13] = frame.FIN | frame.ACK; sumUp(p) }))
	if fast := l.more(append(l.one(r, f, 0, nil), l.one(r, f, 1, nil)...)); fast != 0 {
		t.Errorf("%d packets of a connection that closes were fast", fast)
	}
}

// Before the kernel has treated so many packets alike none is fast, even if it was approved.
func TestUnconfirmed(t *testing.T) {
	l := newLone(t, "routed-tracked")
	if err := errors.Join(l.d.Begin(), l.d.programs.SetAgreed(1)); err != nil {
		t.Fatal(err)
	}
	f := l.learn(newSource(1, 5), frame.UDP, 0)
	if err := l.d.programs.SetAgreed(10_000); err != nil {
		t.Fatal(err)
	}
	if fast := l.more(append(l.one(newSource(2, 5), f, 0, nil), l.one(newSource(2, 5), f, 1, nil)...)); fast != 0 {
		t.Errorf("%d packets were fast, and only some have been seen", fast)
	}
}
