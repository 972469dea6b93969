// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"math"
	"net"
	"path/filepath"
	"regexp"
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
	minInterval   = Duration(100 * time.Millisecond)
)

// check reports values that are well formed but not allowed.
func check(c *Config, bad report) {
	printable("host.id", c.Host.ID, bad)
	printable("host.name", c.Host.Name, bad)
	checkTrace(&c.Trace, bad)
	if r := c.Sampling.Ratio; math.IsNaN(r) || r < 0 || r > 1 {
		bad("sampling.ratio", "%v is not between 0 and 1", r)
	}
	notNegative("sampling.keep_slower_than", c.Sampling.KeepSlowerThan, bad)
	checkOTLP(&c.Export.OTLP, bad)
	checkQueue(&c.Export, bad)
	checkMetrics(&c.Metrics, bad)
	checkListen(c.HTTP.Listen, bad)
	for i, socket := range c.Containers.Sockets {
		if socket == None && len(c.Containers.Sockets) == 1 {
			break
		}
		absolute(fmt.Sprintf("containers.sockets[%d]", i), strings.TrimPrefix(socket, "unix://"), bad)
	}
	positive("shutdown.timeout", c.Shutdown.Timeout, bad)
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

// headerName is gRPC's rule for metadata:
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
var headerName = regexp.MustCompile(`^[0-9a-z_.-]+$`)

func checkOTLP(o *OTLP, bad report) {
	checkEndpoint("export.otlp.endpoint", o.Endpoint, bad)
	notNegative("export.otlp.timeout", o.Timeout, bad)
	for name := range o.Headers {
		at := "export.otlp.headers." + name
		switch {
		case !headerName.MatchString(name):
			bad(at, "a header name may contain only lower-case letters, digits, and _ . -")
		case strings.HasPrefix(name, "grpc-"):
			bad(at, "names that begin with grpc- are reserved for gRPC")
		}
	}
	checkTLS(o, bad)
}

func checkTLS(o *OTLP, bad report) {
	tls := &o.TLS
	for _, f := range []struct{ name, path string }{
		{"ca_file", tls.CAFile}, {"cert_file", tls.CertFile}, {"key_file", tls.KeyFile},
	} {
		if f.path == "" {
			continue
		}
		at := "export.otlp.tls." + f.name
		absolute(at, f.path, bad)
		if tls.Insecure == On || strings.HasPrefix(o.Endpoint, "http://") {
			bad(at, "not used without TLS: insecure: true or http:// makes the endpoint plain text")
		}
	}
	switch {
	case tls.CertFile != "" && tls.KeyFile == "":
		bad("export.otlp.tls.cert_file", "key_file is required, too")
	case tls.KeyFile != "" && tls.CertFile == "":
		bad("export.otlp.tls.key_file", "cert_file is required, too")
	case tls.Insecure == On && strings.HasPrefix(o.Endpoint, "https://"):
		bad("export.otlp.tls.insecure", "true means plain text, but export.otlp.endpoint begins with https://")
	case tls.Insecure == Off && strings.HasPrefix(o.Endpoint, "http://"):
		bad("export.otlp.tls.insecure", "false means TLS, but export.otlp.endpoint begins with http://")
	}
}

func checkQueue(e *Export, bad report) {
	atLeastOne("export.queue.spans", e.Queue.Spans, bad)
	atLeastOne("export.queue.batch_spans", e.Queue.BatchSpans, bad)
	positive("export.queue.delay", e.Queue.Delay, bad)
	absolute("export.spool.dir", e.Spool.Dir, bad)
	if e.Spool.MaxBytes < minSpool {
		bad("export.spool.max_bytes", "%s is less than 1MiB", must(e.Spool.MaxBytes.MarshalText()))
	}
	if e.File != "-" {
		absolute("export.file", e.File, bad)
	}
}

func checkMetrics(m *Metrics, bad report) {
	checkEndpoint("metrics.otlp.endpoint", m.OTLP.Endpoint, bad)
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

func checkListen(addr string, bad report) {
	if addr == "" {
		return
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		bad("http.listen", "%q is not host:port or :port", addr)
		return
	}
	checkPort("http.listen", port, bad)
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
