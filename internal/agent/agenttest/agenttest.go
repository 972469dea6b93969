// SPDX-License-Identifier: Apache-2.0

// Package agenttest has a kernel side that refuses what a kernel seldom does.
package agenttest

import (
	"sync"

	"github.com/dwelltrace/dwell/bpf"
	"github.com/dwelltrace/dwell/internal/agent"
)

// Refusing is a kernel side that refuses some of the changes. The zero value refuses
// nothing. Its methods may be called concurrently.
type Refusing struct {
	agent.Kernel

	mu                              sync.Mutex
	filterErr, releaseErr           error
	filtersRefused, releasesRefused int
}

// Wrap is for [agent.Options].Kernel.
func (r *Refusing) Wrap(k agent.Kernel) agent.Kernel {
	r.Kernel = k
	return r
}

// Refuse sets the errors of SetFilter and ReleaseNetfilter; nil is no refusal.
func (r *Refusing) Refuse(filter, release error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.filterErr, r.releaseErr = filter, release
}

// FiltersRefused returns how often SetFilter was refused.
func (r *Refusing) FiltersRefused() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.filtersRefused
}

// ReleasesRefused returns how often ReleaseNetfilter was refused.
func (r *Refusing) ReleasesRefused() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.releasesRefused
}

// SetFilter implements [agent.Kernel].
func (r *Refusing) SetFilter(f bpf.Filter) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.filterErr != nil {
		r.filtersRefused++
		return r.filterErr
	}
	return r.Kernel.SetFilter(f)
}

// ReleaseNetfilter implements [agent.Kernel].
func (r *Refusing) ReleaseNetfilter() (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.releaseErr != nil {
		r.releasesRefused++
		return 0, r.releaseErr
	}
	return r.Kernel.ReleaseNetfilter()
}
