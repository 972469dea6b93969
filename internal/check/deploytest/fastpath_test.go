// SPDX-License-Identifier: Apache-2.0

package deploytest_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dwelltrace/dwell/fastpath/flow"
	"github.com/dwelltrace/dwell/internal/config"
	"github.com/dwelltrace/dwell/internal/privilege"
)

const (
	// bpfFileSystem is where programs are pinned.
	bpfFileSystem = "/sys/fs/bpf"
	// rawSockets is the capability to read the rules of legacy iptables.
	rawSockets = "CAP_NET_RAW"
)

// checkFastPathAgent fails unless the agent of a container can have a fast path: it is where the host's
// devices are, can read all rules, and its programs outlive it.
func checkFastPathAgent(t *testing.T, c container) {
	t.Helper()
	checkCapabilities(t, c.Name, c.CapAdd, rawSockets)
	if !c.HostNetwork || !slices.Contains(c.Writable, bpfFileSystem) {
		t.Errorf("%s: in the host's network: %v, may write to %v", c.Name, c.HostNetwork, c.Writable)
	}
	if pin := config.Default().FastPath.Pin; filepath.Dir(pin) != bpfFileSystem {
		t.Errorf("programs are in %s, which is not mounted", pin)
	}
}

// The drop-in for probes adds the one capability, and leaves the agent what it is.
func TestSystemdDropInOfProbes(t *testing.T) {
	var got []string
	for _, found := range regexp.MustCompile(`(?m)^(\w+=.*)$`).FindAllStringSubmatch(read(t, "examples/systemd/probes.conf"), -1) {
		got = append(got, found[1])
	}
	if want := []string{"CapabilityBoundingSet=" + rawSockets, "AmbientCapabilities=" + rawSockets}; !slices.Equal(got, want) {
		t.Errorf("probes.conf has %q, want %q", got, want)
	}
}

// The drop-ins for firewall and fast path make the agent root, because what is pinned belongs to root,
// and add one capability to those of the unit.
func TestSystemdDropIns(t *testing.T) {
	for _, name := range []string{"fastpath.conf", "firewall.conf"} {
		settings := map[string]string{}
		for _, found := range regexp.MustCompile(`(?m)^(\w+)=(.*)$`).FindAllStringSubmatch(read(t, "examples/systemd/"+name), -1) {
			settings[found[1]] = found[2]
		}
		want := map[string]string{"DynamicUser": "no", "User": "root", "AmbientCapabilities": "", "CapabilityBoundingSet": rawSockets}
		if name == "firewall.conf" {
			want["ReadWritePaths"] = "/run" // the lock of iptables
		}
		for setting, value := range want {
			if got, there := settings[setting]; !there || got != value {
				t.Errorf("%s: %s is %q, want %q", name, setting, got, value)
			}
			delete(settings, setting)
		}
		if len(settings) > 0 {
			t.Errorf("%s has more than is needed: %v", name, settings)
		}
	}
	for _, u := range privilege.Agent() {
		if u.String() == rawSockets {
			t.Errorf("%s is in the unit already", rawSockets)
		}
	}
	// ProtectSystem=strict leaves /sys as it is; these would not.
	if unit := read(t, "examples/systemd/dwell.service"); strings.Contains(unit, "\nProtectKernelTunables=yes") || strings.Contains(unit, "\nReadOnlyPaths=") {
		t.Error("the unit forbids to write to /sys/fs/bpf")
	}
}

// Who follows the examples begins with comparing, and can ask.
func TestFastPathConfigurations(t *testing.T) {
	loaded, err := config.Load(filepath.Join(root, "examples", "kubernetes-fastpath", "dwell.yaml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	compose, err := config.Load(filepath.Join(root, "examples", "compose", "dwell.yaml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(root, "examples", "compose", "fastpath.d", "red.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	d, err := compose.ParseTenant(file, text, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(loaded.Tenants); n != 1 {
		t.Fatalf("%d tenants", n)
	}
	for _, mode := range []flow.Mode{loaded.Tenants[0].FastPath, d.FastPath} {
		if mode != flow.Shadow {
			t.Errorf("the mode is %v", mode)
		}
	}
	for _, c := range []config.Config{loaded.Config, compose.Config} {
		if c.API.Socket != "/run/dwell/agent.sock" {
			t.Errorf("the API's socket is %q", c.API.Socket)
		}
	}
	// What is not about tenants is as without them.
	plain, err := config.Load(filepath.Join(root, "examples", "kubernetes", "dwell.yaml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := plain.Config, loaded.Config; a.Export.OTLP.Endpoint != b.Export.OTLP.Endpoint || a.Export.Spool != b.Export.Spool || a.HTTP != b.HTTP || a.Log != b.Log {
		t.Errorf("%+v, but %+v with a fast path", a, b)
	}
}
