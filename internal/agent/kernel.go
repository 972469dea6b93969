// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"

	"github.com/dwelltrace/dwell/bpf"
)

// Kernel is the part of a [bpf.Tracer] that can be changed while it is attached: what is
// traced, and in which namespaces the netfilter chains are timed. It is an interface so that
// a test can refuse what a kernel seldom does.
type Kernel interface {
	SetFilter(filter bpf.Filter) error
	AttachNetfilter(enter func(func() error) error) error
	DetachNetfilter(netns uint32) error
	NetfilterAttached() []uint32
	ReleaseNetfilter() (int, error)
}

var _ Kernel = (*bpf.Tracer)(nil)

// Refused is what the kernel refuses at the moment. The zero value is nothing.
type Refused struct {
	// Scope is why the scope is not what is traced, nil if it is: a filter could not be set,
	// or netfilter's hooks not detached. Release is why a namespace that everybody else has
	// left is kept alive. Both are tried again at least once a second, as long as nothing
	// keeps every CPU busy.
	Scope, Release error
	// Netfilter has an error for each namespace whose chains should be timed and cannot be.
	// It is not tried again as long as the scope names that namespace.
	Netfilter []error
}

// Err returns Scope and Release as one error, nil if both are.
func (r Refused) Err() error { return errors.Join(r.Scope, r.Release) }
