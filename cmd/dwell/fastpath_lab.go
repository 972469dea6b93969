// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/accelerator"
	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// labFastPathWait is how long to wait until the fast path of a lab is in force, at most: its programs have to be
// verified, which on a busy machine takes more than a few seconds.
const labFastPathWait = time.Minute

// labFastPath is the fast path of one tenant in the hypervisor of a lab, which is not the host.
type labFastPath struct {
	tenant, nic string
	set         *tenant.Set
	ns          *netns.NS
	manager     *accelerator.Manager
	// dir is in /run: a file system for BPF is mounted in it.
	dir string
}

func (f *labFastPath) pin() string { return filepath.Join(f.dir, "bpf") }

// open makes the manager of the fast path, which changes nothing yet. The options are what the
// fields do not say.
func (f *labFastPath) open(o accelerator.Options) (err error) {
	if err := os.Mkdir(f.dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	o.Pin, o.NetNS, o.NICs = f.pin(), f.ns, []string{f.nic}
	f.manager, err = accelerator.New(o)
	return err
}

// close takes the fast path out of force and leaves nothing behind.
func (f *labFastPath) close() error {
	var errs []error
	if f.manager != nil {
		errs = append(errs, f.manager.Down(), f.manager.Close())
	}
	if f.ns != nil {
		errs = append(errs, f.ns.Close())
	}
	if err := unix.Unmount(f.pin(), 0); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		errs = append(errs, fmt.Errorf("unmount %s: %w", f.pin(), err))
	}
	return errors.Join(append(errs, os.RemoveAll(f.dir))...)
}

// await waits until the fast path is in force. The error says why it is not.
func (f *labFastPath) await(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, labFastPathWait)
	defer stop()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		s, err := f.manager.Status(ctx, accelerator.Query{Operator: true})
		switch {
		case err != nil:
			return err
		case s.Unsupported != "":
			return errors.New(s.Unsupported)
		}
		why := f.missing(s)
		if why == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.New(why)
		case <-again.C:
		}
	}
}

// missing says why the fast path is not in force, or returns "".
func (f *labFastPath) missing(s *accelerator.Status) string {
	if len(s.Devices) == 0 || !s.Attended {
		return strings.Join(append([]string{"it has not begun"}, s.Problems...), ": ")
	}
	if s.Held {
		return "it is held: " + s.HeldBecause
	}
	for _, d := range s.Devices {
		if mine := d.Tenant == f.tenant || d.Name == f.nic; mine && (!d.Attached || d.Blocked != "") {
			return strings.TrimSuffix(d.Name+" is not part of it: "+d.Blocked, ": ")
		}
	}
	for _, t := range s.Tenants {
		if t.Tenant == f.tenant && len(t.Blocked) > 0 {
			return t.Blocked[0]
		}
	}
	return ""
}
