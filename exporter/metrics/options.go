// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Options of a Recorder and of the agent's collector. The zero value is usable.
type Options struct {
	// HostName is the label host_name of every series. The label is there even if
	// the name is not known.
	HostName string
	// HostID and Version of dwell stand on dwell_build_info.
	HostID, Version string
	// MaxSeries is how many series each metric may have, the one that takes in the
	// others included; default 2,000, which is OpenTelemetry's default. A histogram
	// has one of these for each combination of its labels, whatever its buckets.
	MaxSeries int
	// Buckets are the upper bounds of the classic buckets, in seconds and ascending, at
	// most [MaxBuckets]; default [DefaultBuckets].
	Buckets []float64
	// Expire is how long a series is kept after the last measurement, at least
	// [MinExpire]; default 1 h. It should be no shorter than the longest range that
	// alerts query.
	Expire time.Duration
	// ExemplarInterval is how often the exemplar of a bucket is replaced at most;
	// default 1 s. Prometheus sees no more than one for each bucket and scrape.
	ExemplarInterval time.Duration

	// now is the clock of tests.
	now func() time.Time
}

// The defaults of Options.
const (
	DefaultMaxSeries        = 2000
	DefaultExpire           = time.Hour
	DefaultExemplarInterval = time.Second
)

// MinExpire is as long as scrapes and pushes are apart by default: a series is removed
// whether it was read or not.
const MinExpire = time.Minute

// MaxBuckets is how many classic buckets a histogram may have. Each is a series for
// Prometheus, and has an exemplar that a push must have room for; for finer ones there
// are the native buckets.
const MaxBuckets = 100

// DefaultBuckets returns bounds from 500 ns to 1 s in steps of 1, 2 and 5: a queue
// that is empty takes a few hundred nanoseconds, a bridge or a link between two
// namespaces one to ten microseconds, a hypervisor five to fifty, or several hundred
// with thousands of firewall rules, and what is above a millisecond stands out anyway.
// They are round numbers because a threshold of an alert is exact only on a bound.
func DefaultBuckets() []float64 {
	return []float64{
		500e-9, 1e-6, 2e-6, 5e-6, 10e-6, 20e-6, 50e-6, 100e-6, 200e-6, 500e-6,
		1e-3, 2e-3, 5e-3, 10e-3, 20e-3, 50e-3, 100e-3, 200e-3, 500e-3, 1,
	}
}

// Validate returns an error that says what to change.
func (o Options) Validate() error {
	switch {
	case o.MaxSeries < 0 || o.MaxSeries == 1:
		return fmt.Errorf("max_series is %d: at least 2 are needed, one of them for the overflow", o.MaxSeries)
	case o.Expire < 0 || o.Expire > 0 && o.Expire < MinExpire:
		return fmt.Errorf("expire is %v: it must be %v or more, and longer than the time between two scrapes or pushes, or series are removed before anything reads them", o.Expire, MinExpire)
	case o.ExemplarInterval < 0:
		return fmt.Errorf("the exemplar interval is %v: it cannot be negative", o.ExemplarInterval)
	case len(o.Buckets) > MaxBuckets:
		return fmt.Errorf("there are %d buckets: at most %d are possible; native buckets are finer", len(o.Buckets), MaxBuckets)
	}
	for i, b := range o.Buckets {
		switch {
		case math.IsNaN(b) || math.IsInf(b, 0) || b <= 0:
			return fmt.Errorf("buckets: %g is not a valid upper bound in seconds; the unbounded bucket is always there", b)
		case i > 0 && b <= o.Buckets[i-1]:
			return fmt.Errorf("buckets: %g follows %g: bounds must ascend", b, o.Buckets[i-1])
		}
	}
	return nil
}

func (o Options) withDefaults() Options {
	for _, text := range []*string{&o.HostName, &o.HostID, &o.Version} {
		*text = utf8(*text)
	}
	if o.MaxSeries == 0 {
		o.MaxSeries = DefaultMaxSeries
	}
	if len(o.Buckets) == 0 {
		o.Buckets = DefaultBuckets()
	}
	o.Buckets = slices.Clone(o.Buckets)
	if o.Expire == 0 {
		o.Expire = DefaultExpire
	}
	if o.ExemplarInterval == 0 {
		o.ExemplarInterval = DefaultExemplarInterval
	}
	if o.now == nil {
		o.now = time.Now
	}
	return o
}

// utf8 makes a label value of what may be any bytes: the names of devices and of hosts.
func utf8(text string) string { return strings.ToValidUTF8(text, "\ufffd") }
