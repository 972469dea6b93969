// SPDX-License-Identifier: Apache-2.0

package sampling

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// randomBits is how many bits of a trace ID are compared, the last ones, which W3C
// Trace Context level 2 wants to be random.
const randomBits = 56

// maxThreshold is above all that the bits can be: nothing is kept.
const maxThreshold = 1 << randomBits

// precision is how many hexadecimal digits a threshold has after those at its beginning
// that are all f or all 0; OpenTelemetry recommends four.
const precision = 4

// probability is one with which traces are kept.
type probability struct {
	threshold uint64
	// state is the tracestate of what is kept.
	state string
}

func newProbability(ratio float64) probability {
	th := threshold(ratio)
	return probability{threshold: th, state: "ot=th:" + encode(th)}
}

// keeps decides by the ping's randomness.
func (p *probability) keeps(t *trace.Trace) bool { return t.Randomness() >= p.threshold }

// stateOf returns the tracestate of a trace that is kept. It may have been chosen before, by the same
// randomness: the higher threshold is what counts. Where that randomness is not in the ID, it is said.
func (p *probability) stateOf(t *trace.Trace) string {
	threshold, state := max(p.threshold, t.Threshold), p.state
	if threshold != p.threshold {
		state = "ot=th:" + encode(threshold)
	}
	if t.Local && threshold > 0 {
		state += fmt.Sprintf(";rv:%014x", t.Random)
	}
	return state
}

// check returns an error about the options.
func (o Options) check() error {
	switch smallest := math.Ldexp(1, -randomBits); {
	case math.IsNaN(o.Ratio) || o.Ratio < 0 || o.Ratio > 1:
		return fmt.Errorf("the sampling ratio is %v: it must be between 0 and 1", o.Ratio)
	case o.Ratio > 0 && o.Ratio < smallest:
		return fmt.Errorf("the sampling ratio is %v: the smallest one above 0 is %v", o.Ratio, smallest)
	case o.KeepSlowerThan < 0:
		return fmt.Errorf("keep slower than %v: it cannot be negative", o.KeepSlowerThan)
	}
	return nil
}

// Threshold returns the rejection threshold of 56 bits of o.Ratio: what was chosen by it before, see
// [trace.Trace.Threshold], is what an Exporter with the same ratio chooses. 1<<56 rejects everything. The
// error is that of [Options.Validate].
func (o Options) Threshold() (uint64, error) {
	if err := o.check(); err != nil {
		return 0, err
	}
	return threshold(o.Ratio), nil
}

// threshold returns the rejection threshold of a ratio, (1 - ratio) * 2^56, rounded to
// precision digits after the first ones that are all f, of a small ratio, or all 0, of
// one near 1. These are not counted, or else all such ratios would be the same.
func threshold(ratio float64) uint64 {
	if ratio <= 0 {
		return maxThreshold
	}
	digits := min(precision+max(smallness(ratio), smallness(1-ratio)), randomBits/4)
	unit := uint64(1) << (randomBits - 4*digits)
	exact := maxThreshold - uint64(math.Round(math.Ldexp(ratio, randomBits)))
	if rounded := (exact + unit/2) / unit * unit; rounded < maxThreshold {
		return rounded
	}
	return exact
}

// smallness returns how many hexadecimal digits after the point are zeros, 0 for 0.
func smallness(share float64) int {
	_, exponent := math.Frexp(share)
	return max(-exponent, 0) / 4
}

// encode returns the digits of a threshold without zeros at the end, as th has them.
func encode(threshold uint64) string {
	if threshold == 0 {
		return "0"
	}
	text := strconv.FormatUint(threshold, 16)
	text = strings.Repeat("0", max(randomBits/4-len(text), 0)) + text
	return strings.TrimRight(text, "0")
}
