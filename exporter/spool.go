// SPDX-License-Identifier: Apache-2.0

package exporter

// Spool is a directory on disk where traces wait that cannot be sent yet. The zero
// value means that there is none.
//
// What is in it outlives the process, and so does the account: what was only in the
// memory of a process that was killed is counted as [CauseKilled] at the next start.
// Nothing is synced, which a kill does not need: a loss of power may take what the
// kernel had not yet written, some 30 s by default, and that is counted, too.
type Spool struct {
	// Dir is made if need be, for this user only. One process at a time may use it. While it
	// cannot be used, traces wait in memory; it is used from when it can be.
	Dir string
	// MaxBytes bounds the size on disk; default 256 MiB, at least 1 MiB. When it is
	// reached, the oldest traces make room and are counted as lost. The copy of the batch
	// that is being sent may exceed it, by a quarter at most, until the next batch is
	// written.
	MaxBytes int64
}

const (
	defaultSpoolBytes = 256 << 20
	minSpoolBytes     = 1 << 20
)

// Enabled reports whether there is a spool.
func (s Spool) Enabled() bool { return s.Dir != "" }

// WithDefaults returns s with the defaults filled in.
func (s Spool) WithDefaults() Spool {
	if s.MaxBytes <= 0 {
		s.MaxBytes = defaultSpoolBytes
	}
	s.MaxBytes = max(s.MaxBytes, minSpoolBytes)
	return s
}
