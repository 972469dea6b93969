// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dwelltrace/dwell/internal/tenantdir"
)

// firewallOptions returns what opens the firewall of a configuration with such a section.
func firewallOptions(t *testing.T, section string) Options {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "dwell.yaml")
	text := strings.ReplaceAll(section, "DIR", dir)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Options{File: path, Stderr: &strings.Builder{}}
}

// Without firewall.enabled there is no firewall, and the error says what to set.
func TestFirewallIsOffByDefault(t *testing.T) {
	_, err := OpenFirewall(t.Context(), firewallOptions(t, "tenants: [{id: red, ports: [tap-red]}]\n"))
	if err == nil || !strings.Contains(err.Error(), "set firewall.enabled to true") {
		t.Error(err)
	}
}

// Two processes never have the same rules open.
func TestFirewallIsOpenOnce(t *testing.T) {
	o := firewallOptions(t, "firewall: {enabled: true, state_dir: DIR/state, pin: DIR/bpf}\n")
	m, err := OpenFirewall(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenFirewall(t.Context(), o); err == nil || !strings.Contains(err.Error(), "another process has the firewall's state directory") {
		t.Error(err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if m, err = OpenFirewall(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}

// Metrics may be read, and the status, while the firewall is being opened: the HTTP server is there
// before. The race detector tells.
func TestFirewallIsAskedWhileItIsOpened(t *testing.T) {
	dir := t.TempDir()
	l := parse(t, fmt.Sprintf("firewall: {enabled: true, state_dir: %[1]s/state, pin: %[1]s/bpf}\n", dir))
	d, err := newDaemon(Options{Stderr: &logBuffer{}}, l)
	if err != nil {
		t.Fatal(err)
	}
	opened, asked := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(asked)
		for {
			d.firewallStats()
			d.firewallStatus()
			select {
			case <-opened:
				return
			default:
			}
		}
	}()
	err = d.openFirewall(t.Context(), l, &tenantdir.State{Withheld: true})
	close(opened)
	<-asked
	if err != nil || d.firewallStatus() == "" {
		t.Errorf("%q, %v", d.firewallStatus(), err)
	}
	d.closeFirewall()
}
