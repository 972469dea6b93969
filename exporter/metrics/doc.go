// SPDX-License-Identifier: Apache-2.0

// Package metrics counts pings. Traces describe one ping each and may be sampled; metrics
// cover all of them, and an exemplar leads from an outlier to a trace that explains it.
//
// A [Recorder] sees every trace before it is sampled and is a Prometheus collector.
// [NewAgentCollector] exposes the agent's own state. The metrics, with names, units and
// labels, are defined in [Definitions], from which docs/metrics.md is made and from which
// package otlpmetrics takes OpenTelemetry's names.
//
// The histograms are client_golang's and not the OpenTelemetry SDK's, because only
// those have classic buckets, native buckets and exemplars at the same time, so that
// any Prometheus can scrape them. What is ours is the bound on the number of series,
// and which spans are counted so that no nanosecond is counted twice.
package metrics

//go:generate go run ../internal/metricdoc ../../docs/metrics.md
