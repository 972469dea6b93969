// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/dwelltrace/dwell/fastpath/accelerator"
	"github.com/dwelltrace/dwell/fastpath/bypass"
	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

const fastPathPacket = "icmp 192.0.2.10 > 198.51.100.2"

// newRoutedHypervisor is a hypervisor whose guest talks to the outside through NAT. No default route
// leads out.
func newRoutedHypervisor(t *testing.T) *hypervisor {
	t.Helper()
	privilegetest.NetNS(t) // it needs to be root
	if err := bypass.Supported(); err != nil {
		privilegetest.Kernel(t, err)
		t.Fatal(err)
	}
	h := newHypervisor(t, "nft")
	for _, c := range []string{"addr add 192.0.2.10/24 dev eth0", "link set eth0 up", "route add default via 192.0.2.1"} {
		h.inside(append([]string{"ip", "-n", h.name + "-g"}, strings.Fields(c)...)...)
	}
	for _, c := range []string{"addr add 198.51.100.2/24 dev eth0", "link set eth0 up"} {
		h.inside(append([]string{"ip", "-n", h.name + "-o"}, strings.Fields(c)...)...)
	}
	h.inside("iptables-nft", "-t", "nat", "-A", "POSTROUTING", "-o", "eth0", "-j", "MASQUERADE")
	return h
}

// fastPathConfig is a configuration with a fast path for red. Others' pings on this machine are not traced.
func (h *hypervisor) fastPathConfig(mode, more string) string {
	return fmt.Sprintf(`
http: {listen: ""}
metrics: {prometheus: {enabled: false}}
trace: {netns: ["%s*"]}
fastpath: {nics: [eth0], pin: %s}
tenants: [{id: red, bridges: [br-red], fastpath: %s, access: {uids: [5001]}}]
`, h.name, h.path("bpf/dwell"), mode) + more
}

func (h *hypervisor) socket() string { return fmt.Sprintf("api: {socket: %s}\n", h.path("agent.sock")) }

// fastPath runs dwell fastpath.
func (h *hypervisor) fastPath(status int, args ...string) (stdout, stderr string) {
	h.Helper()
	p := h.dwell(append([]string{"fastpath", "--backend", "unix://" + h.path("agent.sock")}, args...)...)
	if got := p.exit(h.T); got != status {
		h.Fatalf("%q: status %d, want %d: %s%s\n%s", args, got, status, &p.stdout, &p.stderr, h.agent.log)
	}
	checkEachLine(h.T, p.stderr.String())
	return p.stdout.String(), p.stderr.String()
}

// until waits until ok, which looks at something that is slow enough to ask for.
func (h *hypervisor) until(what string, ok func() bool) {
	h.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			h.Fatalf("never %s\n%s", what, h.agent.log)
		}
	}
}

// red returns the status of red's fast path.
func (h *hypervisor) red() (s accelerator.Status) {
	h.Helper()
	out, _ := h.fastPath(0, "status", "--tenant", "red", "--json")
	if err := json.Unmarshal([]byte(out), &s); err != nil || len(s.Tenants) != 1 {
		h.Fatalf("%v: %s", err, out)
	}
	return s
}

// untilFast waits until packets of red's are sent fast in both directions that were not before.
func (h *hypervisor) untilFast() {
	h.Helper()
	before := h.red().Tenants[0]
	h.until("fast", func() bool {
		now := h.red().Tenants[0]
		return now.From.Fast > before.From.Fast && now.To.Fast > before.To.Fast
	})
}

// pinging pings the outside from the guest, until the function that it returns is called: then all
// must have been answered, except those whose answers are still on their way.
func (h *hypervisor) pinging() (stop func()) {
	h.Helper()
	ping := []string{"nsenter", "--net=/run/netns/" + h.name + "-g", "ping", "-n", "198.51.100.2"}
	var out strings.Builder
	cmd := exec.CommandContext(h.Context(), ping[0], slices.Concat(ping[1:], []string{"-i", "0.02"})...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		h.Fatal(err)
	}
	return func() {
		h.Helper()
		h.inside(slices.Concat(ping, []string{"-c", "1", "-W", fmt.Sprint(patience.Seconds())})...)
		if err := errors.Join(cmd.Process.Signal(syscall.SIGINT), cmd.Wait()); err != nil {
			h.Errorf("%v: %s", err, &out)
		}
		answered, last := map[int]bool{}, 0
		for _, m := range regexp.MustCompile(`icmp_seq=(\d+) ttl`).FindAllStringSubmatch(out.String(), -1) {
			n, _ := strconv.Atoi(m[1])
			answered[n], last = true, max(last, n)
		}
		if lost := last - len(answered); last == 0 || lost > 0 {
			h.Errorf("%d of %d pings have no answer: %s", lost, last, &out)
		}
	}
}

// attached returns the IDs of the programs at the hypervisor's devices.
func (h *hypervisor) attached() (ids []ebpf.ProgramID) {
	h.Helper()
	ns, err := netns.OpenName(h.name)
	if err != nil {
		h.Fatal(err)
	}
	defer ns.Close()
	err = ns.Do(func() error {
		devices, err := net.Interfaces()
		if err != nil {
			return err
		}
		for _, d := range devices {
			for _, at := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress} {
				found, err := link.QueryPrograms(link.QueryOptions{Target: d.Index, Attach: at})
				if err != nil {
					return err
				}
				for _, p := range found.Programs {
					ids = append(ids, p.ID)
				}
			}
		}
		return nil
	})
	if err != nil {
		h.Fatal(err)
	}
	return ids
}

// pinned returns the IDs of the maps that are pinned.
func (h *hypervisor) pinned() (ids []ebpf.MapID) {
	h.Helper()
	err := filepath.WalkDir(h.path("bpf/dwell/fastpath"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		m, err := ebpf.LoadPinnedMap(path, nil)
		if err != nil {
			return nil // a program or a link
		}
		defer m.Close()
		info, err := m.Info()
		if err != nil {
			return err
		}
		id, _ := info.ID()
		ids = append(ids, id)
		return nil
	})
	if err != nil {
		h.Fatal(err)
	}
	return ids
}

// nothingIsLeft expects neither programs nor maps, nor files.
func (h *hypervisor) nothingIsLeft(programs []ebpf.ProgramID, maps []ebpf.MapID) {
	h.Helper()
	if len(programs) == 0 || len(maps) == 0 {
		h.Errorf("there were %d programs and %d maps", len(programs), len(maps))
	}
	if left := h.attached(); len(left) > 0 {
		h.Errorf("programs are attached: %v", left)
	}
	if _, err := os.Stat(h.path("bpf/dwell/fastpath")); !errors.Is(err, fs.ErrNotExist) {
		h.Errorf("files are left: %v", err)
	}
	// The kernel frees them a little later.
	h.until("free of its programs", func() bool {
		for _, id := range programs {
			if p, err := ebpf.NewProgramFromID(id); err == nil {
				p.Close()
				return false
			}
		}
		return true
	})
	h.until("free of its maps", func() bool {
		for _, id := range maps {
			// It is not opened: an array of programs that is closed while the kernel has yet to clear it is never freed
			// (prog_array_map_clear in kernel/bpf/arraymap.c).
			if next, err := ebpf.MapGetNextID(id - 1); err == nil && next == id {
				return false
			}
		}
		return true
	})
}

// From an agent's configuration to packets that are sent fast, and back: by a reload, and by taking it
// down after the agent has ended. No ping is lost.
func TestFastPathOfAgent(t *testing.T) {
	h := newRoutedHypervisor(t)
	began := time.Now()
	h.agent = startAgentAs(t, h.fastPathConfig("on", h.socket()), h.dwell)
	stop := h.pinging()
	h.untilFast()
	prompt := time.Since(began) < 10*time.Second // after that it would be a fault
	checkFastPathAnswers(h)

	_, said := h.fastPath(1, "down", "--pin", h.path("bpf/dwell"))
	mustSay(t, said, "an agent runs, and would put it back for red", "set fastpath: off")
	programs, maps := h.attached(), h.pinned()
	h.agent.reload(h.fastPathConfig("off", h.socket()))
	h.until("detached", func() bool { return len(h.attached()) == 0 })
	h.until("unpinned", func() bool {
		_, err := os.Stat(h.path("bpf/dwell/fastpath"))
		return errors.Is(err, fs.ErrNotExist)
	})
	h.nothingIsLeft(programs, maps)
	out, _ := h.fastPath(0, "status", "--tenant", "red")
	if out != "Tenant red: off\n" {
		t.Errorf("off:\n%s", out)
	}
	if prompt && strings.Contains(h.agent.log.String(), "does not follow the host's changes") {
		t.Errorf("a start is taken for a fault:\n%s", h.agent.log)
	}

	h.agent.reload(h.fastPathConfig("on", h.socket()))
	h.untilFast()
	programs, maps = h.attached(), h.pinned()
	if status := h.agent.stop(); status != 0 {
		t.Fatalf("status %d\n%s", status, h.agent.log)
	}
	if len(h.attached()) != len(programs) {
		t.Error("programs are not kept for the next agent")
	}
	out, _ = h.fastPath(0, "down", "--config", h.agent.config)
	mustSay(t, out, "removed: nothing of the fast path is left in the kernel, nor in "+h.path("bpf/dwell"))
	h.nothingIsLeft(programs, maps)
	stop()
}

// checkFastPathAnswers asks about red's ping.
func checkFastPathAnswers(h *hypervisor) {
	h.Helper()
	out, _ := h.fastPath(0, "status", "--tenant", "red")
	mustSay(h.T, out, "Tenant red: on, ", "from red", "to red", "tap-red", "port of red", "eth0", "network card", "attached")
	if strings.Contains(out, "Problems") || strings.Contains(out, "none") {
		h.Errorf("problems:\n%s", out)
	}
	if differ := h.red().Tenants[0]; differ.From.Differ+differ.To.Differ > 0 {
		h.Errorf("%d packets were not as foretold", differ.From.Differ+differ.To.Differ)
	}
	out, _ = h.fastPath(0, "flows", "--tenant", "red", "--wide")
	mustSay(h.T, out, "192.0.2.10 > 198.51.100.2", "leaves as icmp 198.51.100.1 > 198.51.100.2", "tap-red", "eth0")
	h.until("fast by all answers", func() bool { // in each lease one packet is not
		why, _ := h.fastPath(0, "why", "--tenant", "red", fastPathPacket)
		return strings.Contains(why, "next    fast, in both directions\n")
	})
	out, _ = h.fastPath(0, "why", "--tenant", "red", "tcp 192.0.2.10 > 198.51.100.2:443")
	mustSay(h.T, out, "next    slow\n", "unknown")
	out, _ = h.fastPath(0, "flush", "--tenant", "red")
	mustSay(h.T, out, "2 ")
	h.untilFast()
}

// An agent that serves nobody keeps its fast path all the same, until it has ended: if it was killed,
// until the programs have noticed.
func TestFastPathDownBesideAgentWithoutSocket(t *testing.T) {
	h := newRoutedHypervisor(t)
	h.agent = startAgentAs(t, h.fastPathConfig("on", ""), h.dwell)
	h.until("attached", func() bool { return len(h.attached()) == 4 })
	h.until("attended", func() bool {
		attended, err := bypass.Attended(h.path("bpf/dwell"))
		if err != nil {
			t.Fatal(err)
		}
		return attended
	})
	stop := h.pinging()
	_, said := h.fastPath(1, "down", "--pin", h.path("bpf/dwell"))
	mustSay(t, said, "an agent keeps the fast path in force: stop it, or wait 3 seconds if it was killed")
	programs, maps := h.attached(), h.pinned()
	if len(programs) != 4 {
		t.Errorf("the programs were taken away all the same: there are %d", len(programs))
	}
	h.agent.signal(syscall.SIGKILL)
	<-h.agent.exited
	h.until("taken down", func() bool {
		return h.dwell("fastpath", "--backend", "unix://"+h.path("agent.sock"), "down", "--pin", h.path("bpf/dwell")).exit(t) == 0
	})
	stop()
	h.nothingIsLeft(programs, maps)
}
