// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// The bounds of probes. A payload holds the time, who sends it, and what replies are known by.
const (
	maxProbes, maxTenantProbes = 256, 32
	maxTargets                 = 64
	maxProbeName               = 63
	minProbeInterval           = Duration(100 * time.Millisecond)
	maxProbeInterval           = Duration(time.Hour)
	maxProbeTimeout            = Duration(10 * time.Second)
	minProbeSize, maxProbeSize = 40, 65507
	maxProbeRate               = 1000
)

// Probe is what is pinged from where, and how often.
type Probe struct {
	Name     string   `yaml:"name"`
	NetNS    []Ref    `yaml:"netns"`
	Targets  []Target `yaml:"targets"`
	Interval Duration `yaml:"interval"`
	Timeout  Duration `yaml:"timeout"`
	Size     int      `yaml:"size"`
}

// Wait returns how long to wait for a reply.
func (p *Probe) Wait() time.Duration {
	if p.Timeout == 0 {
		return min(time.Second, time.Duration(p.Interval))
	}
	return time.Duration(p.Timeout)
}

// Probing is what holds for all probes.
type Probing struct {
	MaxRate       int `yaml:"max_rate"`
	TenantMaxRate int `yaml:"tenant_max_rate"`
}

func defaultProbe() Probe { return Probe{Interval: Duration(time.Second), Size: 56} }

func defaultProbing() Probing { return Probing{MaxRate: 100, TenantMaxRate: 10} }

// Target is the address of a host, without a zone.
type Target struct{ netip.Addr }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (t *Target) UnmarshalText(text []byte) error {
	a, err := netip.ParseAddr(string(text))
	switch {
	case err != nil:
		return fmt.Errorf("%q is not an address; names are not looked up, because the agent's name server may not be the one of the namespace: use an address, such as one that getent ahosts %[1]s prints there", text)
	case a.Zone() != "":
		return fmt.Errorf("%q has a zone, which is not supported; use a global address", text)
	case a.IsUnspecified() || a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return fmt.Errorf("%q is not the address of one host", text)
	}
	t.Addr = a.Unmap()
	return nil
}

// checkProbing checks what holds for all probes, and the operator's.
func checkProbing(c *Config, bad report) {
	for _, r := range []struct {
		at string
		is int
	}{{"probing.max_rate", c.Probing.MaxRate}, {"probing.tenant_max_rate", c.Probing.TenantMaxRate}} {
		if r.is < 1 || r.is > maxProbeRate {
			bad(r.at, "%d is not between 1 and %d", r.is, maxProbeRate)
		}
	}
	checkProbes("probes", c.Probes, maxProbes, bad)
}

// checkProbes checks a list of probes, of which there may be so many.
func checkProbes(path string, list []Probe, most int, bad report) {
	if len(list) > most {
		bad(path, "there are %d probes; at most %d are possible, but one may have several targets and namespaces", len(list), most)
	}
	named := map[string]int{}
	for i := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		name := list[i].Name
		if first, taken := named[name]; taken && name != "" {
			bad(at+".name", "%q is also the name of %s[%d]; use another one", name, path, first)
		} else {
			named[name] = i
		}
		checkProbe(at, &list[i], bad)
	}
}

func checkProbe(at string, p *Probe, bad report) {
	checkProbeName(at+".name", p.Name, bad)
	if len(p.NetNS) == 0 {
		bad(at+".netns", "it is missing; say in which network namespaces the probe is sent, for example [host]")
	}
	if n := len(p.Targets); n == 0 || n > maxTargets {
		bad(at+".targets", "there are %d; from 1 to %d addresses are needed", n, maxTargets)
	}
	if p.Interval < minProbeInterval || p.Interval > maxProbeInterval {
		bad(at+".interval", "%v is not between %v and %v", time.Duration(p.Interval), time.Duration(minProbeInterval), time.Duration(maxProbeInterval))
	}
	switch { // of a timeout that is left out nothing is said
	case p.Timeout == 0:
	case p.Timeout < 0 || p.Timeout > maxProbeTimeout:
		bad(at+".timeout", "%v is not between 0s and %v", time.Duration(p.Timeout), time.Duration(maxProbeTimeout))
	case p.Timeout > p.Interval:
		bad(at+".timeout", "%v is longer than the interval, %v; a probe waits for one reply at a time", time.Duration(p.Timeout), time.Duration(p.Interval))
	}
	if p.Size < minProbeSize || p.Size > maxProbeSize {
		bad(at+".size", "%d is not between %d and %d", p.Size, minProbeSize, maxProbeSize)
	}
}

func checkProbeName(at, name string, bad report) {
	const also = "._-"
	bare := func(r rune) bool {
		return r < 128 && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9')
	}
	wrong := func(r rune) bool { return !bare(r) && !strings.ContainsRune(also, r) }
	if name == "" || len(name) > maxProbeName || strings.ContainsFunc(name, wrong) || strings.ContainsRune(also, rune(name[0])) {
		bad(at, "%q is not a valid name; use 1 to %d letters, digits, and . _ -, beginning with a letter or a digit", name, maxProbeName)
	}
}

// checkTenantProbes checks the probes of a tenant; whether a namespace is the tenant's is known
// only when it is there.
func checkTenantProbes(path string, list []Probe, bad report) {
	checkProbes(path, list, maxTenantProbes, bad)
	for i := range list {
		if j := slices.Index(list[i].NetNS, "host"); j >= 0 {
			bad(fmt.Sprintf("%s[%d].netns[%d]", path, i, j), "the host's own namespace cannot belong to a tenant; name one of the tenant's")
		}
	}
}

func probingFields() []Field {
	return []Field{
		{Path: "probes", Example: `[{name: gateway, netns: ["host"], targets: ["192.0.2.1", "2001:db8::1"]}]`, Doc: "Pings that the agent sends by itself, so that there is something to trace and to alert on where nobody pings. [probes.md](probes.md) says what they are good for. A probe that is changed or added by a reload begins at once; the others go on. Tenants may have their own: `tenants[].probes`."},
		{Path: "probing", Doc: "What holds for all probes. What would exceed a limit is not sent: the log says what, and `dwell_agent_probes_refused` counts it."},
		{Path: "probing.max_rate", Example: "500", Doc: "How many pings a second the operator's probes may send together, and those of all tenants together as many again; from 1 to 1000. Each may ping at most 1000 pairs of namespace and target."},
		{Path: "probing.tenant_max_rate", Example: "2", Doc: "How many pings a second the probes of one tenant may send; from 1 to 1000, and never more than an equal share of what all tenants may."},
	}
}

func probeFields() []Field {
	return []Field{
		{Path: "probes[].name", Example: "gateway", Doc: "What the probe is called in metrics: 1 to 63 letters, digits, and `.` `_` `-`, beginning with a letter or a digit. No two probes, of one tenant or of none, have the same. Required."},
		{Path: "probes[].netns", Example: `["host", "web-*"]`, Doc: "The network namespaces in which the probe is sent, written as in trace.netns: names, containers, paths, PIDs, `host` or patterns. Each sends its own pings, for as long as it is there, and again when it is back. Required."},
		{Path: "probes[].targets", Example: `["192.0.2.1", "2001:db8::1"]`, Doc: "IPv4 and IPv6 addresses to ping, each by itself. Names of hosts are not looked up: the agent's name server may not be the one of the namespace, and an alert should not depend on either. Required."},
		{Path: "probes[].interval", Example: "10s", Doc: "How often each target is pinged, from 100ms to 1h; 1s by default. The time of each ping varies by a tenth of it. DwellHypervisorSlow needs a ping every 3 s or more often."},
		{Path: "probes[].timeout", Example: "500ms", Doc: "How long to wait for a reply, at most 10s and not longer than the interval; a ping without a reply by then counts as lost. By default, 1s, or the interval if that is shorter."},
		{Path: "probes[].size", Example: "1472", Doc: "Bytes of payload, from 40 to 65507; 56 by default. Packets that are larger than a link of the path allows are sent in fragments."},
	}
}
