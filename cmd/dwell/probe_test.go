// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	agentapi "github.com/dwelltrace/dwell/internal/backend"
	"github.com/dwelltrace/dwell/internal/backend/api"
	"github.com/dwelltrace/dwell/internal/netns/netnstest"
)

// What is answered is success, what is not says why, and the exit status is for scripts.
func TestProbeNow(t *testing.T) {
	from := netnstest.WithLoopback(t, "now").Name()
	for _, test := range []struct {
		args   string
		status int
		out    string
		says   string
	}{
		{"-c 2 -i 0s 127.0.0.1 ::1", 0, `^target +seq +result +rtt +trace\n` +
			`127\.0\.0\.1 +1 +success +\S+s +[0-9a-f]{32}\n::1 +1 +success.*\n127\.0\.0\.1 +2 +success.*\n::1 +2 +success.*\n$`, ""},
		{"192.0.2.1 127.0.0.1", 1, `(?m)^192\.0\.2\.1 +1 +no_route +- +[0-9a-f]{32} +sendto: network is unreachable$`, "dwell: 1 of 2 pings not answered"},
		{"", 2, `^$`, "requires at least 1 arg"},
		{"gateway", 2, `^$`, "is not an address; names are not looked up"},
		{"-c -1 ::1", 2, `^$`, "--count -1 is negative"},
		{"-s 39 ::1", 2, `^$`, "--size 39 is not between 40 and 65507"},
		{"-W 0s ::1", 2, `^$`, "--timeout must be more than 0"},
		{"--soon ::1", 2, `^$`, "unknown flag"},
	} {
		p := dwell(t, append([]string{"probe", "--from", from}, strings.Fields(test.args)...)...)
		if status := p.exit(t); status != test.status || !regexp.MustCompile(test.out).MatchString(p.stdout.String()) || !strings.Contains(p.stderr.String(), test.says) {
			t.Errorf("%s: status %d, want %d\n%s\n%s", test.args, status, test.status, &p.stdout, &p.stderr)
		}
	}
	p := dwell(t, "probe", "--from", from+"-not", "::1")
	if status := p.exit(t); status != 1 || !strings.Contains(p.stderr.String(), "no network namespace matches") {
		t.Errorf("from nowhere: status %d, %s", status, &p.stderr)
	}
}

// Each line of JSON is as the API has it, with the number and the trace.
func TestProbeNowAsJSON(t *testing.T) {
	from := netnstest.WithLoopback(t, "nowjson").Name()
	p := dwell(t, "probe", "--from", from, "--json", "-s", "1000", "127.0.0.1")
	if status := p.exit(t); status != 0 {
		t.Fatalf("status %d, %s", status, &p.stderr)
	}
	var line probeLine
	if err := json.Unmarshal(p.stdout.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	if line.Result != "success" || line.NetNS != from || line.Target != "127.0.0.1" || line.RTT == nil || line.Seq != 1 || len(line.TraceID) != 32 {
		t.Errorf("%s", &p.stdout)
	}
}

// Ctrl-C ends it at once, with what there was.
func TestProbeNowIsInterrupted(t *testing.T) {
	from := netnstest.WithLoopback(t, "nowctrlc").Name()
	p := dwell(t, "probe", "--from", from, "-c", "0", "-i", "1h", "::1")
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	p.Stdout = write
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	buf := make([]byte, 1<<12)
	for text := ""; !strings.Contains(text, "success"); {
		n, err := read.Read(buf)
		if err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		text += string(buf[:n])
	}
	if err := p.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil || p.stderr.Len() > 0 {
		t.Errorf("%v: %s", err, &p.stderr)
	}
}

// shownProbes has some of every kind.
type shownProbes struct{}

func (shownProbes) AllProbes() api.Probes {
	at, rtt := time.Now().Add(-90*time.Second), int64(312_456)
	return api.Probes{
		Probes: []api.Probe{
			{Name: "gateway", NetNS: "host", Target: "2001:db8::1"},
			{Tenant: "red", Name: "web", NetNS: "red-web", Target: "192.0.2.1", Result: "unreachable", Reason: "host unreachable, says 192.0.2.254", Time: &at, LastSuccess: &at, RTT: &rtt, Next: &at},
		},
		Unresolved: []string{"gateway: none"}, OverLimit: 3,
	}
}

func (shownProbes) ProbesOf(string) api.Probes { return api.Probes{} }

// The state of probes is a table, or what the API says; whose it is, the agent knows.
func TestProbeStatus(t *testing.T) {
	b := &apiOf{t: t, hub: agentapi.NewHub(agentapi.HubOptions{}), socket: filepath.Join(t.TempDir(), "agent.sock"), probes: shownProbes{}}
	b.hub.SetTenants([]string{"red"})
	b.serve(everything())
	t.Cleanup(b.shut)
	for _, test := range []struct {
		args   string
		status int
		out    string
	}{
		{"", 0, `^probe +from +target +result +rtt +last success +next  reason\n` +
			`gateway +host +2001:db8::1 +- +- +never +-\n` +
			`red/web +red-web +192\.0\.2\.1 +unreachable +312µs +\S+ ago +now  host unreachable, says 192\.0\.2\.254\n` +
			`not sent: gateway: none: no network namespace matches\nnot sent: 3 more, which would exceed a limit\n$`},
		{"--tenant red", 0, "^No probes are sent.\n$"},
		{"--json", 0, `"over_limit": 3`},
		{"--tenant no/tenant", 2, "^$"},
		{"--cert x", 2, "^$"},
		{"--tenant green", 1, "^$"},
		{"more", 2, "^$"},
	} {
		p := dwell(t, append([]string{"probe", "status", "--backend", b.url()}, strings.Fields(test.args)...)...)
		if status := p.exit(t); status != test.status || !regexp.MustCompile(test.out).MatchString(p.stdout.String()) {
			t.Errorf("status %s: %d, want %d\n%s\n%s", test.args, status, test.status, &p.stdout, &p.stderr)
		}
	}
}

// The columns are as wide as the longest address.
func TestProbePrinter(t *testing.T) {
	p := probePrinter{targets: []netip.Addr{netip.MustParseAddr("::1"), netip.MustParseAddr("2001:db8:1:2:3:4:5:6")}}
	if w := p.width(); w != len("2001:db8:1:2:3:4:5:6") {
		t.Error(fmt.Sprint("width ", w))
	}
	if p.verdict() == nil {
		t.Error("nothing was sent, and that is called success")
	}
}
