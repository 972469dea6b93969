// SPDX-License-Identifier: Apache-2.0

package changes_test

import (
	"context"
	"crypto/rand"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/dwelltrace/dwell/fastpath/changes"
	"github.com/dwelltrace/dwell/internal/netns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a namespace that is watched.
type world struct {
	t   *testing.T
	ns  *netns.NS
	got chan changes.Change
	// steps is how often it was quiet.
	steps int
}

func space(t testing.TB) *netns.NS {
	t.Helper()
	name := "dwell-ch-" + rand.Text()[:8]
	ns, err := netns.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	if err := netns.Delete(name); err != nil {
		t.Fatal(err)
	}
	return ns
}

func run(t testing.TB, ns *netns.NS, script string) {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-ec", script)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := ns.Do(cmd.Start); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%s: %v: %s", script, err, out.String())
	}
}

// watch begins to watch a namespace after a script has run there.
func watch(t *testing.T, script string) *world {
	t.Helper()
	w := &world{t: t, ns: space(t), got: make(chan changes.Change, 1<<16)}
	run(t, w.ns, script)
	w.begin()
	return w
}

// begin begins to watch, and returns the first report.
func (w *world) begin() changes.Change {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() {
		done <- changes.Watch(ctx, w.ns, func(c changes.Change) {
			if c.Kind != 0 {
				w.got <- c
			}
		})
	}()
	w.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	})
	c := <-w.got
	if c.Kind != changes.Everything {
		w.t.Fatalf("the first report is %+v", c)
	}
	return c
}

func (w *world) index(name string) int {
	w.t.Helper()
	index := 0
	err := w.ns.Do(func() error {
		i, err := net.InterfaceByName(name)
		if err == nil {
			index = i.Index
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return index
}

// expect runs a script and waits until it is reported, as of devices.
func (w *world) expect(script string, kind changes.Kind, devices ...string) {
	w.t.Helper()
	var indices []int
	for _, d := range devices {
		indices = append(indices, w.index(d))
	}
	run(w.t, w.ns, script)
	w.await(script, func(c changes.Change) bool {
		return c.Kind.Has(kind) && !slices.ContainsFunc(indices, func(i int) bool { return !slices.Contains(c.Devices, i) })
	})
}

// await waits for a change and returns those that came before it.
func (w *world) await(what string, is func(changes.Change) bool) (before []changes.Change) {
	w.t.Helper()
	for c := range w.got {
		if is(c) {
			return before
		}
		before = append(before, c)
		w.t.Logf("%s: %v %v %s", what, c.Kind, c.Devices, c.What)
	}
	return nil
}

// until runs a script and returns what is reported until a neighbour changes afterwards.
func (w *world) until(script string) []changes.Change {
	w.t.Helper()
	w.steps++
	mac := net.HardwareAddr{2, 0, 0, 0xfe, 0, byte(w.steps)}.String()
	run(w.t, w.ns, script+"\n"+"ip neigh replace 192.0.2.250 dev sentinel lladdr "+mac)
	return w.await(script, func(c changes.Change) bool {
		return c.Kind == changes.Some && strings.HasPrefix(c.What, "192.0.2.250 at sentinel has MAC "+mac) && len(c.Devices) == 1
	})
}

// quiet runs a script of which nothing that concerns neighbours must be reported.
func (w *world) quiet(script string) {
	w.t.Helper()
	for _, c := range w.until(script) {
		w.t.Errorf("%s: reported %v %v: %s", script, c.Kind, c.Devices, c.What)
	}
}
