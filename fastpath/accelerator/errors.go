// SPDX-License-Identifier: Apache-2.0

package accelerator

import "errors"

// Errors that callers tell apart, beside [*PacketError].
var (
	// ErrNoTenant: there is no tenant with the ID.
	ErrNoTenant = errors.New("there is no such tenant")
	// ErrUnsupported: this kernel cannot have a fast path; the error says what it lacks.
	ErrUnsupported = errors.New("there is no fast path here")
	// ErrAttended: an agent keeps the fast path, and would only make it again.
	ErrAttended = errors.New("an agent keeps the fast path in force")
)

// PacketError is something wrong with the text of a packet: it is the caller's to mend. Its text
// points at the word.
type PacketError struct{ Err error }

// Error returns what is wrong.
func (e *PacketError) Error() string { return e.Err.Error() }

// Unwrap returns the error of the parser.
func (e *PacketError) Unwrap() error { return e.Err }
