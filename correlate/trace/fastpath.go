// SPDX-License-Identifier: Apache-2.0

package trace

// The values of [AttrFastPathTunnel].
const (
	Encapsulated = "encapsulated"
	Decapsulated = "decapsulated"
)

// HandedToPeer is the value of [AttrFastPathHandover].
const HandedToPeer = "peer"

// TookFastPath reports whether the fast path brought a packet of the ping through this host.
func (t *Trace) TookFastPath() bool {
	for i := range t.Spans {
		if t.Spans[i].Kind == KindFastPath {
			return true
		}
	}
	return false
}
