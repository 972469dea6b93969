// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
	"github.com/dwelltrace/dwell/internal/study/lab"
	"github.com/dwelltrace/dwell/internal/study/pinger"
)

// testLab makes a bridge lab of the test's own.
func testLab(t *testing.T) *lab.Lab {
	t.Helper()
	privilegetest.BPF(t)
	l, err := lab.Up(t.Context(), "bridge", lab.Options{Prefix: testPrefix()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Down(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return l
}

// labArgs make dwell trace look at the lab alone.
func labArgs(l *lab.Lab) []string {
	var args []string
	for _, role := range l.Topology().Roles() {
		_, name := l.NetNS(role)
		args = append(args, "--netns", name)
	}
	_, hypervisor := l.NetNS(lab.Hypervisor)
	return append(args, "--hypervisor", hypervisor)
}

// tracePings runs dwell trace with args until it has seen five pings in the lab.
func tracePings(t *testing.T, l *lab.Lab, args ...string) (p *process, status int) {
	t.Helper()
	p = dwell(t, traceFive(l, args...)...)
	return p, pingFive(t, l, p)
}

// traceFive are the arguments that have dwell trace five pings in the lab.
func traceFive(l *lab.Lab, args ...string) []string {
	return append(append([]string{"trace", "--count", "5", "--duration", patience.String()}, labArgs(l)...), args...)
}

// pingFive starts a process and sends five pings once it traces. It returns its exit status.
func pingFive(t *testing.T, l *lab.Lab, p *process) (status int) {
	t.Helper()
	stderr, attached := watch("attached")
	p.Stderr = stderr
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- p.Wait() }()
	select {
	case <-attached:
		pingLab(t, l, 5)
		<-exited
	case <-exited:
	}
	p.stderr.WriteString(stderr.String())
	return p.ProcessState.ExitCode()
}

func pingLab(t *testing.T, l *lab.Lab, count int) {
	t.Helper()
	ns, err := l.Open(lab.Guest)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	_, err = pinger.Run(t.Context(), pinger.Config{NetNS: ns, Target: l.Target(false), Count: count, Interval: time.Millisecond, Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
}

// watcher keeps what is written to it and tells when a word has been.
type watcher struct {
	text bytes.Buffer
	word string
	seen chan struct{}
}

func watch(word string) (*watcher, <-chan struct{}) {
	w := &watcher{word: word, seen: make(chan struct{})}
	return w, w.seen
}

func (w *watcher) Write(p []byte) (int, error) {
	n, err := w.text.Write(p)
	if w.word != "" && strings.Contains(w.text.String(), w.word) {
		w.word = ""
		close(w.seen)
	}
	return n, err
}

// String returns what was written; the process must be over.
func (w *watcher) String() string { return w.text.String() }

func TestTracePrintsWaterfalls(t *testing.T) {
	l, before := testLab(t), programs(t)
	p, status := tracePings(t, l)
	out := p.stdout.String()
	if status != 0 || strings.Count(out, "echo request") != 5 {
		t.Fatalf("status %d\n%s\n%s", status, out, &p.stderr)
	}
	if strings.ContainsAny(out, "\x1b\r") {
		t.Error("escapes in a pipe")
	}
	if !strings.Contains(p.stderr.String(), "5 pings: 5 complete, 0 dropped, 0 incomplete") {
		t.Errorf("summary: %s", &p.stderr)
	}
	checkProgramsGone(t, before)
}

func TestTraceWritesOTLPFile(t *testing.T) {
	l := testLab(t)
	file := filepath.Join(t.TempDir(), "traces.jsonl")
	p, status := tracePings(t, l, "--output", "none", "--otlp-file", file)
	data, err := os.ReadFile(file)
	if status != 0 || err != nil {
		t.Fatalf("status %d, %v\n%s", status, err, &p.stderr)
	}
	if n := bytes.Count(data, []byte(`"name":"echo reply"`)); n != 5 || p.stdout.Len() != 0 {
		t.Errorf("%d replies in the file, on standard output: %s", n, &p.stdout)
	}
}

func TestTraceEndsWithSignal(t *testing.T) {
	l, before := testLab(t), programs(t)
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		p := dwell(t, append([]string{"trace"}, labArgs(l)...)...)
		stderr, attached := watch("attached")
		p.Stderr = stderr
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		<-attached
		if err := p.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		if err := p.Wait(); err != nil || !strings.Contains(stderr.String(), "0 pings") {
			t.Errorf("%v: %v\n%s", sig, err, stderr)
		}
		checkProgramsGone(t, before)
	}
}

// What cannot work says so in one line, with the remedy, and a status that is not 0.
func TestTraceErrors(t *testing.T) {
	privilegetest.BPF(t)
	dir := t.TempDir()
	short := filepath.Join(dir, "key")
	if err := os.WriteFile(short, []byte("0123456789\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		args []string
		want []string
	}{
		"unknown namespace":   {[]string{"--netns", "nowhere"}, []string{`no network namespace "nowhere"`}},
		"unknown hypervisor":  {[]string{"--hypervisor", "nowhere"}, []string{`no network namespace "nowhere"`}},
		"bad address":         {[]string{"--address", "example"}, []string{`"example"`, "192.0.2.0/24"}},
		"bad output":          {[]string{"--output", "picture"}, []string{`"picture"`, "waterfall, events, json, none"}},
		"bad ring":            {[]string{"--ring-size", "0"}, []string{"--ring-size", "at least 1"}},
		"bad port":            {[]string{"--vxlan-port", "70000"}, []string{"--vxlan-port", "65535"}},
		"large ring":          {[]string{"--ring-size", "1025"}, []string{"--ring-size 1025", "1024 MiB"}},
		"many ports":          {[]string{"--vxlan-port", "1,2,3,4,5,6,7,8,9"}, []string{"--vxlan-port", "9 ports", "at most 8"}},
		"bad duration":        {[]string{"--duration", "-1s"}, []string{"--duration -1s", "negative"}},
		"two on stdout":       {[]string{"--otlp-file", "-"}, []string{"--otlp-file -", "--output none"}},
		"bad timeout":         {[]string{"--timeout", "-1s"}, []string{"--timeout"}},
		"bad endpoint":        {[]string{"--otlp-endpoint", "ftp://192.0.2.1"}, []string{"ftp://192.0.2.1", "host:port", "http://host:port", "https://host:port"}},
		"file in no folder":   {[]string{"--otlp-file", filepath.Join(dir, "none", "f")}, []string{"--otlp-file", "no such file"}},
		"file is a directory": {[]string{"--otlp-file", dir}, []string{"--otlp-file", "is a directory"}},
		"bad key":             {[]string{"--key-file", short}, []string{"--key-file", "32 hexadecimal digits", "openssl rand -hex 16"}},
		"no key":              {[]string{"--key-file", filepath.Join(dir, "none")}, []string{"--key-file", "no such file"}},
		"unknown flag":        {[]string{"--colour"}, []string{"unknown flag"}},
		"argument":            {[]string{"eth0"}, []string{`"eth0"`}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := dwell(t, append([]string{"trace", "--duration", "1s"}, test.args...)...)
			if status := p.exit(t); status != 1 {
				t.Errorf("status %d", status)
			}
			checkOneLine(t, p.stderr.String(), test.want...)
		})
	}
}

// checkOneLine fails unless text is one line that holds all of want.
func checkOneLine(t *testing.T, text string, want ...string) {
	t.Helper()
	if strings.Count(text, "\n") != 1 || !strings.HasPrefix(text, "dwell: ") {
		t.Errorf("not one line: %q", text)
	}
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("%q does not say %q", text, w)
		}
	}
}

func TestTraceWithoutRoot(t *testing.T) {
	exe := filepath.Join(os.TempDir(), testPrefix()+".exe")
	copyExecutable(t, exe)
	for _, command := range []string{"trace", "demo"} {
		p := program(t, exe, command)
		if os.Geteuid() == 0 {
			p.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		}
		p.Dir = "/"
		if status := p.exit(t); status != 1 {
			t.Errorf("%s: status %d", command, status)
		}
		want := "root"
		if command == "demo" {
			want = "dwell demo needs root"
		}
		checkOneLine(t, p.stderr.String(), want)
	}
}

// copyExecutable copies this test binary to where everybody may run it.
func copyExecutable(t *testing.T, to string) {
	t.Helper()
	data, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(to) })
}

func TestTraceWithoutBTF(t *testing.T) {
	privilegetest.BPF(t)
	p := program(t, "unshare", "--mount", "sh", "-c", "mount -t tmpfs none /sys/kernel/btf && exec /proc/"+pid()+"/exe trace")
	if status := p.exit(t); status != 1 {
		t.Errorf("status %d", status)
	}
	checkOneLine(t, p.stderr.String(), "BTF", "CONFIG_DEBUG_INFO_BTF")
}

// A backend that refuses or hangs is warned of at once; the end says what was lost, and
// the status that the job was not done.
func TestTraceWithoutBackend(t *testing.T) {
	l := testLab(t)
	hanging, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer hanging.Close()
	for name, endpoint := range map[string]string{
		"refuses": refusing(t), "hangs": hanging.Addr().String(),
	} {
		t.Run(name, func(t *testing.T) {
			begin := time.Now()
			p, status := tracePings(t, l, "--output", "none", "--otlp-endpoint", endpoint)
			if status != 1 {
				t.Errorf("status %d", status)
			}
			for _, want := range []string{"warning: ", endpoint, "5 traces"} {
				if !strings.Contains(p.stderr.String(), want) {
					t.Errorf("does not say %q:\n%s", want, &p.stderr)
				}
			}
			if d := time.Since(begin); d > patience/2 {
				t.Errorf("took %v", d)
			}
		})
	}
}

func TestTraceToFullDisk(t *testing.T) {
	l := testLab(t)
	p, status := tracePings(t, l, "--output", "none", "--otlp-file", "/dev/full")
	if status != 1 || !strings.Contains(p.stderr.String(), "no space left on device") {
		t.Errorf("status %d\n%s", status, &p.stderr)
	}
}

// A reader who has seen enough ends the run, which is no error.
func TestTraceToClosedPipe(t *testing.T) {
	l := testLab(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	p := dwell(t, append([]string{"trace", "--duration", patience.String()}, labArgs(l)...)...)
	stderr, attached := watch("attached")
	p.Stdout, p.Stderr = w, stderr
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	<-attached
	pingLab(t, l, 3)
	if err := p.Wait(); err != nil {
		t.Errorf("%v\n%s", err, stderr)
	}
}

func pid() string {
	self, err := os.Readlink("/proc/self")
	if err != nil {
		return "self"
	}
	return self
}
