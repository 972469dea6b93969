// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/fastpath/bypass"
	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

// labSpaces lists the namespaces of this process's labs.
func labSpaces(t *testing.T) []string {
	t.Helper()
	all, err := netns.List()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range all {
		if strings.HasPrefix(e.Name, testPrefix()) {
			names = append(names, e.Name)
		}
	}
	return names
}

func TestDemo(t *testing.T) {
	privilegetest.BPF(t)
	before := programs(t)
	p := dwell(t, "demo", "--count", "20", "--prefix", testPrefix())
	if status := p.exit(t); status != 0 {
		t.Fatalf("status %d\n%s", status, &p.stderr)
	}
	for _, want := range []string{"ping 192.168.0.10 -> 203.0.113.8", "├─ hypervisor", "P99", "bridge ovs-br"} {
		if !strings.Contains(p.stdout.String(), want) {
			t.Errorf("no %q in\n%s", want, &p.stdout)
		}
	}
	if want := "20 pings: 20 complete, 0 dropped, 0 incomplete"; !strings.Contains(p.stderr.String(), want) {
		t.Errorf("no %q in\n%s", want, &p.stderr)
	}
	if left := labSpaces(t); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	checkProgramsGone(t, before)
}

// Two tenants with one address: nothing of blue's inside is in what red sees, and all of it in
// what the operator sees.
func TestDemoTenants(t *testing.T) {
	privilegetest.BPF(t)
	before := programs(t)
	p := dwell(t, "demo", "--tenants", "--count", "10", "--prefix", testPrefix())
	if status := p.exit(t); status != 0 {
		t.Fatalf("status %d\n%s", status, &p.stderr)
	}
	inside := []string{"br-blue", "tap-blue-0", "blue0", testPrefix() + "-tenants-blue"}
	operator, rest, _ := strings.Cut(p.stdout.String(), "WHAT RED SEES\n")
	red, last, found := strings.Cut(rest, "\n\nred does not see 15 of the 40 pings")
	if !found {
		t.Fatalf("does not say what red does not see:\n%s", &p.stdout)
	}
	for _, name := range inside {
		if !strings.Contains(operator, name) || !strings.Contains(last, name) {
			t.Errorf("the operator does not see %s, or is not told that red does not:\n%s", name, &p.stdout)
		}
		if strings.Contains(red, name) {
			t.Errorf("red sees %s:\n%s", name, red)
		}
	}
	for _, name := range []string{"ping 192.168.0.10 -> 198.51.100.12", "br-red", "tap-red-0", "red0", "├─ beyond", "hypervisor"} {
		if !strings.Contains(red, name) {
			t.Errorf("red does not see %s:\n%s", name, red)
		}
	}
	_, rule, _ := strings.Cut(last, "WHAT A RULE OF RED DOES")
	for _, want := range []string{
		"iptables -A FORWARD -s 192.168.0.10 -d 192.168.122.1 -p icmp -j DROP", "by red's FORWARD rule 1 (",
		"✗ dropped by red's FORWARD rule 1 (", "5 of its 5 pings to 192.168.122.1 were answered",
	} {
		if !strings.Contains(rule, want) {
			t.Errorf("the rule is shown without %q:\n%s", want, rule)
		}
	}
	checkDemoFastPath(t, p.stdout.String(), p.stderr.String())
	for _, want := range []string{"40 pings: 35 complete, 5 dropped", "0 incomplete", "of these, red sees 25, blue sees 25"} {
		if !strings.Contains(p.stderr.String(), want) {
			t.Errorf("no %q in\n%s", want, &p.stderr)
		}
	}
	if left := labSpaces(t); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if left, _ := filepath.Glob("/run/" + testPrefix() + "*"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	checkProgramsGone(t, before)
}

// checkDemoFastPath checks the end of the demo: the same ping without the fast path and by it, each line
// of which fits into 100 columns. Where the kernel cannot, one line says so.
func checkDemoFastPath(t *testing.T, stdout, stderr string) {
	t.Helper()
	_, shown, found := strings.Cut(stdout, "THE SAME PING WITHOUT THE FAST PATH AND BY IT")
	if bypass.Supported() != nil {
		if found || strings.Count(stderr, "the fast path is not shown: ") != 1 {
			t.Errorf("does not say once that there is no fast path:\n%s", stderr)
		}
		return
	}
	for _, want := range []string{
		"WITHOUT THE FAST PATH\n", "BY THE FAST PATH\n", "fast path tap-red-0 -> ens3", "fast path ens3 -> ", "of its lease left",
		"not passed", "round trip", "Passed over: bridge br-red, device br-red",
	} {
		if !strings.Contains(shown, want) {
			t.Errorf("the fast path is shown without %q:\n%s\n%s", want, shown, stderr)
		}
	}
	for line := range strings.Lines(shown) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 100 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

// Ctrl-C in the middle, or the end of the session: no namespace and no program stays,
// and what was seen is shown. Meanwhile, a second demo finds its lab taken.
func TestDemoInterrupted(t *testing.T) {
	privilegetest.BPF(t)
	before := programs(t)
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGHUP} {
		p := dwell(t, "demo", "--count", "100000", "--prefix", testPrefix())
		stderr, up := watch("lab up")
		p.Stderr = stderr
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		<-up
		second := dwell(t, "demo", "--prefix", testPrefix())
		if status := second.exit(t); status != 1 {
			t.Errorf("a second demo: status %d", status)
		}
		checkOneLine(t, second.stderr.String(), "another dwell demo is running with prefix "+testPrefix()+": use --prefix")
		if err := p.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		if err := p.Wait(); err == nil || p.ProcessState.ExitCode() != 1 {
			t.Errorf("%v, want status 1", err)
		}
		if !strings.Contains(stderr.String(), "interrupted") {
			t.Errorf("does not say that it was interrupted:\n%s", stderr)
		}
		checkEachLine(t, stderr.String())
		if left := labSpaces(t); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
		if left, _ := filepath.Glob("/run/" + testPrefix() + "*"); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	}
	checkProgramsGone(t, before)
}

// A reader who has seen enough is not an error, and the summary is there all the same.
func TestDemoToClosedPipe(t *testing.T) {
	privilegetest.BPF(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	p := dwell(t, "demo", "--count", "3", "--prefix", testPrefix())
	p.Stdout = w
	if status := p.exit(t); status != 0 || !strings.Contains(p.stderr.String(), "3 pings: 3 complete") {
		t.Errorf("status %d\n%s", status, &p.stderr)
	}
}

// The median is one of the traces, of an even number the lower of the two in the middle.
func TestMedian(t *testing.T) {
	for _, test := range []struct {
		durations []int64
		want      int64
	}{
		{[]int64{5}, 5},
		{[]int64{9, 1}, 1},
		{[]int64{9, 1, 5}, 5},
		{[]int64{4, 3, 2, 1}, 2},
	} {
		var traces []*trace.Trace
		for _, d := range test.durations {
			tr := &trace.Trace{}
			root := tr.Add(trace.NoParent, trace.Span{Kind: trace.KindPing, End: 100 - d})
			tr.Add(root, trace.Span{Kind: trace.KindReply, End: d})
			traces = append(traces, tr)
		}
		if got, _ := median(traces).RTT(); got != test.want {
			t.Errorf("median of %v: %d, want %d", test.durations, got, test.want)
		}
	}
}

// A lab that somebody works in stays up.
func TestDemoKeepsALabThatWasUp(t *testing.T) {
	l := testLab(t)
	if status := dwell(t, "demo", "--count", "1", "--prefix", testPrefix()).exit(t); status != 0 {
		t.Fatalf("status %d", status)
	}
	if left := labSpaces(t); len(left) != len(l.Topology().Roles()) {
		t.Errorf("left: %v", left)
	}
}

func TestDemoErrors(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--count", "0"}, "--count 0"},
		{[]string{"--prefix", ""}, "1 to 64"},
		{[]string{"--prefix", "a/b"}, `"a/b"`},
		{[]string{"--otlp-file", "-"}, "--otlp-file -"},
	} {
		p := dwell(t, append([]string{"demo"}, test.args...)...)
		if status := p.exit(t); status != 1 {
			t.Errorf("%v: status %d", test.args, status)
		}
		checkOneLine(t, p.stderr.String(), test.want)
	}
	p := dwell(t, "demo")
	p.Env = append(p.Env, "OTEL_RESOURCE_ATTRIBUTES=nonsense")
	if status := p.exit(t); status != 1 {
		t.Errorf("status %d", status)
	}
	checkOneLine(t, p.stderr.String(), "OTEL_RESOURCE_ATTRIBUTES")
}
