// SPDX-License-Identifier: Apache-2.0

package config

import (
	"path/filepath"
	"time"
)

// The bounds of the fast path's settings.
const (
	// maxLease is what is promised about changes of which nobody tells: see docs/fastpath.md.
	minLease, maxLease = Duration(time.Second), Duration(10 * time.Second)
	// maxFlows is how many the kernel keeps of each family, of all tenants.
	maxFlows = 131072
)

// FastPath is what holds for the fast paths of all tenants. Which tenants have one is said with
// each of them.
type FastPath struct {
	NICs           []Interface `yaml:"nics"`
	Lease          Duration    `yaml:"lease"`
	FlowsPerTenant int         `yaml:"flows_per_tenant"`
	Pin            string      `yaml:"pin"`
}

func defaultFastPath() FastPath {
	return FastPath{Lease: maxLease, FlowsPerTenant: 16384, Pin: bpfDir + "/dwell"}
}

func checkFastPath(f *FastPath, bad report) {
	if f.Lease < minLease || f.Lease > maxLease {
		bad("fastpath.lease", "%v is not between %v and %v", time.Duration(f.Lease), time.Duration(minLease), time.Duration(maxLease))
	}
	if f.FlowsPerTenant < 1 || f.FlowsPerTenant > maxFlows {
		bad("fastpath.flows_per_tenant", "%d is not between 1 and %d", f.FlowsPerTenant, maxFlows)
	}
	checkPin("fastpath.pin", f.Pin, bad)
}

// checkPin checks a directory for BPF programs.
func checkPin(at, dir string, bad report) {
	present(at, dir, bad)
	absolute(at, dir, bad)
	if filepath.Clean(dir) == bpfDir {
		bad(at, "%q is everybody's; use a directory in it, such as %q", dir, bpfDir+"/dwell")
	}
}

func fastPathFields() []Field {
	return []Field{
		{Path: "fastpath", Doc: "The fast path of tenants' packets, which is switched on for each tenant: see `tenants[].fastpath`. [fastpath.md](fastpath.md) says what it does and what it never does. It is in the network namespace in which the agent runs, whatever is traced."},
		{Path: "fastpath.nics", Example: `["ens3", "bond0"]`, Restart: true, Doc: "The devices by which packets of tenants leave the hypervisor and arrive, by name or alternative name. Default: those by which default routes lead out, as `dwell fastpath status` shows. Where there is no default route, as in a namespace of its own, they must be named, or nothing is sent fast."},
		{Path: "fastpath.lease", Example: "2s", Restart: true, Doc: "How long what was learnt of a flow is believed at most, before a packet of it takes the kernel's own way again; from 1s to 10s. A change of which the kernel tells nobody, as of a rule of legacy iptables, takes effect within that time."},
		{Path: "fastpath.flows_per_tenant", Example: "1000", Restart: true, Doc: "How many flows of one tenant may be on the fast path at a time, each direction counted by itself; from 1 to 131072. Packets of further flows take the kernel's own way. No tenant takes room from another. An entry takes some 450 bytes of the kernel's memory, in two tables (of IPv4 and of IPv6) that are made when the agent starts, for what all tenants with a fast path may have: of 65,536 entries each (60 MB together) to 524,288 (480 MB). If that is too few, or there are more tenants with ports than when the agent started, each may have an equal part, which `dwell fastpath status` shows."},
		{Path: "fastpath.pin", Example: "/sys/fs/bpf/dwell-2", Restart: true, Doc: "A directory for the BPF programs, which may be that of firewall.pin. It must be in a BPF file system; one is mounted there if it is not. `dwell fastpath down` removes what is in it of the fast path."},
	}
}
