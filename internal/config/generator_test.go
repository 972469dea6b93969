// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"log/slog"
	"math"
	"net/netip"
	"path"
	"slices"
	"strings"
	"unicode"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/internal/config"
)

// anyConfig draws a configuration that nothing is wrong with; every setting varies, but
// for headers, which only a file can give.
func anyConfig(t *rapid.T) config.Config {
	return config.Config{
		Host:  config.Host{ID: printable(t, "host.id"), Name: printable(t, "host.name")},
		Trace: anyTrace(t), Sampling: anySampling(t),
		Export:     anyExport(t),
		Metrics:    anyMetrics(t),
		HTTP:       config.HTTP{Listen: rapid.SampledFrom([]string{"", ":0", "127.0.0.1:9464", "[::1]:65535"}).Draw(t, "http.listen")},
		Probes:     anyProbes(t, "host"),
		Probing:    config.Probing{MaxRate: rapid.IntRange(1, 1000).Draw(t, "probing.max_rate"), TenantMaxRate: rapid.IntRange(1, 1000).Draw(t, "probing.tenant_max_rate")},
		Tenancy:    anyTenancy(t),
		Tenants:    anyTenants(t),
		API:        anyAPI(t),
		Firewall:   anyFirewall(t),
		FastPath:   anyFastPath(t),
		Containers: config.Containers{Enabled: rapid.Bool().Draw(t, "containers.enabled"), Sockets: rapid.SliceOfN(absolute(), 0, 3).Draw(t, "containers.sockets")},
		Log: config.Log{
			Level:  config.Level(rapid.SampledFrom([]slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}).Draw(t, "log.level")),
			Format: rapid.SampledFrom([]config.Format{config.Text, config.JSON}).Draw(t, "log.format"),
		},
		Shutdown: config.Shutdown{Timeout: duration(t, 1, "shutdown.timeout")},
	}
}

func anySampling(t *rapid.T) config.Sampling {
	all := anyTraceSampling(t)
	s := config.Sampling{At: config.AtExport, Ratio: all.Ratio, KeepSlowerThan: all.KeepSlowerThan}
	if s.Ratio > 0 && rapid.Bool().Draw(t, "in the kernel") {
		s.At, s.KeepSlowerThan = config.InKernel, 0
	}
	return s
}

func anyTrace(t *rapid.T) config.Trace {
	return config.Trace{
		NetNS:       rapid.SliceOf(ref()).Draw(t, "trace.netns"),
		Interfaces:  rapid.SliceOf(device()).Draw(t, "trace.interfaces"),
		Addresses:   rapid.SliceOf(prefix()).Draw(t, "trace.addresses"),
		Hypervisors: rapid.SliceOf(ref()).Draw(t, "trace.hypervisors"),
		Netfilter:   rapid.OneOf(rapid.SliceOf(ref()), rapid.Just([]config.Ref{config.None})).Draw(t, "trace.netfilter"),
		Timeout:     duration(t, 1, "trace.timeout"),
		RingSize:    config.Size(rapid.Int64Range(1<<20, 1<<30).Draw(t, "trace.ring_size")),
		MaxRate:     config.Rate(rapid.Int32Min(-1).Draw(t, "trace.max_rate")),
		Root:        rapid.SampledFrom([]config.Root{config.Sender, config.OwnHost}).Draw(t, "trace.root"),
		VXLANPorts:  rapid.SliceOfN(rapid.Map(rapid.Uint16Min(1), func(p uint16) config.Port { return config.Port(p) }), 0, 8).Draw(t, "trace.vxlan_ports"),
	}
}

func anyExport(t *rapid.T) config.Export {
	otlp := config.OTLP{
		Endpoint:    rapid.SampledFrom([]string{"", "a:1", "https://a"}).Draw(t, "export.otlp.endpoint"),
		Compression: rapid.SampledFrom([]config.Compression{config.AutoCompression, config.Gzip, config.Uncompressed}).Draw(t, "export.otlp.compression"),
		Protocol:    rapid.SampledFrom([]config.Protocol{config.AutoProtocol, config.GRPC, config.HTTPProtobuf}).Draw(t, "export.otlp.protocol"),
		Timeout:     duration(t, 0, "export.otlp.timeout"),
		TLS:         config.TLS{Insecure: rapid.SampledFrom([]config.Switch{config.Auto, config.Off}).Draw(t, "insecure")},
	}
	if rapid.Bool().Draw(t, "tls") {
		otlp.TLS.CAFile, otlp.TLS.CertFile, otlp.TLS.KeyFile = absolute().Draw(t, "ca"), absolute().Draw(t, "cert"), absolute().Draw(t, "key")
	} else if otlp.Endpoint == "a:1" {
		otlp.TLS.Insecure = config.On
	}
	return config.Export{
		OTLP: otlp,
		Queue: config.Queue{
			Spans: rapid.IntRange(1, math.MaxInt32).Draw(t, "spans"), BatchSpans: rapid.IntRange(1, math.MaxInt32).Draw(t, "batch"),
			Senders: rapid.IntRange(1, 64).Draw(t, "senders"),
			Delay:   duration(t, 1, "export.queue.delay"),
		},
		Spool: config.Spool{
			Dir:      rapid.SampledFrom([]string{"", "/spool", "/s: #\"'é"}).Draw(t, "export.spool.dir"),
			MaxBytes: config.Size(rapid.Int64Range(1<<20, math.MaxInt64).Draw(t, "export.spool.max_bytes")),
		},
		Rotate: config.Rotate{
			MaxBytes: config.Size(rapid.Int64Range(0, math.MaxInt64).Draw(t, "export.rotate.max_bytes")),
			Keep:     rapid.IntRange(1, math.MaxInt32).Draw(t, "export.rotate.keep"),
		},
		File: rapid.OneOf(rapid.Just(""), rapid.Just("-"), absolute()).Draw(t, "export.file"),
	}
}

// device draws names of interfaces and patterns of them.
func device() *rapid.Generator[config.Interface] {
	return rapid.Map(rapid.StringMatching(`[!--0-9;-Z_-~é]{1,3}([!-.0-9;-Z_-~]{0,9}|\[a-c\]\*)`), func(s string) config.Interface { return config.Interface(s) })
}

func prefix() *rapid.Generator[config.Prefix] {
	return rapid.Custom(func(t *rapid.T) config.Prefix {
		a := netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "address")))
		if rapid.Bool().Draw(t, "IPv6") {
			a = netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "address")))
		}
		return config.Prefix{Prefix: netip.PrefixFrom(a, rapid.IntRange(0, a.BitLen()).Draw(t, "bits")).Masked()}
	})
}

func anyMetrics(t *rapid.T) config.Metrics {
	buckets := rapid.SliceOfNDistinct(rapid.Int64Min(1), 0, 20, rapid.ID[int64]).Draw(t, "metrics.buckets")
	slices.Sort(buckets)
	m := config.Metrics{
		Prometheus: config.Prometheus{Enabled: rapid.Bool().Draw(t, "metrics.prometheus.enabled")},
		OTLP: config.MetricsOTLP{
			Protocol: rapid.SampledFrom([]config.Protocol{config.AutoProtocol, config.GRPC, config.HTTPProtobuf}).Draw(t, "metrics.otlp.protocol"),
			Enabled:  rapid.Bool().Draw(t, "metrics.otlp.enabled"),
			Endpoint: rapid.SampledFrom([]string{"", "b:2", "http://b"}).Draw(t, "metrics.otlp.endpoint"),
			Interval: duration(t, 100e6, "metrics.otlp.interval"),
		},
		MaxSeries: rapid.IntRange(2, math.MaxInt32).Draw(t, "metrics.max_series"),
		Expire:    duration(t, 1, "metrics.expire"),
	}
	for _, b := range buckets {
		m.Buckets = append(m.Buckets, config.Duration(b))
	}
	return m
}

func duration(t *rapid.T, least int64, label string) config.Duration {
	return config.Duration(rapid.Int64Min(least).Draw(t, label))
}

func printable(t *rapid.T, label string) string {
	return rapid.String().Filter(func(s string) bool { return !strings.ContainsFunc(s, unicode.IsControl) }).Draw(t, label)
}

// absolute draws paths with all that a path may hold.
func absolute() *rapid.Generator[string] {
	return rapid.Map(rapid.String(), func(s string) string { return "/" + s })
}

// ref draws names and globs, with what has a meaning to YAML in them.
func ref() *rapid.Generator[config.Ref] {
	return rapid.Map(rapid.StringMatching(`[a-z0-9*?.\[\]/:#, '"~&!|>%@{}-]+`).Filter(func(s string) bool {
		_, err := path.Match(s, "")
		return err == nil && s != config.None
	}), func(s string) config.Ref { return config.Ref(s) })
}
