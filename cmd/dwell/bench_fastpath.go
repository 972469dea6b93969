// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/dwelltrace/dwell/fastpath/accelerator"
	"github.com/dwelltrace/dwell/fastpath/flow"
	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/study/bench"
	"github.com/dwelltrace/dwell/internal/study/lab"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// benchTenant is who has the lab's guest.
const benchTenant = "guest"

// benchFastPath is the fast path of a lab of dwell bench.
type benchFastPath struct {
	labFastPath
	stop context.CancelFunc
	done chan error
}

// startFastPath makes the fast path of a lab, which is not in force at first.
func (f *benchFlags) startFastPath(_ context.Context, host *netns.NS, at lab.Shortcut) (bench.FastPath, error) {
	set, err := tenant.NewSet([]tenant.Tenant{{
		ID: benchTenant, Ports: []string{at.Port}, Bridges: at.Bridges, Prefixes: at.Networks,
	}}, nil, []string{at.NIC})
	if err != nil {
		return nil, err
	}
	own, err := netns.OpenName(host.Name())
	if err != nil {
		return nil, err
	}
	b := &benchFastPath{labFastPath: labFastPath{
		tenant: benchTenant, nic: at.NIC, set: set, ns: own, dir: filepath.Join("/run", f.Prefix+"-bench-fastpath"),
	}}
	if err := b.open(accelerator.Options{}); err != nil {
		return nil, errors.Join(err, b.close())
	}
	ctx, stop := context.WithCancel(context.Background())
	b.stop, b.done = stop, make(chan error, 1)
	go func() { b.done <- b.manager.Run(ctx) }()
	f.hastened = b.manager
	return b, nil
}

// Set implements [bench.FastPath].
func (b *benchFastPath) Set(ctx context.Context, fast bool) error {
	mode := flow.Off
	if fast {
		mode = flow.On
	}
	b.manager.SetTenants(b.set, map[string]flow.Mode{b.tenant: mode})
	if fast {
		return b.await(ctx)
	}
	return b.awaitNone(ctx)
}

// awaitNone waits until no device has programs any more.
func (b *benchFastPath) awaitNone(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, labFastPathWait)
	defer stop()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		s, err := b.manager.Status(ctx, accelerator.Query{Operator: true})
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(s.Devices, func(d accelerator.DeviceStatus) bool { return d.Attached }) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the fast path is still in force: %w", ctx.Err())
		case <-again.C:
		}
	}
}

// Close implements [bench.FastPath].
func (b *benchFastPath) Close() error {
	b.stop()
	err := <-b.done
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return errors.Join(err, b.close())
}
