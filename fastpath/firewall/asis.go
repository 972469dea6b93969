// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// asIs runs the operator's command as it is. It is not kept, so it does not survive a reboot.
func (m *Manager) asIs(ctx context.Context, q Request, reason string) (*Answer, error) {
	a := &Answer{
		Place: IPTables, DryRun: q.DryRun,
		Reason: sentences(reason, "it is put into iptables as it is, and will not be there after a reboot"),
	}
	if q.DryRun {
		return a, nil
	}
	out, err := m.iptables(ctx, q.Words)
	if err != nil {
		return &Answer{Place: Refused, Reason: err.Error()}, nil //nolint:nilerr // what iptables says is the answer
	}
	a.Output = out
	m.host, m.foreign = nil, nil
	return a, nil
}

// iptables runs a command in the hypervisor's namespace, with the kind of iptables that
// tenants' rules are in.
func (m *Manager) iptables(ctx context.Context, words []string) (string, error) {
	program := "iptables"
	if strings.HasPrefix(words[0], "ip6") {
		program = "ip6tables"
	}
	program += "-" + string(m.faces.tables.Kind())
	var out []byte
	run := func() (err error) {
		out, err = exec.CommandContext(ctx, program, append([]string{"-w", "5"}, words[1:]...)...).CombinedOutput()
		return err
	}
	var err error
	if ns := m.options.NetNS; ns != nil {
		err = ns.Do(run)
	} else {
		err = run()
	}
	if err != nil {
		return "", fmt.Errorf("%s does not take it: %s (%w)", program, strings.TrimSpace(string(out)), err)
	}
	return string(out), nil
}
