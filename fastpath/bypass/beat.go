// SPDX-License-Identifier: Apache-2.0

package bypass

import (
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// instant is a moment on two of the kernel's clocks.
type instant struct {
	jiffies uint64
	ns      uint64 // of CLOCK_MONOTONIC
}

// Beat says that user space is there, for the next 3 seconds.
func (b *Bypass) Beat() error {
	if err := b.beat(false); err != nil {
		return fmt.Errorf("keep the fast path in force: %w", err)
	}
	return nil
}

// Rest says that user space is not there any more: from now on all packets are the kernel's.
func (b *Bypass) Rest() error {
	if err := b.beat(true); err != nil {
		return fmt.Errorf("end the fast path in order: %w", err)
	}
	return nil
}

func (b *Bypass) beat(rest bool) error {
	release, err := b.use()
	if err != nil {
		return err
	}
	defer release()
	var args plainBeatArgs
	if rest {
		args.Rest = 1
	}
	if _, err := b.programs[plainProgBeat].Run(&ebpf.RunOptions{Context: args, ContextOut: &args}); err != nil {
		return err
	}
	b.clock.Store(&instant{jiffies: args.Jiffies, ns: args.Ns})
	return nil
}

// now returns the kernel's time in jiffies, within one or two of them: it is worked out from the
// last heartbeat.
func (b *Bypass) now() (uint64, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0, err
	}
	last := b.clock.Load()
	ns := uint64(max(0, ts.Nano()-int64(last.ns)))
	perSecond := uint64(time.Second)
	return last.jiffies + ns/perSecond*uint64(b.kernel.hz) + ns%perSecond*uint64(b.kernel.hz)/perSecond, nil
}
