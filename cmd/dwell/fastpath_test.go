// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/fastpath/accelerator"
	"github.com/dwelltrace/dwell/fastpath/flow"
	"github.com/dwelltrace/dwell/fastpath/header"
	agentapi "github.com/dwelltrace/dwell/internal/backend"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

// Each command asks for what was typed, and says what came of it, in words or as JSON.
func TestFastPathCommands(t *testing.T) {
	fake := &fakeFastPath{mode: flow.On}
	b := startFastPath(t, fake, everything())
	blue := strings.NewReplacer("Tenant red", "Tenant blue", "from red  1235K", "from blue  1235K", "to red    1000K", "to blue    1000K", "           fast  slow", "            fast  slow").Replace(redsStatus)
	const packet = "tcp 192.0.2.10:40000 > 198.51.100.2:443"
	for _, test := range []struct {
		args      []string
		call, out string
	}{
		{[]string{"status", "-t", "red"}, "status red", redsStatus},
		{[]string{"status"}, "status blue; status red", blue + "\n" + redsStatus},
		{[]string{"flows", "-t", "red"}, "flows red 1000", redsFlowsText},
		{[]string{"flows", "-t", "red", "--limit", "2"}, "flows red 2", redsFlowsText},
		{[]string{"why", "-t", "red", packet}, `why red "` + packet + `" 0s`, redsWhy},
		{append([]string{"why", "-t", "red"}, strings.Fields(packet)...), `why red "` + packet + `" 0s`, redsWhy},
		{[]string{"why", "-t", "red", "--watch", "10s", packet}, `why red "` + packet + `" 10s`, redsWatch},
		{[]string{"flush", "-t", "red"}, "flush red", "forgotten: 12 flows of red\n"},
	} {
		p, status := b.runFastPath(test.args...)
		if status != 0 || p.stderr.Len() > 0 && p.stderr.String() != "dwell: and 3 flows more (--limit)\n" {
			t.Errorf("%q: status %d, %s", test.args, status, &p.stderr)
		}
		if call := fake.took(); call != test.call {
			t.Errorf("%q asks for %s, want %s", test.args, call, test.call)
		}
		if diff := cmp.Diff(test.out, p.stdout.String()); diff != "" {
			t.Errorf("%q: (-want +got)\n%s", test.args, diff)
		}
		p, status = b.runFastPath(append(test.args, "--json")...)
		if fake.took() != test.call || status != 0 || !json.Valid(p.stdout.Bytes()) || p.stderr.Len() > 0 {
			t.Errorf("%q --json: %d %s %s", test.args, status, &p.stdout, &p.stderr)
		}
	}
	p, _ := b.runFastPath("flows", "-t", "red", "--wide")
	mustSay(t, p.stdout.String(), "tap-red  eth0     tcp 192.0.2.10:40000 > 198.51.100.2:443, leaves as tcp 203.0.113.1:40000 > 198.51.100.2:443, next hop 203.0.113.254\n", "in VXLAN 42\n")
	p, _ = b.runFastPath("status", "-t", "red", "--exact")
	mustSay(t, p.stdout.String(), "1234567", "103703628")
}

// What fits into the columns of a terminal is kept there.
func TestFastPathFitsATerminal(t *testing.T) {
	for _, text := range []string{redsFlowsText, redsWhy, redsWatch, redsStatus} {
		for line := range strings.Lines(text) {
			if utf8.RuneCountInString(strings.TrimSpace(line)) > width && !strings.HasPrefix(line, "Tenant") {
				t.Errorf("too long: %s", line)
			}
		}
	}
}

// What keeps everything off the fast path is said in a line.
func TestFastPathStopped(t *testing.T) {
	for want, s := range map[string]accelerator.Status{
		"There is no fast path here: the kernel has no TCX, which Linux 6.6 brought.\n": {Unsupported: "the kernel has no TCX, which Linux 6.6 brought."},
		"Nothing is sent fast: the agent cannot notice changes now.\n":                  {Supported: true},
		"being found out\nwhat a change means: nft rules changed\n":                     {Supported: true, Attended: true, Held: true, HeldFor: 1200 * time.Microsecond, HeldBecause: "nft rules changed"},
	} {
		s.Tenants = []accelerator.TenantStatus{{Tenant: "red", Mode: flow.Shadow}}
		if got := statusText(&s, false); !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
		s.Tenants[0].Mode = flow.Off
		if got := statusText(&s, false); got != "Tenant red: off\n" && s.Supported {
			t.Errorf("off: %s", got)
		}
	}
	s := accelerator.Status{Supported: true, Attended: true, Tenants: []accelerator.TenantStatus{{Tenant: "red", Mode: flow.On, Blocked: []string{"a router of somebody's"}}}}
	mustSay(t, statusText(&s, false), "Nothing is sent fast: a router of somebody's\n", "from red     0     0       -")
}

func TestWhyText(t *testing.T) {
	mustSay(t, whyText(&accelerator.Why{Packet: "x", Fast: true, Watched: time.Second, Left: 1}), "packet  x\nnext    fast, in both directions\n", "No packet was seen in 1.0s.", "and 1 flow more")
}

// Errors say what to do, and have the right status.
func TestFastPathErrors(t *testing.T) {
	b := startFastPath(t, &fakeFastPath{err: errors.New("no room for the map")}, everything())
	off := startAPI(t, everything())
	red := startFastPath(t, &fakeFastPath{}, agentapi.Policy{Readers: map[string]agentapi.Access{"red": {UIDs: []uint32{uint32(os.Getuid())}}}})
	word := startFastPath(t, &fakeFastPath{err: &accelerator.PacketError{Err: &header.WordError{Index: 3, Text: "203.0.113", Message: "is not an address"}}}, everything())
	for _, test := range []struct {
		on     *apiOf
		args   string
		status int
		want   string
	}{
		{b, "flows", 2, "whose fast path?"},
		{b, "flows -t red/", 2, "--tenant: "},
		{b, "flows -t red --limit 0", 2, "--limit is at least 1"},
		{b, "why -t red", 2, "which packet?"},
		{b, "why -t red --watch 31s x", 2, "--watch is at most 30s"},
		{b, "status --frob", 2, "unknown flag"},
		{b, "status more", 2, "unknown command"},
		{b, "frob", 1, "choose one of: dwell fastpath down, flows, flush, status, why"},
		{b, "status -t red --cert x", 2, "--backend https"},
		{b, "status -t red", 1, "dwell: no room for the map"},
		{b, "status -t green", 1, `no tenant "green"; you may see: blue, red`},
		{off, "status -t red", 1, "has no fast path"},
		{red, "status -t blue", 1, `no tenant "blue", or you may not see it`},
		{red, "flush -t red", 1, "you may see this fast path, and not flush it"},
		{word, "why -t red icmp 192.0.2.10 > 203.0.113", 2, "\n  icmp 192.0.2.10 > 203.0.113\n                    ^^^^^^^^^\n"},
	} {
		p, status := test.on.runFastPath(strings.Fields(test.args)...)
		if status != test.status || !strings.Contains(p.stderr.String(), test.want) || p.stdout.Len() > 0 {
			t.Errorf("%s: status %d, %s %s", test.args, status, &p.stdout, &p.stderr)
		}
		checkEachLine(t, p.stderr.String())
	}
}

// Down refuses while an agent has a fast path for somebody, and while it cannot be told.
func TestFastPathDownRefuses(t *testing.T) {
	privilegetest.NetNS(t) // it needs to be root
	fake := &fakeFastPath{mode: flow.Shadow}
	b := startFastPath(t, fake, everything())
	pin := t.TempDir()
	p, status := b.runFastPath("down", "--pin", pin)
	if status != 1 || !strings.Contains(p.stderr.String(), "would put it back for blue, red: set fastpath: off") || fake.took() != "status blue; status red" {
		t.Errorf("%d %s", status, &p.stderr)
	}
	for args, want := range map[string]string{
		"--tenant red":                   "of all tenants",
		"--backend ssh://hypervisor1":    "for this host",
		"--config /dev/null/x --pin=":    "",
		"--config /proc/self/mem --pin=": "--pin DIRECTORY",
	} {
		if p, status := b.runFastPath(append([]string{"down", "--pin", pin}, strings.Fields(args)...)...); status == 0 || !strings.Contains(p.stderr.String(), want) {
			t.Errorf("%s: %d %s", args, status, &p.stderr)
		}
	}
}
