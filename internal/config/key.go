// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding/hex"
	"errors"
)

// KeySize is the length in bytes of the key of derived IDs.
const KeySize = 16

// ParseKey reads a key of derived IDs: 32 hexadecimal digits, not all of them 0. The error
// does not repeat them.
func ParseKey(text string) (key [KeySize]byte, err error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != KeySize {
		return key, errors.New("the key is not 32 hexadecimal digits; make one with: openssl rand -hex 16")
	}
	key = [KeySize]byte(b)
	if key == [KeySize]byte{} {
		return key, errors.New("the key consists of zeros only; make one with: openssl rand -hex 16")
	}
	return key, nil
}

// IDKey returns the key of derived IDs, or zeros if none is configured.
func (t Trace) IDKey() [KeySize]byte {
	key, err := ParseKey(t.Key.Value())
	if err != nil {
		return [KeySize]byte{} // Load has refused anything but an empty one
	}
	return key
}
