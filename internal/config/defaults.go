// SPDX-License-Identifier: Apache-2.0

package config

import (
	"log/slog"
	"time"
)

// Default returns the configuration of an empty file.
func Default() Config {
	return Config{
		Trace: Trace{
			Timeout:    Duration(2 * time.Second),
			RingSize:   64 << 20,
			MaxRate:    AutoRate,
			VXLANPorts: []Port{4789, 8472},
			Root:       Sender,
		},
		Sampling: Sampling{At: InKernel, Ratio: 1},
		Export: Export{
			OTLP:   defaultOTLP(),
			Queue:  Queue{Spans: 1 << 18, BatchSpans: 2048, Senders: 4, Delay: Duration(200 * time.Millisecond)},
			Spool:  Spool{MaxBytes: 256 << 20},
			Rotate: Rotate{Keep: 5},
		},
		Metrics: Metrics{
			Prometheus: Prometheus{Enabled: true},
			OTLP:       MetricsOTLP{Protocol: AutoProtocol, Interval: Duration(time.Minute)},
			MaxSeries:  2000,
			Expire:     Duration(time.Hour),
		},
		Tenancy: Tenancy{
			Export: TenantExport{
				Queue: Queue{Spans: 1 << 14, BatchSpans: 1024, Senders: 2, Delay: Duration(200 * time.Millisecond)},
				Spool: Spool{MaxBytes: 64 << 20},
			},
			Sampling: TraceSampling{Ratio: 1},
		},
		API: API{
			Operators:  Access{UIDs: []UserID{0}},
			StreamsMax: 32, ClientStreamsMax: 4, ClientRate: 20,
		},
		Probing:    defaultProbing(),
		Firewall:   defaultFirewall(),
		FastPath:   defaultFastPath(),
		HTTP:       HTTP{Listen: "127.0.0.1:9464"},
		Containers: Containers{Enabled: true},
		Log:        Log{Level: Level(slog.LevelInfo), Format: Text},
		Shutdown:   Shutdown{Timeout: Duration(10 * time.Second)},
	}
}

// defaultOTLP returns an endpoint of which nothing is said: that of traces, or one in a list.
func defaultOTLP() OTLP {
	return OTLP{Protocol: AutoProtocol, Compression: AutoCompression, TLS: TLS{Insecure: Auto}}
}
