// SPDX-License-Identifier: Apache-2.0

package bypass

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"

	"github.com/dwelltrace/dwell/fastpath/flow"
)

// victim is an entry that is to go.
type victim struct {
	key   flow.Key
	id    uint64
	ended bool // already
}

// Sweep removes flows that have ended, that have been idle for so long, or that have been for a quarter of
// it without ever having been approved, and returns how many. The fuller a tenant's share is, the sooner its
// flows go: so nobody out there keeps it full with flows that are of no use any more.
func (b *Bypass) Sweep(ctx context.Context, idle time.Duration) (n int, err error) {
	room, err := b.pressures(idle)
	if err == nil {
		n, err = b.remove(ctx, flow.Lease, room.goes, room.more)
	}
	if err != nil {
		return n, fmt.Errorf("sweep flows: %w", err)
	}
	return n, nil
}

// Flush removes all flows of a tenant's slot, or of all if it is 0, and returns how many.
func (b *Bypass) Flush(slot uint16) (int, error) {
	n, err := b.remove(context.Background(), flow.Changed, func(f *flow.Flow) bool {
		return slot == 0 || f.Slot == slot || f.Other == slot
	}, nil)
	if err != nil {
		return n, fmt.Errorf("flush flows: %w", err)
	}
	return n, nil
}

// remove removes the flows of which the function says so, and returns how many. Each ends first, for
// that reason. They are forgotten when no program can have one of them in its hands that it has found not to be
// ended: an entry that is freed is another flow's at once. What further returns, when all flows were seen, goes too;
// it may be nil.
func (b *Bypass) remove(ctx context.Context, reason flow.Reason, is func(*flow.Flow) bool, further func() []victim) (n int, err error) {
	var victims []victim
	err = b.each(func(f *flow.Flow) bool {
		if is(f) {
			victims = append(victims, victim{key: f.Key, id: f.ID, ended: f.Ended != flow.Fast})
		}
		return ctx.Err() == nil
	})
	if further != nil {
		victims = append(victims, further()...)
	}
	if err != nil || len(victims) == 0 || ctx.Err() != nil {
		return 0, errors.Join(err, ctx.Err())
	}
	for i := range victims {
		v := &victims[i]
		if v.ended {
			continue
		}
		if err := b.run(plainProgEnd, &v.key, v.id, plainFlowArgs{Reason: uint32(reason)}); err != nil && !errors.Is(err, ErrGone) {
			return 0, err
		}
	}
	if err := b.waitForPrograms(); err != nil {
		return 0, err
	}
	for i := range victims {
		v := &victims[i]
		switch err := b.run(plainProgForget, &v.key, v.id, plainFlowArgs{}); {
		case err == nil:
			n++
		case !errors.Is(err, ErrGone):
			return n, err
		}
		if err := ctx.Err(); err != nil {
			return n, err // the rest has ended, and goes the next time
		}
	}
	return n, nil
}

// waitForPrograms waits until all programs that were running have ended.
func (b *Bypass) waitForPrograms() error {
	release, err := b.use()
	if err != nil {
		return err
	}
	defer release()
	return b.grace.wait()
}

// grace waits for programs. The kernel does so for whoever replaces an element of a map of maps: map_update_elem
// in kernel/bpf/syscall.c calls maybe_wait_bpf_programs, which calls synchronize_rcu for maps of these types, so
// that user space knows that programs use the new one when it returns. Linux does since 5.0; programs at TC, which
// do not sleep, run within one section of RCU.
type grace struct {
	outer, inner *ebpf.Map
}

func (g *grace) open() (err error) {
	inner := &ebpf.MapSpec{Name: "grace_inner", Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1}
	if g.inner, err = ebpf.NewMap(inner); err != nil {
		return err
	}
	g.outer, err = ebpf.NewMap(&ebpf.MapSpec{
		Name: "grace", Type: ebpf.ArrayOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 1, InnerMap: inner,
	})
	return err
}

func (g *grace) wait() error {
	if err := g.outer.Put(uint32(0), g.inner); err != nil {
		return fmt.Errorf("wait for programs: %w", err)
	}
	return nil
}

func (g *grace) close() error { return errors.Join(g.outer.Close(), g.inner.Close()) }
