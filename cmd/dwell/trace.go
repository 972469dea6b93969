// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/bpf"
	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/exporter/otlp"
	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/config"
	"github.com/dwelltrace/dwell/internal/container"
	"github.com/dwelltrace/dwell/internal/recording"
)

// The kernel side's limits, see [bpf.Options].
const (
	maxRingMiB    = 1024
	maxVXLANPorts = 8
)

// traceFlags are the flags of dwell trace.
type traceFlags struct {
	exportFlags
	count                       uint64
	duration, timeout           time.Duration
	netns, interfaces, prefixes []string
	hypervisors, netfilter      []string
	sockets                     []string
	output                      string
	record                      string
	keyFile                     string
	ownRoot                     bool
	ringMiB                     int
	maxRate                     config.Rate
	vxlanPorts                  []uint
}

func newTraceCommand() *cobra.Command {
	var f traceFlags
	cmd := &cobra.Command{
		Use:   "trace",
		Short: "Trace the pings of this host, live",
		Long: `Trace the pings of this host, live. Each ping becomes one trace, whose spans are the time
that the packet spent in each device. Tracing ends after --count pings, after --duration
or with Ctrl-C; a summary is then printed on standard error. Needs root, or at least
CAP_BPF and CAP_PERFMON; see dwell doctor.

--netns and --interface select where packets are observed, --address selects the pings.
These filters work in the kernel, so what they exclude costs next to nothing. Network
namespaces that are created, removed or renamed while dwell runs are taken into account.`,
		Example: `  dwell trace                                          # print waterfalls
  dwell trace --count 100 --otlp-file pings.jsonl --output none
  dwell trace --otlp-endpoint localhost:4317           # to Jaeger, Tempo or a Collector
  dwell trace --address 203.0.113.8                    # only pings from or to this address
  dwell trace --hypervisor dwell-bridge-hypervisor     # in the lab`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runTrace(cmd, f) },
	}
	f.register(cmd)
	return cmd
}

func (f *traceFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.Uint64VarP(&f.count, "count", "c", 0, "stop after this many pings (0: never)")
	flags.DurationVarP(&f.duration, "duration", "d", 0, "stop after this time (0: never)")
	flags.DurationVar(&f.timeout, "timeout", agent.DefaultTimeout, "how long to wait for a reply")
	flags.StringSliceVar(&f.netns, "netns", nil,
		"trace only in these network `namespaces`: name, container, path, PID, host,\n"+
			"or a pattern such as 'tenant-*' (default: all)")
	flags.StringSliceVar(&f.interfaces, "interface", nil, "trace only on these `interfaces`: name, alternative name,\n"+
		"or a pattern such as 'ens*' (default: all)")
	flags.StringSliceVar(&f.prefixes, "address", nil, "trace only pings from or to these `addresses` or prefixes (default: all)")
	flags.StringSliceVar(&f.hypervisors, "hypervisor", nil,
		"network `namespaces` that are hypervisors, specified as in --netns (default: the host's own)")
	flags.StringSliceVar(&f.netfilter, "netfilter", nil,
		"network `namespaces` in which to time the netfilter chains, specified as in --netns, or none\n"+
			"(default: the hypervisors, if the kernel supports it)")
	flags.StringSliceVar(&f.sockets, "container-socket", nil,
		"`sockets` of the container runtimes to ask for container names; auto: the usual paths\n"+
			"(default: none; containers are named by their IDs)")
	flags.StringVarP(&f.output, "output", "o", outputWaterfall, "what to print on standard output: waterfall, events (one line per event),\n"+
		"json (one object per event) or none")
	flags.IntVar(&f.ringMiB, "ring-size", bpf.DefaultRingBytes>>20, "size of the ring buffers of all CPUs together, in `MiB` (1 to 1024);\n"+
		"in a flood of pings, up to three times as much memory is used in addition")
	flags.TextVar(&f.maxRate, "max-rate", config.AutoRate, "trace about so many `pings` a second, leaving out those of the busiest senders;\n"+
		"0: no limit, auto: as many as this machine can, once a flood is too much for it")
	flags.UintSliceVar(&f.vxlanPorts, "vxlan-port", []uint{bpf.VXLANPort, bpf.LegacyVXLANPort}, "UDP `ports` that carry VXLAN, at most 8")
	flags.StringVar(&f.keyFile, "key-file", "",
		"`file` with the key from which IDs are derived, 32 hexadecimal digits, the same on all hosts\n"+
			"(default: a constant that is part of dwell)")
	flags.BoolVar(&f.ownRoot, "own-root", false,
		"give the spans of a ping that this host only passes on a root of their own, because the host that\n"+
			"sends it is not traced")
	flags.StringVar(&f.record, "record", "", "write a recording to this `file`, for dwell replay; an existing file is overwritten")
	f.sampling.inKernel = true
	f.exportFlags.register(cmd)
}

// checkLimits says which flag has a value that cannot be.
func (f *traceFlags) checkLimits() error {
	if err := checkOutput(f.output); err != nil {
		return err
	}
	if err := errors.Join(f.checkStdout(f.output), f.check()); err != nil {
		return err
	}
	if f.ringMiB < 1 || f.ringMiB > maxRingMiB {
		return fmt.Errorf("--ring-size %d: must be at least 1 MiB and at most %d MiB", f.ringMiB, maxRingMiB)
	}
	if f.timeout <= 0 {
		return fmt.Errorf("--timeout %v: must be more than 0", f.timeout)
	}
	if f.duration < 0 {
		return fmt.Errorf("--duration %v: must not be negative; 0 means no end", f.duration)
	}
	if len(f.vxlanPorts) > maxVXLANPorts {
		return fmt.Errorf("--vxlan-port: %d ports; at most %d", len(f.vxlanPorts), maxVXLANPorts)
	}
	for _, p := range f.vxlanPorts {
		if p == 0 || p > 65535 {
			return fmt.Errorf("--vxlan-port %d: must be between 1 and 65535", p)
		}
	}
	return nil
}

// options makes the agent's options of the flags.
func (f *traceFlags) options() (opts agent.Options, err error) {
	if err := f.checkLimits(); err != nil {
		return opts, err
	}
	opts = agent.Options{Count: f.count, Timeout: f.timeout, OwnRoot: f.ownRoot}
	if opts.Key, err = readKey(f.keyFile); err != nil {
		return opts, err
	}
	if opts.Threshold, err = f.sampling.threshold(); err != nil {
		return opts, err
	}
	opts.MaxRate = f.maxRate.Limit()
	opts.BPF.RingBytes = f.ringMiB << 20
	opts.BPF.VXLANPorts = []uint16{}
	for _, p := range f.vxlanPorts {
		opts.BPF.VXLANPorts = append(opts.BPF.VXLANPorts, uint16(p))
	}
	opts.Scope = agent.Scope{
		NetNS: f.netns, Interfaces: f.interfaces, Hypervisors: f.hypervisors, Netfilter: f.netfilter,
	}
	for _, p := range f.prefixes {
		prefix, err := parsePrefix(p)
		if err != nil {
			return opts, err
		}
		opts.Scope.Addresses = append(opts.Scope.Addresses, prefix)
	}
	opts.Strict = true // a misspelled name should not look like a lack of pings
	opts.Containers, opts.ContainerSockets = true, f.sockets
	if slices.Equal(f.sockets, []string{"auto"}) {
		opts.ContainerSockets = container.DefaultSockets()
	}
	return opts, opts.Scope.Check()
}

// readKey reads the file of --key-file; without one, the key is the default.
func readKey(file string) (key correlate.Key, err error) {
	if file == "" {
		return key, nil
	}
	text, err := os.ReadFile(file)
	if err == nil {
		key, err = config.ParseKey(strings.TrimSpace(string(text)))
	}
	if err != nil {
		return key, fmt.Errorf("--key-file %s: %w", file, err)
	}
	return key, nil
}

// parsePrefix takes a prefix, or an address as the prefix that holds only it.
func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("--address %q: neither an address nor a prefix like 192.0.2.0/24", s)
	}
	return p, nil
}

func runTrace(cmd *cobra.Command, f traceFlags) error {
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	opts, err := f.options()
	if err != nil {
		return err
	}
	onResource, err := otlpOptions(ctx)
	if err != nil {
		return err
	}
	opts.HostID = onResource.Host.ID
	log := newLogger(cmd.ErrOrStderr())
	out := newOutput(f.output, cmd.OutOrStdout(), &opts, cancel)
	opts.Open = func() (agent.Sinks, error) { return f.sinks(ctx, onResource, log) }
	if len(f.netfilter) == 0 { // it was not asked for
		opts.WithoutNetfilter = func(err error) { log.Warn("netfilter chains are not timed: " + err.Error()) }
	}
	opts.OnRefused = func(err error) { logRefused(log, err) }
	a, err := agent.Start(opts)
	if err != nil {
		return err
	}
	if f.duration > 0 {
		ctx, cancel = context.WithTimeout(ctx, f.duration)
		defer cancel()
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "dwell: attached, tracing %s; press Ctrl-C to stop\n", f.scope())
	for _, name := range a.Status().Unresolved.Interfaces {
		log.Warn(fmt.Sprintf("no interface matches %q yet (--interface)", name))
	}
	out.start(a.Resolver())
	summary, err := a.Run(ctx)
	err = errors.Join(err, out.finish(cmd.ErrOrStderr()))
	fmt.Fprintln(cmd.ErrOrStderr(), "dwell:", summary)
	return err
}

// logRefused says what the kernel refuses, and when that is over.
func logRefused(log *slog.Logger, err error) {
	if err == nil {
		log.Info("the kernel no longer refuses changes to what is traced")
		return
	}
	for line := range strings.Lines(err.Error()) {
		log.Warn("the kernel refuses a change to what is traced; trying again: " + strings.TrimSpace(line))
	}
}

// sinks opens what the traces go to.
func (f *traceFlags) sinks(ctx context.Context, res otlp.Options, log *slog.Logger) (agent.Sinks, error) {
	sinks, err := f.open(ctx, res, log)
	if err != nil {
		return agent.Sinks{}, err
	}
	rec, err := f.recording(res, log)
	if err != nil {
		return agent.Sinks{}, errors.Join(err, shutdownUnused(sinks))
	}
	return agent.Sinks{Exporter: sinks, Recording: rec}, nil
}

// scope says what is traced.
func (f *traceFlags) scope() string {
	var parts []string
	for _, p := range []struct {
		what string
		list []string
	}{{"pings of ", f.prefixes}, {"in ", f.netns}, {"on ", f.interfaces}} {
		if len(p.list) > 0 {
			parts = append(parts, p.what+strings.Join(p.list, ", "))
		}
	}
	if len(parts) == 0 {
		return "all pings of this host"
	}
	return strings.Join(parts, " ")
}

// recording opens the file of --record, or returns nil.
func (f *traceFlags) recording(res otlp.Options, log *slog.Logger) (*recording.Writer, error) {
	if f.record == "" {
		return nil, nil
	}
	var uname unix.Utsname
	if err := unix.Uname(&uname); err != nil {
		return nil, fmt.Errorf("uname: %w", err)
	}
	info := recording.Info{
		Version: res.Version, HostID: res.Host.ID, HostName: res.Host.Name,
		Kernel: unix.ByteSliceToString(uname.Release[:]),
	}
	for _, a := range res.Environment {
		info.Environment = append(info.Environment, recording.Attribute(a))
	}
	return recording.Create(f.record, info, func(err error) {
		log.Warn("cannot write the recording; tracing continues without it", "path", f.record, "error", err)
	})
}
