// SPDX-License-Identifier: Apache-2.0

// Command metricdoc writes docs/metrics.md from metrics.Definitions and the defaults of
// package metrics, so that the page cannot say anything that the code does not. Run it
// with go generate.
package main

import (
	_ "embed"
	"fmt"
	"math"
	"os"
	"strings"
	"text/template"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/metrics"
)

//go:embed metrics.md.tmpl
var text string

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: metricdoc FILE")
		os.Exit(2)
	}
	page, err := page()
	if err == nil {
		err = os.WriteFile(os.Args[1], []byte(page), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "metricdoc:", err)
		os.Exit(1)
	}
}

// facts is what the page says of the code.
type facts struct {
	Pings, Probes, Firewall, FastPath, Agent   []metrics.Definition
	ParentKind, ParentKindLabel, OverflowLabel string
	TenantID                                   string
	Buckets                                    string
	NativePercent, NativeBuckets               int
	MaxBuckets, MaxSeries, RuleSeries          int
	Expire, MinExpire, MinIdle                 string
	ExemplarInterval                           string
}

func page() (string, error) {
	f := facts{
		ParentKind:       metrics.AttrParentKind,
		ParentKindLabel:  metrics.Label(metrics.AttrParentKind),
		TenantID:         trace.AttrTenantID,
		OverflowLabel:    metrics.Label(metrics.AttrOverflow),
		Buckets:          bounds(metrics.DefaultBuckets()),
		NativePercent:    int(math.Round((metrics.NativeBucketFactor - 1) * 100)),
		NativeBuckets:    metrics.NativeMaxBuckets,
		MaxBuckets:       metrics.MaxBuckets,
		MaxSeries:        metrics.DefaultMaxSeries,
		RuleSeries:       metrics.MaxRuleSeries,
		Expire:           short(metrics.DefaultExpire),
		MinExpire:        short(metrics.MinExpire),
		MinIdle:          short(metrics.MinIdle),
		ExemplarInterval: short(metrics.DefaultExemplarInterval),
	}
	for _, d := range metrics.Definitions() {
		switch {
		case strings.HasPrefix(d.Name, "dwell.probe."):
			f.Probes = append(f.Probes, d)
		case strings.HasPrefix(d.Name, "dwell.firewall."):
			f.Firewall = append(f.Firewall, d)
		case strings.HasPrefix(d.Name, "dwell.fastpath."):
			f.FastPath = append(f.FastPath, d)
		case d.Agent:
			f.Agent = append(f.Agent, d)
		default:
			f.Pings = append(f.Pings, d)
		}
	}
	t, err := template.New("page").Parse(text)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	if err := t.Execute(&b, f); err != nil {
		return "", err
	}
	return b.String(), nil
}

// bounds returns "500ns, 1µs and 1s".
func bounds(seconds []float64) string {
	list := make([]string, len(seconds))
	for i, s := range seconds {
		list[i] = short(time.Duration(math.Round(s * float64(time.Second))))
	}
	last := len(list) - 1
	return strings.Join(list[:last], ", ") + " and " + list[last]
}

// short returns a duration in its largest unit, "1 h" and not "1h0m0s".
func short(d time.Duration) string {
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}, {time.Millisecond, "ms"}, {time.Microsecond, "µs"}} {
		if d >= u.unit && d%u.unit == 0 {
			return fmt.Sprint(int64(d/u.unit), " ", u.name)
		}
	}
	return fmt.Sprint(d.Nanoseconds(), " ns")
}
