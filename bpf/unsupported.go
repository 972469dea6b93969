// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"fmt"

	"github.com/dwelltrace/dwell/correlate/event"
)

// ErrUnsupported is for errors.Is: the kernel lacks something that newer kernels have.
// Such errors are of type *UnsupportedError.
var ErrUnsupported = errors.New("not supported by this kernel")

// UnsupportedError says what the kernel lacks, and which kernel has it.
type UnsupportedError struct {
	// Feature is what is missing: "netfilter programs".
	Feature string
	// Minimum is the first version of Linux that has the feature. Distributions backport:
	// an older kernel may have it, too.
	Minimum event.Version
	// Config is what a kernel must be built with to have the feature, or "".
	Config string
	// Err tells features apart: ErrTracepoint, ErrNetfilter, or nil.
	Err error
}

// Error says which kernel is needed.
func (e *UnsupportedError) Error() string {
	text := fmt.Sprintf("%s not supported: Linux %s or later is needed", e.Feature, e.Minimum)
	if e.Config != "" {
		text += ", built with " + e.Config
	}
	return text
}

// Is reports whether target is [ErrUnsupported].
func (e *UnsupportedError) Is(target error) bool { return target == ErrUnsupported }

// Unwrap returns Err.
func (e *UnsupportedError) Unwrap() error { return e.Err }

// NeedsNewer reports whether the kernel of a release, as uname -r prints it, is older than
// Minimum. If it is not, then it was built without the feature.
func (e *UnsupportedError) NeedsNewer(release string) bool {
	running, err := event.ParseVersion(release)
	return err == nil && running.Less(e.Minimum)
}
