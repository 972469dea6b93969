// SPDX-License-Identifier: Apache-2.0

package accelerator

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/approval"
	"github.com/dwelltrace/dwell/fastpath/bypass"
	"github.com/dwelltrace/dwell/fastpath/flow"
	"github.com/dwelltrace/dwell/fastpath/liberal"
)

// judge decides about flows, by what was there when it was made. It is not modified.
type judge struct {
	policy policy
	// number is that of its approvals: those with another do not count.
	number uint32
	modes  map[uint16]flow.Mode
	// ports have the slots of their tenants.
	ports map[int]uint16
	// blocked says why no flow of a tenant may be fast, by slot.
	blocked map[uint16]string
}

// same reports whether both decide alike.
func (j *judge) same(o *judge, equal func(a, b policy) bool) bool {
	return maps.Equal(j.modes, o.modes) && maps.Equal(j.blocked, o.blocked) && equal(j.policy, o.policy)
}

// slotOf returns whose turn it is to have a flow decided: that of the tenant from whose port it comes or,
// from a NIC, to whose port it goes.
func (j *judge) slotOf(c *bypass.Candidate) uint16 {
	if slot := j.ports[c.Forth.IfIndex]; slot != 0 {
		return slot
	}
	return j.ports[c.Back.IfIndex]
}

// decide says whether both directions of a flow may be fast.
func (j *judge) decide(forth, back *flow.Flow) approval.Decision {
	for _, slot := range []uint16{forth.Slot, forth.Other, back.Slot, back.Other} {
		if why := j.blocked[slot]; why != "" {
			return approval.Decision{Reason: flow.Device, Detail: why}
		}
	}
	if forth.Tracked != back.Tracked || forth.Zone != back.Zone || forth.Tracked && forth.Reply == back.Reply {
		return approval.Decision{Reason: flow.State, Detail: "connection tracking does not see its two directions as one connection"}
	}
	if back.Rewrite.Out != forth.Key.IfIndex || forth.Rewrite.Out != back.Key.IfIndex {
		// As while a bridge floods a destination that it does not know yet.
		return approval.Decision{Reason: flow.Moved, Detail: "its two directions do not pass the same devices"}
	}
	return j.policy.Judge(forth, back)
}

// needsLiberal reports whether connection tracking has to be told not to check the windows of a
// flow. It is not in a tenant's shadow mode, in which nothing is changed.
func (j *judge) needsLiberal(forth, back *flow.Flow) bool {
	return forth.Key.Proto == unix.IPPROTO_TCP && forth.Tracked && (j.modes[forth.Slot] == flow.On || j.modes[back.Slot] == flow.On)
}

// decideAll decides about flows, those of each tenant in turn.
func (m *Manager) decideAll(ctx context.Context, s *session) error {
	l, err := m.faces.liberal()
	if err != nil {
		m.note("liberal", fmt.Errorf("TCP stays slow, because its windows would be checked: %w", err))
		l = nil
	} else {
		defer l.Close()
		m.note("liberal", nil)
	}
	failing := false
	for {
		c, ok := m.queue.pop(ctx)
		if !ok {
			return nil
		}
		j := m.judge.Load()
		if j == nil {
			continue // it is asked again
		}
		if err := m.settle(s.programs, l, j, c); err != nil || failing {
			m.note("settle", err)
			failing = err != nil
		}
	}
}

// settle answers the programs about one flow. If that cannot be done now, they ask again.
func (m *Manager) settle(p programs, l liberator, j *judge, c bypass.Candidate) error {
	forth, back, err := p.Look(c)
	if err != nil {
		return ignoreGone(err)
	}
	d := j.decide(forth, back)
	if d.OK && j.needsLiberal(forth, back) {
		switch err := makeLiberal(l, forth, back); {
		case errors.Is(err, liberal.ErrGone):
			return nil
		case err != nil:
			d = approval.Decision{Reason: flow.Forbidden, Detail: fmt.Sprintf("connection tracking would check its windows: %v", err)}
		}
	}
	if !d.OK {
		m.tally.refused(forth.Slot, d.Reason)
		return ignoreGone(p.Refuse(forth, back, j.number, d.Reason, m.details.number(d.Detail)))
	}
	err = p.Approve(forth, back, j.number)
	if err == nil {
		m.tally.approved(forth.Slot)
	}
	return ignoreGone(err)
}

// ignoreGone leaves out that a flow has ended meanwhile, or that its connection has opened anew.
func ignoreGone(err error) error {
	if errors.Is(err, bypass.ErrGone) || errors.Is(err, bypass.ErrNotLiberal) {
		return nil
	}
	return err
}

func makeLiberal(l liberator, forth, back *flow.Flow) error {
	if l == nil {
		return errors.New("ctnetlink cannot be asked")
	}
	original := forth
	if forth.Reply {
		original = back
	}
	return l.Set(original.Key.Tuple, original.Zone)
}
