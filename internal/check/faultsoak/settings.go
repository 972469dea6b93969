// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"

	"github.com/dwelltrace/dwell/internal/study/lab"
)

// settings are what reloads change.
type settings struct {
	ratio float64
	// tenant says whether there is one, whose the guest is, with a probe of its own.
	tenant bool
	// probe is the name of the operator's probe, "" if there is none.
	probe string
	// file says whether traces are written to a file, too.
	file bool
}

// configuration is the agent's.
func (s *soak) configuration(with settings) string {
	_, guest := s.lab.NetNS(lab.Guest)
	var b strings.Builder
	fmt.Fprintf(&b, `
trace:
  netns: ["%[1]s-*"]
  hypervisors: ["%[1]s-bridge-hypervisor"]
  netfilter: [none]
log: {level: error}
metrics: {expire: 1m}
sampling: {ratio: %[2]g}
export:
  otlp: {endpoint: "http://%[3]s"}
  spool: {dir: "%[4]s/spool", max_bytes: %[5]d}
`, s.prefix, with.ratio, s.sink.Address(), s.disk(), diskSize/2)
	if with.file {
		fmt.Fprintf(&b, "  file: %q\n", s.file())
	}
	if with.probe != "" {
		fmt.Fprintf(&b, `
probes:
  - {name: %s, netns: [%s, "%s-churn-*"], targets: ["%s", "%s"], interval: 200ms}
`, with.probe, guest, s.prefix, s.lab.Target(false), s.lab.Target(true))
	}
	if with.tenant {
		fmt.Fprintf(&b, `
tenancy:
  export: {spool: {dir: "%[3]s/tenants", max_bytes: 8MiB}}
tenants:
  - {id: red, netns: [%[1]s], probes: [{name: own, netns: [%[1]s], targets: ["%[2]s"], interval: 500ms}]}
`, guest, s.lab.Target(false), s.disk())
	}
	return b.String()
}
