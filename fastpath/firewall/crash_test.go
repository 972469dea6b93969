// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// Steps of a change, and of a flush, at whose beginning a process may die.
func changeSteps() []string {
	return []string{"open", "attach", "test", "intend", "apply", "swap", "commit", "end"}
}

func flushSteps() []string {
	return []string{"out-swap", "out-rules4", "out-rules6", "out-programs", "out-files"}
}

// Rules before and after: 1000 is only dropped by the old ones, 1001 by the new, 1002 by both.
const (
	oldRules = "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -p udp -m multiport --dports 1000,1002 -j DROP\nCOMMIT\n"
	newRules = "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -p udp -m udp --dport 1001 -j DROP\n-A FORWARD -p udp -m udp --dport 1002 -j DROP\nCOMMIT\n"
)

// dying are the environment of a process that is to die: where, at which step, and doing what.
const (
	dyingDir  = "DWELL_TEST_DYING_DIR"
	dyingNS   = "DWELL_TEST_DYING_NS"
	dyingKind = "DWELL_TEST_DYING_KIND"
	dyingStep = "DWELL_TEST_DYING_STEP"
	dyingWhat = "DWELL_TEST_DYING_WHAT"
)

// TestDying is the process that dies, and is no test by itself.
func TestDying(t *testing.T) {
	dir := os.Getenv(dyingDir)
	if dir == "" {
		return
	}
	ns, err := netns.OpenName(os.Getenv(dyingNS))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, hv: ns, dir: dir, kind: os.Getenv(dyingKind), tenants: red(t)}
	o := w.options()
	f, err := newFaces(&o)
	if err != nil {
		t.Fatal(err)
	}
	armed, step := false, os.Getenv(dyingStep)
	f.fault = func(s string) error {
		if armed && s == step {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		return nil
	}
	m, err := newManager(o, f)
	if err != nil {
		t.Fatal(err)
	}
	m.SetTenants(w.tenants)
	what := os.Getenv(dyingWhat)
	armed = what == "adopt"
	if err := m.Adopt(t.Context()); err != nil {
		t.Fatal(err)
	}
	armed = true
	switch what {
	case "restore":
		_, err = m.Restore(t.Context(), Restore{Tenant: "red", Family: 4, Text: newRules})
	case "restores":
		for i := 0; err == nil; i++ {
			_, err = m.Restore(t.Context(), Restore{Tenant: "red", Family: 4, Text: []string{newRules, oldRules}[i%2]})
		}
	case "flush":
		err = m.Flush(t.Context(), "red")
	}
	t.Fatalf("still alive after %s: %v", step, err)
}

func red(t *testing.T) *tenant.Set {
	t.Helper()
	s, err := tenant.NewSet([]tenant.Tenant{{ID: "red", Bridges: []string{"br-red"}}}, nil, []string{"eth0"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// die lets a process do something and die at a step.
func (w *world) die(what, step string) {
	w.Helper()
	c := exec.CommandContext(w.Context(), os.Args[0], "-test.run=^TestDying$", "-test.count=1")
	c.Env = append(os.Environ(), dyingDir+"="+w.dir, dyingNS+"="+w.hv.Name(), dyingKind+"="+w.kind, dyingStep+"="+step, dyingWhat+"="+what)
	out, err := c.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		w.Fatalf("%s was not killed at %s: %v: %s", what, step, err, out)
	}
}

// verdicts says which of the ports 1000 to 1002 are dropped.
func (w *world) verdicts() string {
	w.Helper()
	var dropped []string
	for port, name := range map[uint16]string{1000: "old", 1001: "new", 1002: "both"} {
		if !w.outwards(port) {
			dropped = append(dropped, name)
		}
	}
	slices.Sort(dropped)
	return strings.Join(dropped, " ")
}

// leave closes the manager and leaves everything in force.
func (w *world) leave() {
	w.Helper()
	if err := w.Manager.Close(); err != nil {
		w.Fatal(err)
	}
	w.Manager = nil
}

func (w *world) restore(text string) *Restored {
	w.Helper()
	r, err := w.Restore(w.Context(), Restore{Tenant: "red", Family: 4, Text: text})
	if err != nil {
		w.Fatal(err)
	}
	return r
}

// A process that dies at any step of a change leaves the old rules or the new ones in force, never
// neither, and the next one goes back to the old ones, unless the change was finished.
func TestDyingInAChange(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		for _, step := range changeSteps() {
			w.open()
			w.restore(oldRules)
			if got := w.verdicts(); got != "both old" {
				t.Fatalf("the old rules drop %q", got)
			}
			w.leave()
			w.die("restore", step)
			if w.outwards(1002) {
				t.Errorf("killed at %s: neither the old rules nor the new are in force", step)
			}
			w.open()
			want := "both old"
			if step == "end" {
				want = "both new"
			}
			if got := w.verdicts(); got != want {
				t.Errorf("killed at %s: afterwards %q is dropped, and not %q", step, got, want)
			}
			w.leave()
		}
		w.open() // to clean up
	})
}

// Who dies in a tenant's first change leaves nothing behind that the next one does not remove.
func TestDyingInTheFirstChange(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		for _, step := range changeSteps() {
			w.die("restore", step)
			w.open()
			want := ""
			if step == "end" {
				want = "both new"
			}
			if got := w.verdicts(); got != want {
				t.Errorf("killed at %s: afterwards %q is dropped, and not %q", step, got, want)
			}
			if err := w.Flush(t.Context(), "red"); err != nil {
				t.Fatal(err)
			}
			w.nothing()
			w.leave()
		}
	})
}

// Who dies when putting rules in force again leaves them in force.
func TestDyingInAdopt(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		w.open()
		w.restore(oldRules)
		w.leave()
		for _, step := range []string{"open", "attach", "apply", "swap", "end"} {
			w.die("adopt", step)
			if got := w.verdicts(); got != "both old" {
				t.Errorf("killed at %s: %q is dropped", step, got)
			}
		}
		w.open()
	})
}

// Who dies in a flush leaves the rules or nothing.
func TestDyingInAFlush(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		for _, step := range flushSteps() {
			w.open()
			w.restore(oldRules)
			w.leave()
			w.die("flush", step)
			if got := w.verdicts(); got != "both old" && got != "" {
				t.Errorf("killed at %s: %q is dropped", step, got)
			}
			w.open()
			if got := w.verdicts(); got != "both old" {
				t.Errorf("killed at %s: the rules are not there again: %q is dropped", step, got)
			}
			if err := w.Flush(t.Context(), "red"); err != nil {
				t.Fatal(err)
			}
			w.nothing()
			w.leave()
		}
	})
}

// A step that fails undoes those before it.
func TestFailingSteps(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		w.open()
		failing := errors.New("it fails here")
		for _, before := range []string{"", oldRules} {
			want := ""
			if before != "" {
				w.restore(before)
				want = "both old"
			}
			for _, step := range changeSteps()[:7] {
				w.faces.fault = func(s string) error {
					if s == step {
						return failing
					}
					return nil
				}
				if _, err := w.Restore(t.Context(), Restore{Tenant: "red", Family: 4, Text: newRules}); !errors.Is(err, failing) {
					t.Errorf("%s: %v", step, err)
				}
				if got := w.verdicts(); got != want {
					t.Errorf("%s: %q is dropped afterwards, and not %q", step, got, want)
				}
				if want == "" {
					w.nothing()
				}
			}
			w.faces.fault = func(string) error { return nil }
		}
	})
}

// stuck are tables from which nothing can be taken, as long as it is so.
type stuck struct {
	tables
	now bool
}

func (s *stuck) Remove(ctx context.Context, f header.Family, id string, number uint32) error {
	if s.now {
		return errors.New("somebody jumps there")
	}
	return s.tables.Remove(ctx, f, id, number)
}

// If even what a failed change has put in cannot be taken out, the programs stay that it needs, and it
// is taken out as soon as it can be.
func TestFailingToUndo(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		w.open()
		s := &stuck{tables: w.faces.tables, now: true}
		w.faces.tables = s
		failing := errors.New("it fails here")
		w.faces.fault = func(step string) error {
			if step == "swap" {
				return failing
			}
			return nil
		}
		if _, err := w.Restore(t.Context(), Restore{Tenant: "red", Family: 4, Text: newRules}); !errors.Is(err, failing) {
			t.Error(err)
		}
		w.faces.fault = func(string) error { return nil }
		if w.run(w.hv, "iptables-"+w.kind, "-A", "FORWARD", "-j", "ACCEPT"); w.Summary().Problems == nil {
			t.Error("no problem is said")
		}
		s.now = false
		w.check(t.Context())
		w.nothing()
		if got := w.Summary().Problems; got != nil {
			t.Errorf("still %q", got)
		}
	})
}
