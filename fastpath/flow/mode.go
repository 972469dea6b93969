// SPDX-License-Identifier: Apache-2.0

package flow

import "fmt"

// Mode says what the fast path does with a tenant's packets. The numbers are those of enum mode in
// fastpath/bypass/c/maps.h.
type Mode uint8

// The modes.
const (
	// Off: nothing; the kernel alone forwards.
	Off Mode = iota
	// Shadow: what it would do is worked out and compared with what the kernel does.
	Shadow
	// On: packets of flows that the kernel has shown to be understood are sent at once.
	On
)

var modeNames = [...]string{Off: "off", Shadow: "shadow", On: "on"}

// String returns the word for it that configuration and listings have.
func (m Mode) String() string {
	if int(m) < len(modeNames) {
		return modeNames[m]
	}
	return fmt.Sprintf("mode %d", uint8(m))
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (m *Mode) UnmarshalText(text []byte) error {
	for i, name := range modeNames {
		if string(text) == name {
			*m = Mode(i)
			return nil
		}
	}
	return fmt.Errorf("%q is not off, shadow or on", text)
}

// MarshalText implements [encoding.TextMarshaler].
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// Direction is that of a packet as seen from the tenant. The numbers are those of enum direction.
type Direction uint8

// The directions.
const (
	FromTenant Direction = iota
	ToTenant
)

// String returns "from" or "to".
func (d Direction) String() string {
	if d == FromTenant {
		return "from"
	}
	return "to"
}
