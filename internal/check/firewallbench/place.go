// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/firewall"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// placed says how long it took to put rules in force.
type placed struct{ compile, swap, all time.Duration }

// placer puts rules in force on a lab's hypervisor.
type placer interface {
	// place replaces all rules by a text of iptables-save.
	place(ctx context.Context, text string) (placed, error)
	close() error
}

// The ways to place rules.
const (
	none   = "none"
	legacy = "legacy"
	nft    = "nft"
	dwell  = "dwell"
)

func newPlacer(ctx context.Context, way string, l *lab, dir string) (placer, error) {
	switch way {
	case none:
		return noRules{}, nil
	case legacy, nft:
		return &iptables{lab: l, program: "iptables-" + way + "-restore"}, nil
	}
	return newManaged(ctx, l, dir)
}

type noRules struct{}

func (noRules) place(context.Context, string) (placed, error) { return placed{}, nil }
func (noRules) close() error                                  { return nil }

// iptables has the rules in the host's FORWARD.
type iptables struct {
	lab     *lab
	program string
}

func (i *iptables) place(ctx context.Context, text string) (placed, error) {
	begin := time.Now()
	cmd := exec.CommandContext(ctx, i.program)
	cmd.Stdin = strings.NewReader(text)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := i.lab.hypervisor.Do(cmd.Run); err != nil {
		return placed{}, fmt.Errorf("%s: %w: %s", i.program, err, bytes.TrimSpace(stderr.Bytes()))
	}
	return placed{all: time.Since(begin)}, nil
}

func (i *iptables) close() error { return nil } // the namespace goes

// managed has them as a tenant's, in dwell's firewall.
type managed struct {
	manager *firewall.Manager
	dir     string
	stop    context.CancelFunc
	done    chan error
}

// tenantID is who has the rules.
const tenantID = "red"

func newManaged(ctx context.Context, l *lab, dir string) (p placer, err error) {
	m := &managed{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("dwell's firewall: %w", err), m.close())
		}
	}()
	m.manager, err = firewall.New(firewall.Options{
		StateDir: filepath.Join(dir, "state"), Pin: m.pin(), IPTables: legacy, NetNS: l.hypervisor,
	})
	if err != nil {
		m.manager = nil
		return m, err
	}
	set, err := tenant.NewSet([]tenant.Tenant{{
		ID: tenantID, Bridges: []string{bridgeName}, Ports: []string{portName},
		Prefixes: []netip.Prefix{netip.MustParsePrefix(guests), netip.MustParsePrefix(guestAddr + "/24").Masked()},
	}}, nil, []string{uplinkName})
	if err != nil {
		return m, err
	}
	m.manager.SetTenants(set)
	if err := m.manager.Adopt(ctx); err != nil {
		return m, err
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	m.stop, m.done = stop, make(chan error, 1)
	go func() { m.done <- m.manager.Run(running) }()
	return m, nil
}

func (m *managed) pin() string { return filepath.Join(m.dir, "bpf") }

func (m *managed) place(ctx context.Context, text string) (placed, error) {
	begin := time.Now()
	restored, err := m.manager.Restore(ctx, firewall.Restore{Tenant: tenantID, Family: 4, Text: text})
	if err != nil {
		return placed{}, err
	}
	if !restored.Done {
		return placed{}, fmt.Errorf("dwell refused rules: %+v", restored.Answers)
	}
	return placed{compile: restored.CompileTime, swap: restored.SwapTime, all: time.Since(begin)}, nil
}

// tc reports whether programs decide.
func (m *managed) tc(ctx context.Context) error {
	listing, err := m.manager.List(ctx, tenantID)
	if err != nil {
		return err
	}
	for _, f := range listing.Families {
		if f.Family == 4 && f.Place != firewall.TC {
			return fmt.Errorf("dwell left the rules to iptables: %s %v", f.Reason, listing.Problems)
		}
	}
	return nil
}

func (m *managed) close() error {
	var errs []error
	if m.stop != nil {
		m.stop()
		if err := <-m.done; !errors.Is(err, context.Canceled) {
			errs = append(errs, err)
		}
	}
	if m.manager != nil {
		errs = append(errs, m.manager.Flush(context.Background(), tenantID), m.manager.Close())
	}
	if err := unix.Unmount(m.pin(), unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		errs = append(errs, err)
	}
	return errors.Join(append(errs, os.RemoveAll(m.dir))...)
}
