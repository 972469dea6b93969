// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"math"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// report says what is wrong with the value at path.
type report func(path, format string, args ...any)

// The bounds of the kernel side (see bpf.Options), and of what makes sense.
const (
	minRing       = 1 << 20
	maxRing       = 1 << 30
	maxVXLANPorts = 8
	minSpool      = 1 << 20
	maxSenders    = 64
	minInterval   = Duration(100 * time.Millisecond)
)

// check reports values that are well formed but not allowed.
func check(c *Config, bad report) {
	printable("host.id", c.Host.ID, bad)
	printable("host.name", c.Host.Name, bad)
	checkTrace(&c.Trace, bad)
	checkSampling("sampling", c.Sampling.OfTraces(), bad)
	checkPlace(c.Sampling, bad)
	checkOTLP("export.otlp", &c.Export.OTLP, bad)
	checkQueue("export.queue", c.Export.Queue, bad)
	checkSpool("export.spool", c.Export.Spool, bad)
	if c.Export.File != "-" {
		absolute("export.file", c.Export.File, bad)
	}
	checkProbing(c, bad)
	atLeastOne("export.rotate.keep", c.Export.Rotate.Keep, bad)
	checkTenancy(c, bad)
	checkAPI(&c.API, bad)
	checkFirewall(&c.Firewall, bad)
	checkFastPath(&c.FastPath, bad)
	checkMetrics(&c.Metrics, bad)
	checkListen("http.listen", c.HTTP.Listen, bad)
	for i, socket := range c.Containers.Sockets {
		if socket == None && len(c.Containers.Sockets) == 1 {
			break
		}
		absolute(fmt.Sprintf("containers.sockets[%d]", i), strings.TrimPrefix(socket, "unix://"), bad)
	}
	positive("shutdown.timeout", c.Shutdown.Timeout, bad)
}

func checkSampling(at string, s TraceSampling, bad report) {
	if r := s.Ratio; math.IsNaN(r) || r < 0 || r > 1 {
		bad(at+".ratio", "%v is not between 0 and 1", r)
	}
	notNegative(at+".keep_slower_than", s.KeepSlowerThan, bad)
}

// checkPlace refuses what would have no effect.
func checkPlace(s Sampling, bad report) {
	if s.InKernel() && s.Ratio == 0 {
		bad("sampling.ratio", "0 in the kernel traces nothing; set sampling.at to export to have only dropped, incomplete and unreachable pings exported, or choose a ratio above 0")
	}
	if s.InKernel() && s.KeepSlowerThan > 0 {
		bad("sampling.keep_slower_than", "how long a ping takes is not known in the kernel, where sampling.ratio leaves pings out; set sampling.at to export, or keep_slower_than to 0s")
	}
}

func checkTrace(t *Trace, bad report) {
	positive("trace.timeout", t.Timeout, bad)
	if t.RingSize < minRing || t.RingSize > maxRing {
		bad("trace.ring_size", "%s is not between 1MiB and 1GiB", must(t.RingSize.MarshalText()))
	}
	if n := len(t.VXLANPorts); n > maxVXLANPorts {
		bad("trace.vxlan_ports", "%d ports; at most %d are possible", n, maxVXLANPorts)
	}
	if slices.Contains(t.Netfilter, None) && len(t.Netfilter) > 1 {
		bad("trace.netfilter", "none cannot be combined with namespaces; use one or the other")
	}
}

func checkQueue(at string, q Queue, bad report) {
	atLeastOne(at+".spans", q.Spans, bad)
	atLeastOne(at+".batch_spans", q.BatchSpans, bad)
	if q.Senders < 1 || q.Senders > maxSenders {
		bad(at+".senders", "%d is not between 1 and %d", q.Senders, maxSenders)
	}
	positive(at+".delay", q.Delay, bad)
}

func checkSpool(at string, s Spool, bad report) {
	absolute(at+".dir", s.Dir, bad)
	if s.MaxBytes < minSpool {
		bad(at+".max_bytes", "%s is less than 1MiB", must(s.MaxBytes.MarshalText()))
	}
}

func checkMetrics(m *Metrics, bad report) {
	checkEndpoint("metrics.otlp.endpoint", m.OTLP.Endpoint, m.OTLP.Protocol, bad)
	if m.OTLP.Interval < minInterval {
		bad("metrics.otlp.interval", "%v is less than %v", time.Duration(m.OTLP.Interval), time.Duration(minInterval))
	}
	if m.MaxSeries < 2 {
		bad("metrics.max_series", "%d is less than 2; one series is for the overflow", m.MaxSeries)
	}
	for i, b := range m.Buckets {
		at := fmt.Sprintf("metrics.buckets[%d]", i)
		positive(at, b, bad)
		if i > 0 && b <= m.Buckets[i-1] {
			bad(at, "%v is not more than the previous one; buckets must ascend", time.Duration(b))
		}
	}
	positive("metrics.expire", m.Expire, bad)
}

func checkListen(at, addr string, bad report) {
	if addr == "" {
		return
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		bad(at, "%q is not host:port or :port", addr)
		return
	}
	checkPort(at, port, bad)
}

func checkPort(at, port string, bad report) {
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		bad(at, "%q is not a valid port number", port)
	}
}

// printable is for names that appear in labels and log lines.
func printable(at, name string, bad report) {
	if strings.ContainsFunc(name, unicode.IsControl) {
		bad(at, "%q contains line breaks or control characters", name)
	}
}

// absolute is for files, because no one chooses a daemon's working directory.
func absolute(at, path string, bad report) {
	if path != "" && !filepath.IsAbs(path) {
		bad(at, "%q is not an absolute path", path)
	}
}

func positive(at string, d Duration, bad report) {
	if d <= 0 {
		bad(at, "%v is not more than 0", time.Duration(d))
	}
}

func notNegative(at string, d Duration, bad report) {
	if d < 0 {
		bad(at, "%v is negative", time.Duration(d))
	}
}

func atLeastOne(at string, n int, bad report) {
	if n < 1 {
		bad(at, "%d is less than 1", n)
	}
}

// must returns the text of a value that always has one.
func must(text []byte, _ error) string { return string(text) }
