// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

// hypervisor is a namespace with the port tap-red of tenant red on its bridge br-red, and eth0
// to somebody outside. An agent may run in it.
type hypervisor struct {
	*testing.T
	name, dir, kind string
	agent           *agentProcess
}

func newHypervisor(t *testing.T, kind string) *hypervisor {
	t.Helper()
	h := &hypervisor{T: t, name: "dwell-cli-" + rand.Text()[:8], dir: t.TempDir(), kind: kind}
	t.Cleanup(func() { _ = unix.Unmount(h.path("bpf/dwell"), 0) })
	for _, suffix := range []string{"", "-g", "-o"} {
		ns, err := netns.Create(h.name + suffix)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			ns.Close()
			if err := netns.Delete(h.name + suffix); err != nil {
				t.Error(err)
			}
		})
	}
	for _, c := range []string{
		"ip link add tap-red type veth peer name eth0 netns " + h.name + "-g", "ip link add eth0 type veth peer name eth0 netns " + h.name + "-o",
		"ip link add br-red type bridge", "ip link set tap-red master br-red up", "ip link set br-red up", "ip link set eth0 up",
		"ip addr add 192.0.2.1/24 dev br-red", "ip addr add 198.51.100.1/24 dev eth0", "sysctl -qw net.ipv4.ip_forward=1",
	} {
		h.inside(strings.Fields(c)...)
	}
	return h
}

func (h *hypervisor) path(name string) string { return filepath.Join(h.dir, name) }

// inside runs a program in the namespace.
func (h *hypervisor) inside(words ...string) string {
	h.Helper()
	out, err := exec.CommandContext(h.Context(), "nsenter", append([]string{"--net=/run/netns/" + h.name}, words...)...).CombinedOutput()
	if err != nil {
		h.Fatalf("%q: %v: %s", words, err, out)
	}
	return string(out)
}

// saved returns what iptables-save prints, without times and counters.
func (h *hypervisor) saved() string {
	h.Helper()
	var lines []string
	for line := range strings.Lines(h.inside("iptables-"+h.kind+"-save", "-t", "filter")) {
		if !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// dwell returns dwell in the namespace.
func (h *hypervisor) dwell(args ...string) *process {
	return program(h.T, "nsenter", append([]string{"--net=/run/netns/" + h.name, "/proc/" + pid() + "/exe"}, args...)...)
}

// start starts the agent.
func (h *hypervisor) start() {
	h.Helper()
	h.agent = startAgentAs(h.T, fmt.Sprintf(`
api: {socket: %s}
http: {listen: ""}
metrics: {prometheus: {enabled: false}}
firewall: {enabled: true, iptables: %s, state_dir: %s, pin: %s}
tenants: [{id: red, bridges: [br-red], access: {uids: [5001]}}]
`, h.path("agent.sock"), h.kind, h.path("state"), h.path("bpf/dwell")), h.dwell)
}

// firewall runs dwell firewall for red.
func (h *hypervisor) firewall(status int, args ...string) (stdout, stderr string) {
	h.Helper()
	p := h.dwell(append([]string{"firewall", "--backend", "unix://" + h.path("agent.sock"), "--config", h.agent.config, "--tenant", "red"}, args...)...)
	if got := p.exit(h.T); got != status {
		h.Fatalf("%q: status %d, want %d: %s%s\n%s", args, got, status, &p.stdout, &p.stderr, h.agent.log)
	}
	checkEachLine(h.T, p.stderr.String())
	return p.stdout.String(), p.stderr.String()
}

func mustSay(t *testing.T, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// From what is typed to what iptables has, and back: with an agent, without one, and after the
// next one has adopted it. In the end nothing is left.
func TestFirewallOfAgent(t *testing.T) {
	privilegetest.NetNS(t) // it needs to be root
	for _, kind := range []string{"legacy", "nft"} {
		t.Run(kind, func(t *testing.T) {
			h := newHypervisor(t, kind)
			before := h.saved()
			h.start()
			checkCommands(h)
			// Without the agent the rules stay, and root may go on.
			if status := h.agent.stop(); status != 0 {
				t.Fatalf("status %d\n%s", status, h.agent.log)
			}
			mustSay(t, h.saved(), "--dport 5001 ")
			out, said := h.firewall(0, "list")
			mustSay(t, out, "--dport 5001", "tap-red  tcx")
			mustSay(t, said, "no agent serves on "+h.path("agent.sock"))
			h.firewall(0, "--direct", "--", "iptables", "-I", "FORWARD", "-p", "sctp", "-j", "DROP")
			h.start()
			out, _ = h.firewall(0, "--", "iptables", "-S")
			mustSay(t, out, "-A FORWARD -p sctp -j DROP\n-A FORWARD -s 192.0.2.10/32 -p udp")
			if _, said := h.firewall(1, "--direct", "list"); !strings.Contains(said, "ask the agent that runs") {
				t.Errorf("beside an agent: %s", said)
			}
			out, _ = h.firewall(0, "flush")
			mustSay(t, out, "removed: ")
			checkNothingIsLeft(h, before)
		})
	}
}

// checkCommands gives commands and a file, and looks for them in iptables.
func checkCommands(h *hypervisor) {
	h.Helper()
	out, _ := h.firewall(0, "--dry-run", "--", "iptables", "-A", "FORWARD", "-p", "tcp", "-j", "DROP")
	mustSay(h.T, out, "would be tc: ")
	if strings.Contains(h.saved(), "dwell") {
		h.Errorf("a dry run changes something:\n%s", h.saved())
	}
	out, _ = h.firewall(0, "--", "iptables", "-A", "FORWARD", "-s", "192.0.2.10", "-p", "udp", "--dport", "53", "-m", "comment", "--comment", `it's "red"`, "-j", "DROP")
	mustSay(h.T, out, "tc: ")
	out, _ = h.firewall(0, "--", "iptables", "-A", "FORWARD", "-m", "limit", "--limit", "5/s", "-j", "LOG")
	mustSay(h.T, out, "iptables: ", "limit")
	mustSay(h.T, h.saved(), "-A FORWARD -j dwell\n", "-A dwell -i br-red -j dwell-red-from\n", "-A dwell-red -s 192.0.2.10/32 -p udp -m udp --dport 53 ")
	_, said := h.firewall(1, "--", "iptables", "-t", "nat", "-A", "POSTROUTING", "-j", "MASQUERADE")
	mustSay(h.T, said, "refused: ", "\n  witness  ", "\n  whose    ")
	_, said = h.firewall(2, "--", "iptables", "-A", "FORWARD", "-s", "192.0.2.300", "-j", "DROP")
	mustSay(h.T, said, "\n  iptables -A FORWARD -s 192.0.2.300 -j DROP\n                         ^^^^^^^^^^^\n")
	out, _ = h.firewall(0, "--", "iptables", "-C", "FORWARD", "-m", "limit", "--limit", "5/s", "-j", "LOG")
	mustSay(h.T, out, "There is such a rule")
	h.firewall(1, "--", "iptables", "-C", "FORWARD", "-p", "tcp", "-j", "LOG")
	out, _ = h.firewall(0, "explain", "--packet", "udp 192.0.2.10 > 198.51.100.2:53")
	mustSay(h.T, out, "verdict  drop, by rule 1 of FORWARD", "place    tc: ")
	_, said = h.firewall(2, "explain", "--packet", "udp 192.0.2 > 198.51.100.2:53")
	mustSay(h.T, said, "\n  udp 192.0.2 > 198.51.100.2:53\n      ^^^^^^^\n")
	out, _ = h.firewall(0, "list")
	mustSay(h.T, out, "IPv4: tc: ", `--comment "it\'s \"red\""`, "2 by iptables: ", "tap-red  tcx")

	file := h.path("rules.v4")
	rules, _ := h.firewall(0, "save")
	if err := os.WriteFile(file, []byte(strings.Replace(rules, "--dport 53 ", "--dport 5001 ", 1)), 0o600); err != nil {
		h.Fatal(err)
	}
	out, _ = h.firewall(0, "check", file)
	mustSay(h.T, out, "2 rules would be in force: 1 by tc, 1 by iptables")
	out, _ = h.firewall(0, "apply", file)
	mustSay(h.T, out, "2 rules in force: 1 by tc, 1 by iptables; compiled in ")
	mustSay(h.T, h.saved(), "--dport 5001 ")
	if err := os.WriteFile(file, []byte("*filter\n-A FORWARD -j DROP\n-A INPUT -j DROP\nCOMMIT\n"), 0o600); err != nil {
		h.Fatal(err)
	}
	_, said = h.firewall(1, "apply", file)
	mustSay(h.T, said, "refused: nothing was changed", "INPUT", "whose    the host\n")
	mustSay(h.T, h.saved(), "--dport 5001 ")
}

// checkNothingIsLeft expects iptables to be as it was, and no files or programs.
func checkNothingIsLeft(h *hypervisor, before string) {
	h.Helper()
	if after := h.saved(); after != before {
		h.Errorf("iptables has\n%s, and not\n%s", after, before)
	}
	for _, glob := range []string{"state/red", "state/red/*", "bpf/dwell/v1/*"} {
		if left, err := filepath.Glob(h.path(glob)); err != nil || len(left) > 0 {
			h.Errorf("%v, %v is left", left, err)
		}
	}
	ns, err := netns.OpenName(h.name)
	if err != nil {
		h.Fatal(err)
	}
	defer ns.Close()
	err = ns.Do(func() error {
		port, err := net.InterfaceByName("tap-red")
		if err != nil {
			return err
		}
		attached, err := link.QueryPrograms(link.QueryOptions{Target: port.Index, Attach: ebpf.AttachTCXIngress})
		if err == nil && len(attached.Programs) > 0 {
			h.Errorf("programs are attached: %v", attached.Programs)
		}
		return err
	})
	if err != nil {
		h.Error(err)
	}
}
