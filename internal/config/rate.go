// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"math"
	"strconv"
)

// Rate is a number of pings a second, 0 for no limit, or AutoRate.
type Rate int32

// AutoRate is as many as this machine can.
const AutoRate Rate = -1

// UnmarshalText implements [encoding.TextUnmarshaler].
func (r *Rate) UnmarshalText(text []byte) error {
	if string(text) == string(Auto) {
		*r = AutoRate
		return nil
	}
	n, err := strconv.ParseUint(string(text), 10, 64)
	if err != nil || n > math.MaxInt32 {
		return fmt.Errorf("%q is not a valid rate; use auto, or a number of pings a second from 0 to %d", text, math.MaxInt32)
	}
	*r = Rate(n)
	return nil
}

// MarshalText implements [encoding.TextMarshaler].
func (r Rate) MarshalText() ([]byte, error) {
	if r == AutoRate {
		return []byte(Auto), nil
	}
	return strconv.AppendInt(nil, int64(r), 10), nil
}

// Limit returns the rate as agent.Options.MaxRate has it: 0 for AutoRate, and -1 for no limit.
func (r Rate) Limit() float64 {
	switch r {
	case AutoRate:
		return 0
	case 0:
		return -1
	}
	return float64(r)
}
