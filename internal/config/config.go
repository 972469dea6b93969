// SPDX-License-Identifier: Apache-2.0

// Package config reads the agent's configuration from its YAML file and from DWELL_*
// variables.
//
// A daemon's configuration is written on one machine and read on hundreds, by someone who
// is not there. So nothing is guessed: an unknown name is an error, as is an invalid
// value. All of them are reported at once, each with the line and column, or the
// variable, to fix. Each setting is documented in one place, [Fields], from which the
// reference page and the example are made.
package config

//go:generate go run ./configdoc ../../docs/configuration.md ../../examples/agent/dwell.yaml

// Config is all that can be configured. [Fields] says what the settings mean.
type Config struct {
	Host       Host       `yaml:"host"`
	Trace      Trace      `yaml:"trace"`
	Sampling   Sampling   `yaml:"sampling"`
	Export     Export     `yaml:"export"`
	Metrics    Metrics    `yaml:"metrics"`
	HTTP       HTTP       `yaml:"http"`
	Probes     []Probe    `yaml:"probes"`
	Probing    Probing    `yaml:"probing"`
	Tenancy    Tenancy    `yaml:"tenancy"`
	Tenants    []Tenant   `yaml:"tenants"`
	API        API        `yaml:"api"`
	Firewall   Firewall   `yaml:"firewall"`
	FastPath   FastPath   `yaml:"fastpath"`
	Containers Containers `yaml:"containers"`
	Log        Log        `yaml:"log"`
	Shutdown   Shutdown   `yaml:"shutdown"`
}

// Host names the machine.
type Host struct {
	ID   string `yaml:"id"`
	Name string `yaml:"name"`
}

// Trace says what is traced.
type Trace struct {
	NetNS       []Ref       `yaml:"netns"`
	Interfaces  []Interface `yaml:"interfaces"`
	Addresses   []Prefix    `yaml:"addresses"`
	Hypervisors []Ref       `yaml:"hypervisors"`
	Netfilter   []Ref       `yaml:"netfilter"`
	Timeout     Duration    `yaml:"timeout"`
	RingSize    Size        `yaml:"ring_size"`
	MaxRate     Rate        `yaml:"max_rate"`
	VXLANPorts  []Port      `yaml:"vxlan_ports"`
	Key         Secret      `yaml:"key"`
	Root        Root        `yaml:"root"`
}

// Sampling says which pings are traced, or which traces are sent.
type Sampling struct {
	At             Place    `yaml:"at"`
	Ratio          float64  `yaml:"ratio"`
	KeepSlowerThan Duration `yaml:"keep_slower_than"`
}

// InKernel reports whether pings are left out before they are traced.
func (s Sampling) InKernel() bool { return s.At == InKernel && s.Ratio < 1 }

// OfTraces returns what is said of traces.
func (s Sampling) OfTraces() TraceSampling { return TraceSampling{s.Ratio, s.KeepSlowerThan} }

// TraceSampling says which of the traces are sent.
type TraceSampling struct {
	Ratio          float64  `yaml:"ratio"`
	KeepSlowerThan Duration `yaml:"keep_slower_than"`
}

// Export says where traces go.
type Export struct {
	OTLP   OTLP   `yaml:"otlp"`
	Queue  Queue  `yaml:"queue"`
	Spool  Spool  `yaml:"spool"`
	File   string `yaml:"file"`
	Rotate Rotate `yaml:"rotate"`
}

// OTLP is an endpoint for traces.
type OTLP struct {
	Endpoint    string            `yaml:"endpoint"`
	Protocol    Protocol          `yaml:"protocol"`
	Headers     map[string]Secret `yaml:"headers"`
	Compression Compression       `yaml:"compression"`
	Timeout     Duration          `yaml:"timeout"`
	TLS         TLS               `yaml:"tls"`
}

// TLS says how the endpoint is to prove who it is, and how we do.
type TLS struct {
	CAFile   string `yaml:"ca_file"`
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
	Insecure Switch `yaml:"insecure"`
}

// Queue bounds what waits in memory.
type Queue struct {
	Spans      int      `yaml:"spans"`
	BatchSpans int      `yaml:"batch_spans"`
	Senders    int      `yaml:"senders"`
	Delay      Duration `yaml:"delay"`
}

// Spool is where traces wait on disk.
type Spool struct {
	Dir      string `yaml:"dir"`
	MaxBytes Size   `yaml:"max_bytes"`
}

// Rotate bounds the file.
type Rotate struct {
	MaxBytes Size `yaml:"max_bytes"`
	Keep     int  `yaml:"keep"`
}

// Metrics says what is counted and who gets it.
type Metrics struct {
	Prometheus Prometheus  `yaml:"prometheus"`
	OTLP       MetricsOTLP `yaml:"otlp"`
	MaxSeries  int         `yaml:"max_series"`
	Buckets    []Duration  `yaml:"buckets"`
	Expire     Duration    `yaml:"expire"`
}

// Prometheus is the endpoint that is scraped.
type Prometheus struct {
	Enabled bool `yaml:"enabled"`
}

// MetricsOTLP says whether metrics are sent.
type MetricsOTLP struct {
	Enabled  bool     `yaml:"enabled"`
	Endpoint string   `yaml:"endpoint"`
	Protocol Protocol `yaml:"protocol"`
	Interval Duration `yaml:"interval"`
}

// HTTP is the agent's own server.
type HTTP struct {
	Listen string `yaml:"listen"`
}

// Containers says whether namespaces are named by their containers.
type Containers struct {
	Enabled bool     `yaml:"enabled"`
	Sockets []string `yaml:"sockets"`
}

// Log says what is logged on standard error, and how.
type Log struct {
	Level  Level  `yaml:"level"`
	Format Format `yaml:"format"`
}

// Shutdown bounds the end.
type Shutdown struct {
	Timeout Duration `yaml:"timeout"`
}
