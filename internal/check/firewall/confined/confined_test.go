// SPDX-License-Identifier: Apache-2.0

package confined

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/firewall"
	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/iptables"
	"github.com/dwelltrace/dwell/fastpath/isolation"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
	"github.com/dwelltrace/dwell/internal/tenant"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The operator's rules: some let pass, some drop, some only count.
const operatorRules = `*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER - [0:0]
-A INPUT -p tcp -m tcp --dport 443 -j DROP
-A INPUT -p icmp
-A FORWARD -p udp -m udp --dport 5001 -j REJECT --reject-with icmp-port-unreachable
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -i br-blue -p icmp -j ACCEPT
-A FORWARD -i br-red -j ACCEPT
-A FORWARD -j DOCKER
-A FORWARD -i br-blue -p tcp -m tcp --dport 443 -j DROP
-A FORWARD -i br-blue -j ACCEPT
-A OUTPUT -p icmp
-A DOCKER -d 192.168.1.10/32 -p tcp -m multiport --dports 22,80 -j ACCEPT
COMMIT
*mangle
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A FORWARD -p tcp
-A POSTROUTING -o ens3
COMMIT
`

// commands are red's, one after the other. Each is accepted.
func commands() []string {
	return []string{
		"iptables -A FORWARD -p icmp -j DROP",
		"iptables -I FORWARD 1 -p tcp --dport 22 -j DROP",
		"iptables -P FORWARD DROP",
		"iptables -N web",
		"iptables -A web -s 192.168.0.10 -p tcp -m multiport --dports 80,443 -j ACCEPT",
		"iptables -A web -j RETURN",
		"iptables -I FORWARD -g web",
		"iptables -A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
		"iptables -I FORWARD -m limit --limit 5/min -j LOG",
		"iptables -I FORWARD -p udp -j REJECT",
		"iptables -I FORWARD -d 203.0.113.8 -j DROP",
		"iptables -I FORWARD -o ens3 -j DROP",
		"iptables -I FORWARD ! -i br-red -j DROP",
		"iptables -I FORWARD -s 192.168.1.0/24 -d 192.168.0.0/24 -j DROP",
		"iptables -I FORWARD -m recent --name red:seen --set",
		"iptables -I FORWARD -j DROP",
		"iptables -Z",
		"iptables -F FORWARD",
		"iptables -F",
		"iptables -X web",
		"iptables -P FORWARD ACCEPT",
	}
}

// manager keeps red's and blue's rules on the host.
func (h *host) manager(kind string) *firewall.Manager {
	h.t.Helper()
	dir := h.t.TempDir()
	pin := filepath.Join(dir, "bpf")
	m, err := firewall.New(firewall.Options{
		StateDir: filepath.Join(dir, "state"), Pin: pin, IPTables: kind, NetNS: h.ns, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		for _, id := range []string{"red", "blue"} {
			if err := m.Flush(context.Background(), id); err != nil {
				h.t.Error(err)
			}
		}
		if err := m.Close(); err != nil {
			h.t.Error(err)
		}
		if err := unix.Unmount(pin, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			h.t.Error(err)
		}
	})
	prefix := func(text string) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix(text)} }
	set, err := tenant.NewSet([]tenant.Tenant{
		{ID: "red", Bridges: []string{"br-red"}, Prefixes: prefix("192.168.0.0/24")},
		{ID: "blue", Bridges: []string{"br-blue"}, Prefixes: append(prefix("192.168.1.0/24"), prefix("192.168.0.0/24")...)},
	}, nil, []string{"ens3"})
	if err != nil {
		h.t.Fatal(err)
	}
	m.SetTenants(set)
	if err := m.Adopt(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	return m
}

func (h *host) command(m *firewall.Manager, id, line string) *firewall.Answer {
	h.t.Helper()
	a, err := m.Do(h.t.Context(), firewall.Request{Tenant: id, Words: strings.Fields(line)})
	if err != nil {
		h.t.Fatalf("%s: %v", line, err)
	}
	return a
}

// operators returns what the rules that are not dwell's have counted, in the order in which they stand.
func (h *host) operators(kind string) []string {
	var lines []string
	for line := range strings.Lines(h.tables(kind)) {
		if !strings.HasPrefix(line, "#") && !strings.Contains(line, "dwell") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// state is what others notice.
type state struct{ Came, Counted []string }

func (h *host) state(kind string, probes []probe) state {
	for _, table := range []string{"filter", "mangle"} {
		h.run("", "iptables-"+kind, "-t", table, "-Z")
	}
	return state{Came: h.observe(probes), Counted: h.operators(kind)}
}

// settled returns what others notice as soon as it is twice the same.
func (h *host) settled(kind string, probes []probe) state {
	h.t.Helper()
	last := h.state(kind, probes)
	for range 10 {
		now := h.state(kind, probes)
		if cmp.Equal(last, now) {
			return now
		}
		last = now
	}
	h.t.Fatal("others never notice the same twice")
	return last
}

func (h *host) save(kind string) *iptables.Save {
	h.t.Helper()
	text := regexp.MustCompile(`(?m)^\[\d+:\d+\] `).ReplaceAllString(h.tables(kind, "filter"), "")
	save, err := iptables.ReadSave(header.V4, text)
	if err != nil {
		h.t.Fatal(err)
	}
	return save
}

// Whatever red may do, blue, the outside and the host notice nothing of it, although blue has red's
// addresses, too, and rules of its own.
func TestOthersNoticeNothing(t *testing.T) {
	privilegetest.NetNS(t)
	privilegetest.BPF(t)
	for _, kind := range []string{"legacy", "nft"} {
		t.Run(kind, func(t *testing.T) {
			h := newHost(t)
			h.run(operatorRules, "iptables-"+kind+"-restore")
			m := h.manager(kind)
			for _, line := range []string{
				"iptables -A FORWARD -p tcp --dport 22 -j DROP", "iptables -A FORWARD -s 10.9.9.9 -p icmp -j DROP",
			} {
				if a := h.command(m, "blue", line); a.Place == firewall.Refused {
					t.Fatalf("%s: %+v", line, a)
				}
			}
			probes := h.probes(1000)
			want, before := h.settled(kind, probes), h.save(kind)
			if len(want.Came) < 300 {
				t.Fatalf("only %d packets come out", len(want.Came))
			}
			for _, line := range commands() {
				if a := h.command(m, "red", line); a.Place == firewall.Refused {
					t.Errorf("%s: %+v", line, a)
				}
				after := h.save(kind)
				if w, exact := isolation.Installed(m.Host(), "red", before, after); w != nil {
					t.Errorf("%s: package isolation says that %s of %s is affected (exact: %t)", line, w.Packet, w.Whose, exact)
				}
				h.unchanged(line, kind, want, probes)
				before = after
			}
		})
	}
}

// unchanged fails the test if others notice something.
func (h *host) unchanged(line, kind string, want state, probes []probe) {
	h.t.Helper()
	if diff := cmp.Diff(want, h.state(kind, probes)); diff != "" {
		h.t.Errorf("after %s: (-before +after)\n%s", line, diff)
	}
}

// What others notice is noticed: the same commands put into FORWARD as they are.
func TestWhatIsNotConfinedIsNoticed(t *testing.T) {
	privilegetest.NetNS(t)
	h := newHost(t)
	h.run(operatorRules, "iptables-legacy-restore")
	probes := h.probes(1000)
	want := h.settled("legacy", probes)
	for _, line := range []string{
		"-I FORWARD 1 -p icmp -j DROP", "-I FORWARD 1 -p udp -j REJECT", "-I INPUT -p tcp -j DROP", "-t mangle -I POSTROUTING -p tcp -j TTL --ttl-set 9",
	} {
		words := strings.Fields(line)
		h.run("", "iptables-legacy", words...)
		if cmp.Equal(want, h.state("legacy", probes)) {
			t.Errorf("%s is not noticed", line)
		}
		at := slices.IndexFunc(words, func(w string) bool { return w == "-I" })
		words[at] = "-D"
		words = slices.DeleteFunc(words, func(w string) bool { return w == "1" })
		h.run("", "iptables-legacy", words...)
	}
}

// Thousands of rules of red's take nothing from blue's round trips.
func TestLatency(t *testing.T) {
	privilegetest.NetNS(t)
	privilegetest.BPF(t)
	h := newHost(t)
	m := h.manager("legacy")
	before := h.roundTrip()
	var text strings.Builder
	text.WriteString("*filter\n:FORWARD ACCEPT [0:0]\n")
	for i := range 2000 {
		fmt.Fprintf(&text, "-A FORWARD -s 198.18.%d.%d/32 -j DROP\n", i>>8, i&0xff)
	}
	text.WriteString("COMMIT\n")
	restored, err := m.Restore(t.Context(), firewall.Restore{Tenant: "red", Family: 4, Text: text.String()})
	if err != nil || !restored.Done {
		t.Fatalf("%+v, %v", restored, err)
	}
	// In iptables, they would take some 10 µs. Whoever else runs on the machine only makes it slower.
	const most = 3 * time.Microsecond
	after := h.roundTrip()
	for try := 0; try < 20 && after > before+most; try++ {
		after = min(after, h.roundTrip())
	}
	if after > before+most {
		t.Errorf("blue's round trip took %s before, and %s with red's rules", before, after)
	}
}

// roundTrip returns the least time that a ping of blue's takes to the outside.
func (h *host) roundTrip() time.Duration {
	h.t.Helper()
	frame := h.frame(blue, netip.MustParseAddr("192.168.1.10"), netip.MustParseAddr("203.0.113.8"), 0, 9, 0)
	least := time.Hour
	for range 300 {
		h.read(outside)
		begin := time.Now()
		if _, err := unix.Write(h.sockets[blue], frame); err != nil {
			h.t.Fatal(err)
		}
		for deadline := begin.Add(5 * time.Second); len(h.read(outside)) == 0; {
			if time.Now().After(deadline) {
				h.t.Fatal("blue's ping does not come out")
			}
		}
		least = min(least, time.Since(begin))
	}
	return least
}
