// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dwelltrace/dwell/exporter/otlpfile"
	"github.com/dwelltrace/dwell/internal/config"
	"github.com/dwelltrace/dwell/internal/tenantdir"
)

// Check reads the configuration, tries what can be tried while an agent runs, and returns
// lines that say what would run. It creates no files and makes no connections.
func Check(o Options) ([]string, error) {
	l, err := config.Load(o.File, o.Environ)
	if err != nil {
		return nil, err
	}
	_, _, tlsErr := loadTLS(l)
	who, state, spools, tenantsErr := checkTenants(o, l)
	err = errors.Join(checkSampling(l), tlsErr, checkEndpoint(l), checkPush(l), checkDirs(l), checkAPI(l), tenantsErr)
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, w := range slices.Concat(o.Warnings, warnings(l), unusable(l), spools) {
		lines = append(lines, "warning: "+w)
	}
	return append(lines,
		"host:     "+o.resource(l.Config).Host.Name,
		"trace:    "+traced(l.Trace),
		"sampling: "+sampled(l.Sampling),
		"export:   "+exported(l.Export),
		"metrics:  "+measured(l.Config),
		"probes:   "+probed(l.Config, state),
		"tenants:  "+who,
		"api:      "+answered(l.API),
		"firewall: "+guarded(l.Config.Firewall),
		"fastpath: "+accelerated(l.Config.FastPath, state),
	), nil
}

// guarded says whether tenants may have rules, and where: in the network namespace in which the
// agent runs, whatever it traces.
func guarded(c config.Firewall) string {
	if !c.Enabled {
		return "none: firewall.enabled is false"
	}
	return "rules of tenants in this network namespace, kept in " + c.StateDir
}

// checkSampling tells which ratio can be written down and not be sampled by.
func checkSampling(l *config.Loaded) error {
	if err := samplingOptions(l.Sampling.OfTraces()).Validate(); err != nil {
		return l.Error("sampling", err)
	}
	return nil
}

// checkTenants reads the directory of tenants, whose files must all be good, and returns who
// would be in force, in words as well, and what is wrong with their spools, which keeps nobody
// from tracing.
func checkTenants(o Options, l *config.Loaded) (who string, s *tenantdir.State, spools []string, err error) {
	if s, err = tenantdir.Read(o.tenants(l), nil); err != nil {
		return "", nil, nil, l.Error("tenants", err)
	}
	if err := refusals(s.Problems); err != nil {
		return "", nil, nil, err
	}
	sent := 0
	for i := range s.Definitions {
		def := &s.Definitions[i]
		if len(def.Tenant.Export.OTLP) > 0 {
			sent++
		}
		if _, wrong := newTenantWish(&def.Tenant, credentials{}); wrong != nil {
			err = errors.Join(err, def.Error("export", wrong))
		}
		if dir := def.Tenant.Export.Spool.Dir; dir != l.Tenancy.Export.Spool.Dir {
			if wrong := writable(dir); wrong != nil {
				spools = append(spools, def.Error("export.spool.dir", wrong).Error())
			}
		}
	}
	if err != nil || s.Count() == 0 {
		return "none", s, spools, err
	}
	out := fmt.Sprintf("%d", s.Count())
	if n := s.Count() - len(l.Tenants); n > 0 {
		out += fmt.Sprintf(", of which %d in %s", n, l.Tenancy.Dir)
	}
	if sent > 0 {
		out += fmt.Sprintf("; the traces of %d are sent to endpoints of their own", sent)
	}
	return out, s, spools, nil
}

func answered(c config.API) string {
	var out []string
	if c.Socket != "" {
		out = append(out, "unix://"+c.Socket)
	}
	if c.Listen != "" {
		out = append(out, "https://"+c.Listen)
	}
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, "; ")
}

// checkDirs tries whether files can be made where they are to be.
func checkDirs(l *config.Loaded) error {
	if file := l.Export.File; file != "" && file != otlpfile.Stdout {
		if err := writable(filepath.Dir(file)); err != nil {
			return l.Error("export.file", err)
		}
	}
	return nil
}

// unusable returns what is wrong with spools, without which an agent starts all the same.
func unusable(l *config.Loaded) (out []string) {
	for setting, dir := range map[string]string{
		"export.spool.dir": l.Export.Spool.Dir, "tenancy.export.spool.dir": l.Tenancy.Export.Spool.Dir,
	} {
		if err := writable(dir); err != nil {
			out = append(out, l.Error(setting, err).Error())
		}
	}
	slices.Sort(out)
	return out
}

func traced(c config.Trace) string {
	s := scope(c)
	out := []string{"all pings"}
	if len(s.Addresses) > 0 {
		out = []string{"pings of " + joined(s.Addresses)}
	}
	for _, part := range []struct {
		what string
		list []string
	}{{"in", s.NetNS}, {"on", s.Interfaces}, {"hypervisors", s.Hypervisors}, {"netfilter of", s.Netfilter}} {
		if len(part.list) > 0 {
			out = append(out, part.what+" "+strings.Join(part.list, ", "))
		}
	}
	return strings.Join(out, "; ")
}

func joined[S fmt.Stringer](list []S) string {
	parts := make([]string, len(list))
	for i, s := range list {
		parts[i] = s.String()
	}
	return strings.Join(parts, ", ")
}

func sampled(c config.Sampling) string {
	if c.Ratio >= 1 {
		return "all traces"
	}
	if c.InKernel() {
		return fmt.Sprintf("%g %% of the pings, chosen in the kernel; nothing else is traced", c.Ratio*100)
	}
	out := fmt.Sprintf("%g %% of the traces, and all that are dropped, incomplete or unreachable", c.Ratio*100)
	if c.KeepSlowerThan > 0 {
		out += fmt.Sprintf(" or took longer than %v", time.Duration(c.KeepSlowerThan))
	}
	return out
}

func exported(c config.Export) string {
	var out []string
	if to := endpoint(c.OTLP); to != "" {
		out = append(out, spoken(protocolOf(c.OTLP))+" to "+to)
		if c.Spool.Dir != "" {
			size, _ := c.Spool.MaxBytes.MarshalText() // always has one
			out = append(out, fmt.Sprintf("spool %s of %s", c.Spool.Dir, size))
		}
	}
	if c.File != "" {
		out = append(out, "file "+c.File)
	}
	if len(out) == 0 {
		return "none: export.otlp.endpoint and export.file are empty"
	}
	return strings.Join(out, "; ")
}

// spoken is the name of a protocol.
func spoken(p config.Protocol) string {
	if p == config.HTTPProtobuf {
		return "OTLP/HTTP"
	}
	return "OTLP/gRPC"
}

func measured(c config.Config) string {
	var out []string
	if c.HTTP.Listen != "" && c.Metrics.Prometheus.Enabled {
		out = append(out, "http://"+c.HTTP.Listen+"/metrics")
	}
	if c.Metrics.OTLP.Enabled {
		to := pushEndpoint(c)
		if to == "" {
			to = "the endpoint of the environment"
		}
		out = append(out, fmt.Sprintf("%s to %s every %v", spoken(pushProtocol(c)), to, time.Duration(c.Metrics.OTLP.Interval)))
	}
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, "; ")
}
