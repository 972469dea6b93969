// SPDX-License-Identifier: Apache-2.0

package twin

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// batch is after how many frames what came out is compared.
const batch = 100

// Case is what is sent to a hypervisor.
type Case struct {
	Spec  Spec
	Steps []Step
}

// NewCase returns a case with about n frames, always the same for a seed.
func NewCase(spec Spec, seed uint64, n int) *Case {
	return &Case{Spec: spec, Steps: spec.Traffic(seed, n)}
}

// Subject is what forwards besides the kernel.
type Subject interface {
	// Begin is called before a case, when connection tracking has forgotten all.
	Begin() error
	// Settled is called when all that was sent has come out. It returns when what follows from
	// that is done.
	Settled() error
	// Close takes it away.
	Close() error
}

// Alone is the kernel alone.
type Alone struct{}

// Begin implements [Subject].
func (Alone) Begin() error { return nil }

// Settled implements [Subject].
func (Alone) Settled() error { return nil }

// Close implements [Subject].
func (Alone) Close() error { return nil }

// Twin is one of the two hypervisors.
type Twin struct {
	*Network
	Subject
}

// Run sends the frames of the case and returns what was seen.
func (t *Twin) Run(c *Case) (*Observed, error) {
	if err := t.nl.ConntrackTableFlush(netlink.ConntrackTable); err != nil {
		return nil, fmt.Errorf("flushing connection tracking: %w", err)
	}
	var o Observed
	return &o, onOneCPU(func() error {
		if _, err := t.settle(); err != nil { // what came of a case that failed
			return err
		}
		if err := t.Begin(); err != nil {
			return err
		}
		for at := 0; at < len(c.Steps); at += batch {
			if err := t.send(c.Steps[at:min(len(c.Steps), at+batch)]); err != nil {
				return fmt.Errorf("batch %d: %w", at/batch, err)
			}
			out, err := t.settle()
			if err != nil {
				return fmt.Errorf("batch %d: %w", at/batch, err)
			}
			o.add(out)
			if err := t.Settled(); err != nil {
				return err
			}
		}
		return nil
	})
}

func (t *Twin) send(steps []Step) error {
	for i, s := range steps {
		if err := t.ends[s.End].Send(s.Frame); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	return nil
}

// onOneCPU runs fn on a thread that stays on one CPU, so that the kernel takes all frames in the order
// in which they were sent.
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

// NewPair makes both networks, whose namespaces' names begin with the name. subject puts into the second what
// is to be compared with the kernel alone.
func NewPair(name string, spec Spec, subject func(*Network) (Subject, error)) (*Pair, error) {
	reference, err := NewNetwork(name+"-a", spec)
	if err != nil {
		return nil, err
	}
	other, err := NewNetwork(name+"-b", spec)
	if err != nil {
		return nil, errors.Join(err, reference.Close())
	}
	s, err := subject(other)
	if err != nil {
		return nil, errors.Join(err, reference.Close(), other.Close())
	}
	return &Pair{&Twin{reference, Alone{}}, &Twin{other, s}}, nil
}

// Result is what running a case on both twins showed.
type Result struct {
	// Difference is the first one, or "".
	Difference string
	// Overtook is how many frames came out before one that had been sent earlier.
	Overtook int
	// Want is what the kernel did.
	Want *Observed
}

// Run runs a case on both twins.
func (p *Pair) Run(c *Case) (Result, error) {
	want, err := p.Reference.Run(c)
	if err != nil {
		return Result{}, fmt.Errorf("the kernel alone: %w", err)
	}
	got, err := p.Subject.Run(c)
	if err != nil {
		return Result{}, fmt.Errorf("with the fast path: %w", err)
	}
	r := Result{Want: want}
	if r.Difference, r.Overtook = want.Compare(got); r.Difference == "" {
		return r, nil
	}
	again, err := p.Reference.Run(c)
	if err != nil {
		return Result{}, fmt.Errorf("the kernel alone, again: %w", err)
	}
	if d, _ := want.Compare(again); d != "" {
		return Result{}, fmt.Errorf("%w: %s\nand the fast path not with it: %s", ErrUndetermined, d, r.Difference)
	}
	return r, nil
}

// ErrUndetermined says that two runs of the kernel alone are not alike, so nothing can be said of the case.
var ErrUndetermined = errors.New("the kernel does not agree with itself")

// Close removes both networks.
func (p *Pair) Close() error {
	return errors.Join(p.Subject.Subject.Close(), p.Reference.Network.Close(), p.Subject.Network.Close())
}
