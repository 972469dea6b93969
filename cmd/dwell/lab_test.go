// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
	"github.com/dwelltrace/dwell/internal/study/lab"
)

// labPrefix gives the test labs of its own, which go with it.
func labPrefix(t *testing.T) string {
	t.Helper()
	privilegetest.NetNS(t)
	prefix := fmt.Sprintf("dwt%dcmd", os.Getpid())
	t.Cleanup(func() {
		if _, err := runLab("down", "--prefix", prefix); err != nil {
			t.Error(err)
		}
	})
	return prefix
}

// runLab runs dwell lab in this process.
func runLab(args ...string) (string, error) {
	var out bytes.Buffer
	cmd := newLabCommand()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	err := cmd.Execute()
	return out.String(), err
}

// labChild is dwell lab as a process of its own, which exec needs.
func labChild(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	encoded, err := json.Marshal(args)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestLabChild$")
	cmd.Env = append(os.Environ(), "DWELL_TEST_LAB_ARGS="+string(encoded))
	return cmd
}

func TestLabChild(t *testing.T) {
	encoded := os.Getenv("DWELL_TEST_LAB_ARGS")
	if encoded == "" {
		return // only labChild has something to do here
	}
	var args []string
	if err := json.Unmarshal([]byte(encoded), &args); err != nil {
		t.Fatal(err)
	}
	_, err := runLab(args...)
	fmt.Fprintln(os.Stderr, err)
	var status statusError
	if errors.As(err, &status) {
		os.Exit(status.ExitStatus())
	}
	os.Exit(1)
}

func TestLabUpListDown(t *testing.T) {
	prefix := labPrefix(t)
	for range 2 {
		out, err := runLab("up", "bridge", "--prefix", prefix)
		if err != nil || !strings.Contains(out, prefix+"-bridge-guest") || !strings.Contains(out, "try: dwell lab exec --prefix "+prefix+" bridge -- ping -c 3 203.0.113.8") {
			t.Fatalf("up: %v\n%s", err, out)
		}
	}
	out, err := runLab("list", "--prefix", prefix)
	row := regexp.MustCompile(`(?m)^bridge +up +203\.0\.113\.8, 2001:db8:0:113::8 +` + prefix + `-bridge-guest, ` + prefix + `-bridge-hypervisor, ` + prefix + `-bridge-outside$`)
	if err != nil || !row.MatchString(out) {
		t.Errorf("list: %v\n%s", err, out)
	}
	out, err = runLab("down", "--prefix", prefix)
	if err != nil || !strings.Contains(out, "removed "+prefix+"-bridge-guest") {
		t.Errorf("down: %v\n%s", err, out)
	}
	out, err = runLab("down", "bridge", "--prefix", prefix)
	if err != nil || out != "nothing to remove\n" {
		t.Errorf("second down: %v\n%s", err, out)
	}
}

// What to try names the guest where it is not the first.
func TestLabUpTenants(t *testing.T) {
	out, err := runLab("up", "tenants", "--prefix", labPrefix(t))
	for _, want := range []string{" tenants -- ping -c 3 203.0.113.8\n", " tenants --in blue -- ping -c 3 203.0.113.8\n", " tenants -- ping -c 3 198.51.100.12\n"} {
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("no %q (%v) in\n%s", want, err, out)
		}
	}
}

func TestLabExec(t *testing.T) {
	prefix := labPrefix(t)
	if _, err := runLab("up", "bridge", "--prefix", prefix); err != nil {
		t.Fatal(err)
	}
	l, err := lab.Get("bridge", lab.Options{Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	inode := func(role string) string {
		n, _ := l.NetNS(role)
		return "net:[" + strconv.FormatUint(uint64(n), 10) + "]"
	}
	where := []string{"readlink", "/proc/self/ns/net"}
	for _, tc := range []struct {
		name   string
		args   []string
		stdin  string
		status int
		stdout string
		stderr string
	}{
		{"the guest by default", append([]string{"bridge", "--"}, where...), "", 0, inode(lab.Guest), ""},
		{"without dashes", append([]string{"bridge"}, where...), "", 0, inode(lab.Guest), ""},
		{"--in after the topology", append([]string{"bridge", "--in", "outside", "--"}, where...), "", 0, inode(lab.Outside), ""},
		{"--in before the topology", append([]string{"--in=hypervisor", "bridge"}, where...), "", 0, inode(lab.Hypervisor), ""},
		{"the command's own flags", []string{"bridge", "echo", "--in", "-n"}, "", 0, "--in -n", ""},
		{"a shell, and stdin", []string{"bridge"}, "readlink /proc/self/ns/net; exit 3", 3, inode(lab.Guest), ""},
		{"exit status", []string{"bridge", "--", "sh", "-c", "exit 42"}, "", 42, "", ""},
		{"not found", []string{"bridge", "--", "no-such-command"}, "", 127, "", "no-such-command"},
		{"not executable", []string{"bridge", "--", "/etc/passwd"}, "", 126, "", "permission denied"},
		{"unknown role", []string{"bridge", "--in", "gest", "--", "true"}, "", 1, "", "guest, hypervisor, outside"},
		{"unknown topology", []string{"brigde", "--", "true"}, "", 1, "", "unknown topology"},
		{"unknown flag", []string{"bridge", "--out", "guest"}, "", 1, "", "unknown flag: --out"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cmd := labChild(t, append([]string{"--prefix", prefix, "exec"}, tc.args...)...)
			cmd.Env = append(cmd.Env, "SHELL=/bin/sh")
			cmd.Stdin = strings.NewReader(tc.stdin)
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			err := cmd.Run()
			if status := cmd.ProcessState.ExitCode(); status != tc.status {
				t.Errorf("exit status %d (%v), want %d; stderr: %s", status, err, tc.status, stderr.String())
			}
			if got := strings.TrimSpace(stdout.String()); got != tc.stdout {
				t.Errorf("stdout %q, want %q", got, tc.stdout)
			}
			if !strings.Contains(stderr.String(), tc.stderr) {
				t.Errorf("stderr %q lacks %q", stderr.String(), tc.stderr)
			}
		})
	}
}

// The command is the process that a signal is sent to.
func TestLabExecPassesSignals(t *testing.T) {
	prefix := labPrefix(t)
	if _, err := runLab("up", "bridge", "--prefix", prefix); err != nil {
		t.Fatal(err)
	}
	cmd := labChild(t, "--prefix", prefix, "exec", "bridge", "--", "sh", "-c", "trap 'exit 7' INT; echo ready; read line")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := stdout.Read(make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 7 {
		t.Errorf("exit status %d (%v), want the trap's 7", cmd.ProcessState.ExitCode(), err)
	}
}

func TestLabErrors(t *testing.T) {
	prefix := labPrefix(t)
	for _, tc := range []struct{ args, want string }{
		{"up", "name one topology: bridge"},
		{"up bridge bridge", "name one topology"},
		{"up brigde", `unknown topology "brigde"; choose one of: bridge`},
		{"down brigde", `unknown topology "brigde"`},
		{"list --prefix=", "1 to 64"},
		{"exec", "at least 1 arg"},
		{"exec bridge -- true", "lab bridge is not up (dwell lab up bridge creates it)"},
	} {
		out, err := runLab(append(strings.Fields(tc.args), "--prefix", prefix)...)
		if strings.HasPrefix(tc.args, "exec bridge") {
			out, err = runLab(append([]string{"--prefix", prefix}, strings.Fields(tc.args)...)...)
		}
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("lab %s: %v, want %q in it\n%s", tc.args, err, tc.want, out)
		}
	}
}

func TestLabNeedsCapabilities(t *testing.T) {
	labPrefix(t)
	for _, args := range [][]string{{"up", "bridge"}, {"down"}, {"list"}, {"exec", "bridge", "true"}} {
		cmd := labChild(t, args...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		self, err := os.Open("/proc/self/exe") // the child may not reach the path
		if err != nil {
			t.Fatal(err)
		}
		defer self.Close()
		cmd.Path, cmd.ExtraFiles, cmd.Dir = "/proc/self/fd/3", []*os.File{self}, "/"
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "dwell lab needs root (CAP_SYS_ADMIN and CAP_NET_ADMIN): try sudo\n") {
			t.Errorf("dwell lab %v as nobody: %v\n%s", args, err, out)
		}
	}
}

func TestLabHelp(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"up", "--help"}, {"down", "--help"}, {"list", "--help"}, {"exec", "--help"}, {"run", "--help"}, {"exec", "bridge", "--help"}} {
		out, err := runLab(args...)
		if err != nil || !strings.Contains(out, "Examples:\n  dwell lab ") {
			t.Errorf("lab %v: %v\n%s", args, err, out)
		}
	}
	if names := topologyNames(); !slices.Contains(names, "bridge") {
		t.Errorf("topologies %v", names)
	}
}
