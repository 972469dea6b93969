// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"io"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/dwelltrace/dwell/bpf"
	"github.com/dwelltrace/dwell/exporter/otlp"
	"github.com/dwelltrace/dwell/exporter/sampling"
	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/config"
	"github.com/dwelltrace/dwell/internal/container"
)

// Options are what the daemon is given by its process.
type Options struct {
	// File is the configuration, read at the start and at each reload.
	File string
	// Environ is the environment, as of [os.Environ].
	Environ []string
	// Warnings are about the environment, and are logged at the start.
	Warnings []string
	// Resource is what stands on every resource, unless the configuration says otherwise.
	Resource otlp.Options
	// Stderr takes the log.
	Stderr io.Writer
	// OnLogger, if set, is given the logger once it is known.
	OnLogger func(*slog.Logger)
	// Reload is when to read the configuration again.
	Reload <-chan os.Signal
}

// resource returns what stands on every resource.
func (o Options) resource(c config.Config) otlp.Options {
	r := o.Resource
	if c.Host.Name != "" {
		if r.Host.ID == r.Host.Name { // for want of a machine ID
			r.Host.ID = c.Host.Name
		}
		r.Host.Name = c.Host.Name
	}
	if c.Host.ID != "" {
		r.Host.ID = c.Host.ID
	}
	return r
}

// logger makes the logger that the configuration asks for; its level can be changed.
func (o Options) logger(c config.Log) (*slog.Logger, *slog.LevelVar) {
	level := &slog.LevelVar{}
	level.Set(slog.Level(c.Level))
	opts := &slog.HandlerOptions{Level: level}
	var h slog.Handler = slog.NewTextHandler(o.Stderr, opts)
	if c.Format == config.JSON {
		h = slog.NewJSONHandler(o.Stderr, opts)
	}
	return slog.New(h), level
}

// agentOptions are the ones that the configuration has.
func agentOptions(c config.Trace, containers config.Containers) agent.Options {
	ports := make([]uint16, len(c.VXLANPorts))
	for i, p := range c.VXLANPorts {
		ports[i] = uint16(p)
	}
	return agent.Options{
		BPF:     bpf.Options{RingBytes: int(c.RingSize), VXLANPorts: ports},
		Scope:   scope(c),
		Timeout: time.Duration(c.Timeout),
		Key:     c.IDKey(),
		MaxRate: c.MaxRate.Limit(), Background: true,
		OwnRoot: c.Root == config.OwnHost,

		Containers: containers.Enabled, ContainerSockets: sockets(containers),
	}
}

// sockets returns the sockets of container runtimes that are asked for names.
func sockets(c config.Containers) []string {
	switch {
	case !c.Enabled || slices.Equal(c.Sockets, []string{config.None}):
		return nil
	case len(c.Sockets) == 0:
		return container.DefaultSockets()
	}
	return c.Sockets
}

func scope(c config.Trace) agent.Scope {
	s := agent.Scope{
		NetNS: texts(c.NetNS), Interfaces: texts(c.Interfaces),
		Hypervisors: texts(c.Hypervisors), Netfilter: texts(c.Netfilter),
	}
	for _, p := range c.Addresses {
		s.Addresses = append(s.Addresses, p.Prefix)
	}
	return s
}

func texts[S ~string](list []S) []string {
	var out []string
	for _, s := range list {
		out = append(out, string(s))
	}
	return out
}

// samplingOptions are the ones of exporters.
func samplingOptions(c config.TraceSampling) sampling.Options {
	return sampling.Options{Ratio: c.Ratio, KeepSlowerThan: time.Duration(c.KeepSlowerThan)}
}

// threshold returns which pings the kernel side leaves out.
func threshold(c config.Sampling) (uint64, error) {
	if !c.InKernel() {
		return 0, nil
	}
	return samplingOptions(c.OfTraces()).Threshold()
}
