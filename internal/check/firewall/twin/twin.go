// SPDX-License-Identifier: Apache-2.0

package twin

import (
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// Case is rules and what is sent.
type Case struct {
	Rules *Rules
	Steps []Step
}

// NewCase returns a case with about n frames, always the same for a seed. Every third is of
// IPv6.
func NewCase(seed uint64, n int) *Case {
	v6 := seed%3 == 2
	rules := NewRules(seed, v6)
	return &Case{Rules: rules, Steps: Traffic(seed, n, v6, rules.Translates)}
}

func (c *Case) family() int {
	if c.Rules.V6 {
		return 6
	}
	return 4
}

// Twin is one of the two hypervisors, with what puts the tenant's rules there.
type Twin struct {
	*Network
	Subject
	tables tables
}

// NewTwin returns a twin in whose network the subject puts the rules.
func NewTwin(n *Network, backend string, s Subject) *Twin {
	return &Twin{Network: n, Subject: s, tables: tables{n.Hypervisor, backend}}
}

// Run puts the case's rules in force, sends its frames, and returns what was seen.
func (t *Twin) Run(c *Case) (*Observed, error) {
	if err := t.prepare(c); err != nil {
		return nil, err
	}
	var o Observed
	err := onOneCPU(func() error {
		for i, s := range c.Steps {
			if err := t.ends[s.End].send(s.Frame); err != nil {
				return fmt.Errorf("step %d: %w", i, err)
			}
		}
		for i, e := range t.ends {
			frames, err := e.settle()
			if err != nil {
				return fmt.Errorf("%s: %w", ports[i].name, err)
			}
			for _, f := range frames {
				o.Out[i] = append(o.Out[i], describe(f))
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if o.Connections, err = t.connections(); err != nil {
		return nil, err
	}
	o.Counts, err = t.Counts(c.family())
	return &o, err
}

// prepare brings the twin into the state in which the case begins.
func (t *Twin) prepare(c *Case) error {
	if err := t.Clear(); err != nil {
		return err
	}
	if err := t.tables.operate(c.Rules); err != nil {
		return err
	}
	if err := t.Apply(c.family(), c.Rules.Tenant()); err != nil {
		return err
	}
	for _, e := range t.ends { // what came of a case that failed
		if _, err := e.settle(); err != nil {
			return err
		}
	}
	return t.forget()
}

// onOneCPU runs fn on a thread that stays on one CPU, so that the kernel takes all frames in
// the order in which they were sent.
func onOneCPU(fn func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		var all, one unix.CPUSet
		err := unix.SchedGetaffinity(0, &all)
		for cpu := 0; err == nil && one.Count() == 0; cpu++ {
			if all.IsSet(cpu) {
				one.Set(cpu)
			}
		}
		if err == nil {
			err = unix.SchedSetaffinity(0, &one)
		}
		if err == nil {
			err = fn()
		}
		done <- err
	}()
	return <-done
}

// Pair is the twins.
type Pair struct{ Reference, Subject *Twin }

// Result is what running a case on both twins showed.
type Result struct {
	// Difference is the first one, or "".
	Difference string
	// Undetermined: two runs with iptables alone differ, so nothing can be said. It happens
	// where the kernel chooses a port at random.
	Undetermined bool
	// Want is what the reference did.
	Want *Observed
}

// Run runs a case on both twins.
func (p *Pair) Run(c *Case) (Result, error) {
	want, err := p.Reference.Run(c)
	if err != nil {
		return Result{}, fmt.Errorf("iptables alone: %w", err)
	}
	got, err := p.Subject.Run(c)
	if err != nil {
		return Result{}, fmt.Errorf("dwell: %w", err)
	}
	r := Result{Difference: want.Compare(got), Want: want}
	if r.Difference == "" {
		return r, nil
	}
	again, err := p.Reference.Run(c)
	if err != nil {
		return Result{}, fmt.Errorf("iptables alone, again: %w", err)
	}
	if want.Compare(again) != "" {
		r.Difference, r.Undetermined = "", true
	}
	return r, nil
}

// Close removes both networks.
func (p *Pair) Close() error {
	return errors.Join(p.Subject.Remove(), p.Reference.Network.Close(), p.Subject.Network.Close())
}
