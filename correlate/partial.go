// SPDX-License-Identifier: Apache-2.0

package correlate

// SetPartial changes Options.Partial, because the scope of tracing has changed. Pings that
// are open are judged by what it says when they are closed.
func (c *Correlator) SetPartial(partial bool) {
	c.opts.Partial, c.assembler.opts.Partial = partial, partial
}
