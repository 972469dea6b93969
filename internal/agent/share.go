// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/dwelltrace/dwell/correlate"
)

// sharer has programs of its own that say in the tracer's ring what they do to packets.
type sharer interface {
	// SetTracing has them do so, or with nil no more. See [bpf.Tracer.Shared].
	SetTracing(shared map[string]*ebpf.Map) error
}

// FastPath is what an agent asks of the fast path.
type FastPath interface {
	correlate.FastPath
	sharer
}

// share has the programs of firewall and fast path write into the tracer's ring.
func (a *Agent) share() error {
	if a.opts.Firewall != nil {
		if err := a.shareWith(a.opts.Firewall, "firewall", a.opts.WithoutFirewall); err != nil {
			return err
		}
	}
	if a.opts.FastPath != nil {
		return a.shareWith(a.opts.FastPath, "fast path", a.opts.WithoutFastPath)
	}
	return nil
}

// shareWith has the programs of one of them write into the ring. An error is without's, if that
// is not nil.
func (a *Agent) shareWith(s sharer, name string, without func(error)) error {
	a.sharing = append(a.sharing, s)
	err := s.SetTracing(a.tracer.Shared())
	if err == nil {
		return nil
	}
	err = fmt.Errorf("have the %s's programs say what they do: %w", name, err)
	if without == nil {
		return err
	}
	without(err)
	return nil
}

// unshare has no other programs write into the ring.
func (a *Agent) unshare() error {
	var errs []error
	for _, s := range a.sharing {
		errs = append(errs, s.SetTracing(nil))
	}
	a.sharing = nil
	return errors.Join(errs...)
}
