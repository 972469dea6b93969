// SPDX-License-Identifier: Apache-2.0

package correlate

// Alike is alike.
var Alike = alike

// MakeEach has c make each trace of nothing but the ping's own events.
func (c *Correlator) MakeEach() { c.assembler.memory.off = true }

// Recalled returns how many traces were made of those of other pings.
func (c *Correlator) Recalled() uint64 { return c.assembler.memory.recalled }
