// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/dwelltrace/dwell/fastpath/firewall"
	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/backend"
	"github.com/dwelltrace/dwell/internal/config"
	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/ruletrace"
	"github.com/dwelltrace/dwell/internal/tenantdir"
)

// errFirewallOff says how to have a firewall.
var errFirewallOff = errors.New("tenants have no firewall here: set firewall.enabled to true in the agent's configuration, and start the agent again")

// newFirewall makes the manager of tenants' rules that the configuration asks for, or nil. Whoever
// wants to know of changes is told of them by onChange.
func newFirewall(l *config.Loaded, log *slog.Logger, onChange func(number uint32)) (*firewall.Manager, error) {
	c := l.Config.Firewall
	if !c.Enabled {
		return nil, nil //nolint:nilnil // no firewall is not an error
	}
	m, err := firewall.New(firewall.Options{
		StateDir: c.StateDir, Pin: c.Pin, IPTables: string(c.IPTables), MaxRules: c.MaxRules, Log: log, OnChange: onChange,
	})
	if err != nil {
		return nil, l.Error("firewall", err)
	}
	return m, nil
}

// setFirewallTenants tells the firewall who the tenants are. While it is not known, because
// their files are refused, rules must not be taken out of force.
func setFirewallTenants(m *firewall.Manager, s *tenantdir.State) {
	if m != nil && !s.Withheld {
		m.SetTenants(s.Set)
	}
}

// rules returns what keeps tenants' rules, nil if they may not have any, or not yet.
func (d *daemon) rules() *firewall.Manager { return d.firewall.Load() }

// openFirewall puts the rules of the tenants in force that are kept. What is wrong with one
// tenant's is not to keep the others from anything.
func (d *daemon) openFirewall(ctx context.Context, l *config.Loaded, who *tenantdir.State) error {
	m, err := newFirewall(l, d.log, d.firewallChanged)
	if err != nil || m == nil {
		return err
	}
	d.firewall.Store(m)
	if who.Withheld {
		d.log.Error("firewall rules stay as they are, because it is not known who the tenants are")
	} else {
		setFirewallTenants(m, who)
		if err := m.Adopt(ctx); err != nil {
			d.logLines("firewall rules not in force as they should be", err)
		}
	}
	if err := d.traceRules(); err != nil {
		d.withoutRules(err)
	}
	return nil
}

// traceRules makes what tells traces which rule judged a packet.
func (d *daemon) traceRules() error {
	ns, err := netns.Current()
	if err != nil {
		return err
	}
	defer ns.Close()
	d.ruleTrace, err = ruletrace.New(d.rules(), ns)
	return err
}

func (d *daemon) withoutRules(err error) {
	d.log.Warn("traces do not say which firewall rule judged a packet", "error", err)
}

// asked returns what the API asks: nothing if there is no firewall.
func asked(m *firewall.Manager) backend.Firewall {
	if m == nil {
		return nil
	}
	return m
}

// tracedBy tells the agent who knows which rule judged a packet, and who sends packets fast.
func (d *daemon) tracedBy(opts *agent.Options) {
	opts.FastPath = ruletrace.NewFastPath(d.path())
	opts.WithoutFastPath = func(err error) { d.log.Warn("traces do not say which packets took the fast path", "error", err) }
	if d.ruleTrace == nil {
		return
	}
	opts.Firewall = d.ruleTrace
	opts.WithoutFirewall = d.withoutRules
}

// closeFirewall leaves all rules in force.
func (d *daemon) closeFirewall() {
	m := d.rules()
	if m == nil {
		return
	}
	if d.ruleTrace != nil {
		d.ruleTrace.Close()
	}
	if err := m.Close(); err != nil {
		d.logLines("the firewall was not closed in order; its rules stay in force", err)
	}
}

// logIfAny logs an error, if it is one.
func (d *daemon) logIfAny(err error) {
	if err != nil {
		d.logLines("firewall", err)
	}
}

// firewallStatus is a part of the line for the service manager.
func (d *daemon) firewallStatus() string {
	m := d.rules()
	if m == nil {
		return ""
	}
	s := m.Summary()
	text := fmt.Sprintf("; firewall rules of %d tenants", s.Tenants)
	if n := len(s.Problems); n > 0 {
		text += fmt.Sprintf(", %d problems", n)
	}
	return text
}

// logFirewall logs what is wrong with firewalls, once for as long as it is.
func (d *daemon) logFirewall() {
	if m := d.rules(); m != nil {
		d.rulesTroubles = d.logProblems("firewall", d.rulesTroubles, m.Summary().Problems)
	}
}

// OpenFirewall opens the firewall of the configuration without an agent, with everything in
// force that is kept. It is an error if an agent has it open. The caller closes it.
func OpenFirewall(ctx context.Context, o Options) (*firewall.Manager, error) {
	l, err := config.Load(o.File, o.Environ)
	if err != nil {
		return nil, err
	}
	log, _ := o.logger(l.Config.Log)
	state, err := tenantdir.Read(o.tenants(l), nil)
	if err != nil {
		return nil, l.Error("tenants", err)
	}
	if state.Withheld {
		return nil, fmt.Errorf("it is not known who the tenants are, because files in this directory are refused: %w", l.Error("tenancy.dir", refusals(state.Problems)))
	}
	m, err := newFirewall(l, log, nil)
	if err != nil {
		return nil, err
	}
	if m == nil {
		return nil, errFirewallOff
	}
	setFirewallTenants(m, state)
	if err := m.Adopt(ctx); err != nil {
		log.Error("firewall rules not in force as they should be", "error", err)
	}
	return m, nil
}
