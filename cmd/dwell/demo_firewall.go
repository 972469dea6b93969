// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/waterfall"
	"github.com/dwelltrace/dwell/fastpath/firewall"
	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/ruletrace"
	"github.com/dwelltrace/dwell/internal/study/lab"
	"github.com/dwelltrace/dwell/internal/tenant"
)

const (
	// demoForbidden is the address of the outside that a rule forbids the first tenant.
	demoForbidden = "192.168.122.1"
	// demoTries is how often each tenant pings it. More would only prolong the demo.
	demoTries = 5
)

// demoFirewall is the firewall of the first tenant of dwell demo --tenants, in the lab's
// hypervisor.
type demoFirewall struct {
	tenants []lab.Tenant
	ns      *netns.NS
	manager *firewall.Manager
	traced  *ruletrace.Firewall
	dir     string
	// command is the rule as it was typed, answer what became of it.
	command string
	answer  *firewall.Answer
	// dropped and passed are pings of the first and the second tenant to the forbidden address.
	dropped, passed []*trace.Trace
}

// newDemoFirewall puts a rule of the first tenant in force: its guest may not ping an address that
// the second tenant's, which has the same address, may. Its state is below /run, where only
// root writes, and removed by close.
func newDemoFirewall(ctx context.Context, prefix string, l *lab.Lab, set *tenant.Set, log *slog.Logger) (_ *demoFirewall, err error) {
	of := l.Topology().Tenants()
	f := &demoFirewall{
		tenants: of, dir: filepath.Join("/run", prefix+"-demo-firewall"),
		command: fmt.Sprintf("iptables -A FORWARD -s %s -d %s -p icmp -j DROP", of[0].Guest, demoForbidden),
	}
	if err := os.Mkdir(f.dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.close(ctx))
		}
	}()
	if f.ns, err = l.Open(lab.Hypervisor); err != nil {
		return nil, err
	}
	f.manager, err = firewall.New(firewall.Options{StateDir: filepath.Join(f.dir, "state"), Pin: f.pin(), NetNS: f.ns, Log: log})
	if err != nil {
		return nil, err
	}
	f.manager.SetTenants(set)
	if err := f.manager.Adopt(ctx); err != nil {
		return nil, err
	}
	if f.answer, err = f.manager.Do(ctx, firewall.Request{Tenant: of[0].Role, Words: strings.Fields(f.command), Operator: true}); err != nil {
		return nil, err
	}
	if f.answer.Place == firewall.Refused {
		return nil, fmt.Errorf("%s: refused: %s", f.command, f.answer.Reason)
	}
	f.traced, err = ruletrace.New(f.manager, f.ns)
	return f, err
}

func (f *demoFirewall) pin() string { return filepath.Join(f.dir, "bpf") }

// close takes the rule out of force and leaves nothing behind.
func (f *demoFirewall) close(ctx context.Context) error {
	var errs []error
	if f.traced != nil {
		f.traced.Close()
	}
	if f.manager != nil {
		errs = append(errs, f.manager.Flush(context.WithoutCancel(ctx), f.tenants[0].Role), f.manager.Close())
	}
	if f.ns != nil {
		errs = append(errs, f.ns.Close())
	}
	if err := unix.Unmount(f.pin(), 0); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		errs = append(errs, fmt.Errorf("unmount %s: %w", f.pin(), err))
	}
	return errors.Join(append(errs, os.RemoveAll(f.dir))...)
}

// pings are those that the rule is about: the first tenant's, and the second's, which it does
// not concern.
func (f *demoFirewall) pings() []lab.Ping {
	to := netip.MustParseAddr(demoForbidden)
	return []lab.Ping{{From: f.tenants[0].Role, To: to}, {From: f.tenants[1].Role, To: to}}
}

// keep takes a finished trace if it is of a ping to the forbidden address.
func (f *demoFirewall) keep(t *trace.Trace) {
	if t.Ping.Dst.String() != demoForbidden {
		return
	}
	switch t.Tenant() {
	case f.tenants[0].Role:
		f.dropped = append(f.dropped, t)
	case f.tenants[1].Role:
		f.passed = append(f.passed, t)
	}
}

// write shows what the rule does.
func (f *demoFirewall) write(w io.Writer, o waterfall.Options) error {
	red, blue := f.tenants[0].Role, f.tenants[1].Role
	answered, example := 0, (*trace.Trace)(nil)
	for _, t := range f.passed {
		if t.Outcome == trace.Complete {
			answered++
		}
	}
	for _, t := range f.dropped {
		if t.Dropped(0) != nil {
			example = t
		}
	}
	fmt.Fprintf(w, "\nWHAT A RULE OF %s DOES\ndwell firewall --tenant %s -- %s\n%s: %s\n\n", strings.ToUpper(red), red, f.command, f.answer.Place, f.answer.Reason)
	if example != nil {
		if err := waterfall.Write(w, example, o); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "\n%s's guest has the same address, and the rule is none of its: %d of its %d pings to %s were answered.\n", blue, answered, len(f.passed), demoForbidden)
	return err
}

// check returns an error if the rule did not do what it says.
func (f *demoFirewall) check() error {
	wrong := 0
	for _, t := range f.dropped {
		if t.Outcome != trace.Dropped || t.Dropped(0) == nil {
			wrong++
		}
	}
	for _, t := range f.passed {
		if t.Outcome != trace.Complete {
			wrong++
		}
	}
	if wrong > 0 || len(f.dropped) != demoTries || len(f.passed) != demoTries {
		return fmt.Errorf("of %d and %d pings that the firewall's rule is about, %d were not traced as they should be", len(f.dropped), len(f.passed), wrong)
	}
	return nil
}
