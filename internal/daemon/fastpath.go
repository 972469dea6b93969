// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/cilium/ebpf"

	"github.com/dwelltrace/dwell/fastpath/accelerator"
	"github.com/dwelltrace/dwell/fastpath/bypass"
	"github.com/dwelltrace/dwell/fastpath/flow"
	"github.com/dwelltrace/dwell/internal/backend"
	"github.com/dwelltrace/dwell/internal/config"
	"github.com/dwelltrace/dwell/internal/tenant"
	"github.com/dwelltrace/dwell/internal/tenantdir"
)

// fastPath is what the daemon needs of an [accelerator.Manager]. There is one whether or not a
// tenant has a fast path, because a reload may give it one; until then it changes nothing.
type fastPath interface {
	backend.FastPath
	SetTenants(*tenant.Set, map[string]flow.Mode)
	FirewallChanged(number uint32)
	SetTracing(map[string]*ebpf.Map) error
	Run(context.Context) error
	Stats() accelerator.Stats
	Summary() accelerator.Summary
	Close() error
}

func newFastPath(o accelerator.Options) (fastPath, error) { return accelerator.New(o) }

// openFastPath makes what keeps the fast path of tenants, with the firewall, whose rules say which
// flows may take it.
func (d *daemon) openFastPath(l *config.Loaded) error {
	c := l.Config.FastPath
	o := accelerator.Options{
		Pin: c.Pin, FirewallPin: l.Config.Firewall.Pin, NICs: deviceNames(c.NICs), Lease: time.Duration(c.Lease), Capacity: c.FlowsPerTenant, Log: d.log,
	}
	if rules := d.rules(); rules != nil { // otherwise it would not be nil to whoever asks
		o.Firewall = rules
	}
	m, err := d.newFastPath(o)
	if err != nil {
		return l.Error("fastpath", err)
	}
	d.fastPath.Store(&m)
	return nil
}

// path returns the fast path, nil before there is one.
func (d *daemon) path() fastPath {
	if p := d.fastPath.Load(); p != nil {
		return *p
	}
	return nil
}

// firewallChanged tells the fast path that rules of a tenant, by its number, have changed.
func (d *daemon) firewallChanged(number uint32) {
	if p := d.path(); p != nil {
		p.FirewallChanged(number)
	}
}

func deviceNames(list []config.Interface) (names []string) {
	for _, i := range list {
		names = append(names, string(i))
	}
	return names
}

// setFastPathTenants tells the fast path who the tenants are, and which have one. While it is not
// known, there are none, and everything takes the kernel's own way.
func (d *daemon) setFastPathTenants(s *tenantdir.State) {
	p := d.path()
	if p == nil {
		return
	}
	modes := map[string]flow.Mode{}
	if !s.Withheld {
		for i := range s.Definitions {
			modes[s.Definitions[i].ID] = s.Definitions[i].FastPath
		}
	}
	p.SetTenants(s.Set, modes)
}

// askedFastPath returns what the API asks: nothing if there is no fast path.
func (d *daemon) askedFastPath() backend.FastPath { return d.path() }

// runFastPath keeps the fast path until ctx is done; then everything takes the kernel's own way.
func (d *daemon) runFastPath(ctx context.Context) {
	if err := d.path().Run(ctx); err != nil {
		d.logLines("fast path", err)
	}
}

// closeFastPath leaves the programs where they are, for the next agent.
func (d *daemon) closeFastPath() {
	p := d.path()
	if p == nil {
		return
	}
	if err := p.Close(); err != nil {
		d.logLines("the fast path was not closed in order; within 3 seconds everything takes the kernel's own way", err)
	}
}

// fastPathStatus is a part of the line for the service manager.
func (d *daemon) fastPathStatus() string {
	p := d.path()
	if p == nil {
		return ""
	}
	s := p.Summary()
	if s.On+s.Shadow == 0 {
		return ""
	}
	text := fmt.Sprintf("; fast path of %d tenants", s.On)
	if s.Shadow > 0 {
		text += fmt.Sprintf(", %d in shadow", s.Shadow)
	}
	if n := len(s.Problems); n > 0 {
		text += fmt.Sprintf(", %d problems", n)
	}
	return text
}

// logFastPath logs what is wrong with the fast path, once for as long as it is.
func (d *daemon) logFastPath() {
	if p := d.path(); p != nil {
		d.fastPathTroubles = d.logProblems("fast path", d.fastPathTroubles, p.Summary().Problems)
	}
}

// logProblems logs problems that were not there before, and when there are none any more. It returns
// those that there are.
func (d *daemon) logProblems(what string, before map[string]bool, problems []string) map[string]bool {
	now := map[string]bool{}
	for _, p := range problems {
		if now[p] = true; !before[p] {
			d.log.Warn(what, "problem", p)
		}
	}
	if len(now) == 0 && len(before) > 0 {
		d.log.Info("no " + what + " has a problem any more")
	}
	return now
}

// accelerated says which tenants have a fast path.
func accelerated(c config.FastPath, s *tenantdir.State) string {
	n := map[flow.Mode]int{}
	for i := range s.Definitions {
		n[s.Definitions[i].FastPath]++
	}
	var parts []string
	for _, mode := range []flow.Mode{flow.On, flow.Shadow} {
		if n[mode] > 0 {
			parts = append(parts, fmt.Sprintf("%s for %d", mode, n[mode]))
		}
	}
	if parts == nil {
		return "none: no tenant has one (tenants: fastpath)"
	}
	text := fmt.Sprintf("%s of %d tenants, lease %v, programs in %s", strings.Join(parts, ", "), len(s.Definitions), time.Duration(c.Lease), c.Pin)
	if err := bypass.Supported(); err != nil {
		text += "; but not here: " + err.Error()
	}
	return text
}

// FastPathPin returns the directory in which the programs of the fast path are pinned. Without a
// configuration file it is the default.
func FastPathPin(o Options) (string, error) {
	if _, err := os.Stat(o.File); errors.Is(err, fs.ErrNotExist) {
		return config.Default().FastPath.Pin, nil
	}
	l, err := config.Load(o.File, o.Environ)
	if err != nil {
		return "", err
	}
	return l.FastPath.Pin, nil
}
