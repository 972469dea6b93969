// SPDX-License-Identifier: Apache-2.0

package tenantdir_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/internal/tenantdir"
)

// watched is a place that is read when the watcher says so.
type watched struct {
	*place
	w *tenantdir.Watcher
	// told is how often it did.
	told int
}

func watch(t *testing.T, p *place) *watched {
	t.Helper()
	w, err := tenantdir.Watch(p.dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	if err := w.Err(); err != nil {
		t.Fatal(err)
	}
	return &watched{place: p, w: w}
}

// next waits for the watcher and reads the directory.
func (w *watched) next() string {
	w.Helper()
	select {
	case <-w.w.C:
	case <-time.After(30 * time.Second): // half of how often it is read anyway
		w.Fatalf("no change is told; in force is %q", w.force())
	}
	w.told++
	src := w.source()
	src.Writing = w.w.Writing()
	s, err := tenantdir.Read(src, w.state)
	if err != nil {
		w.Fatal(err)
	}
	w.state = s
	return w.force()
}

// becomes reads until these are in force.
func (w *watched) becomes(want string) {
	w.Helper()
	for w.next() != want {
	}
}

func (w *watched) rename(from, to string) {
	w.Helper()
	if err := os.Rename(filepath.Join(w.dir, from), filepath.Join(w.dir, to)); err != nil {
		w.Fatal(err)
	}
}

func (w *watched) symlink(to, name string) {
	w.Helper()
	if err := os.Symlink(to, filepath.Join(w.dir, name)); err != nil {
		w.Fatal(err)
	}
}

// The ways in which files come, change and go.
func TestChanges(t *testing.T) {
	p := newPlace(t, "")
	p.dir = filepath.Join(p.dir, "deep", "down") // which does not exist yet
	w := watch(t, p)
	p.is("")
	p.write("red.yaml", "ports: [tap1]\n")
	w.becomes("red:tap1")
	p.write(".blue.tmp", "ports: [tap2]\n")
	w.rename(".blue.tmp", "blue.yaml")
	w.becomes("blue:tap2 red:tap1")
	p.write(".blue.tmp", "ports: [tap3]\n")
	w.rename(".blue.tmp", "blue.yaml") // in its place
	w.becomes("blue:tap3 red:tap1")
	w.rename("red.yaml", "red.yaml~") // as editors do
	p.write("red.yaml", "ports: [tap4]\n")
	w.becomes("blue:tap3 red:tap4")
	p.remove("blue.yaml")
	w.becomes("red:tap4")
	w.rename("red.yaml", "crimson.yaml")
	w.becomes("crimson:tap4")
	p.remove("") // the directory
	w.becomes("")
	p.write("red.yaml", "ports: [tap5]\n")
	w.becomes("red:tap5")
}

// The directory, or one above it, is exchanged for another one.
func TestDirectoryIsExchanged(t *testing.T) {
	for name, exchange := range map[string]string{"itself": "", "above": ".."} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t, "")
			p.dir = filepath.Join(p.dir, "b", "c")
			p.write("red.yaml", "ports: [tap1]\n")
			w := watch(t, p)
			p.is("red:tap1")
			moved := filepath.Join(p.dir, exchange)
			if err := os.Rename(moved, moved+".old"); err != nil {
				t.Fatal(err)
			}
			p.write("blue.yaml", "ports: [tap2]\n")
			w.becomes("blue:tap2")
			p.write("blue.yaml", "ports: [tap3]\n")
			w.becomes("blue:tap3")
		})
	}
}

// A ConfigMap's files are links into a directory that is exchanged by a link.
func TestConfigMap(t *testing.T) {
	p := newPlace(t, "")
	p.write("..1/red.yaml", "") // makes the directory below
	w := watch(t, p)
	p.write("..1/red.yaml", "ports: [tap1]\n")
	w.symlink("..1", "..data")
	w.symlink("..data/red.yaml", "red.yaml")
	w.becomes("red:tap1")
	p.write("..2/red.yaml", "ports: [tap2]\n")
	w.symlink("..2", "..data_tmp")
	w.rename("..data_tmp", "..data")
	p.remove("..1")
	w.becomes("red:tap2")
}

// Half of a file may be a valid definition that owns less: it is not taken before whoever
// writes it closes it.
func TestHalfAFile(t *testing.T) {
	p := newPlace(t, "")
	p.write("red.yaml", "ports: [tap1]\n")
	w := watch(t, p)
	p.is("red:tap1")
	f, err := os.Create(filepath.Join(p.dir, "red.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, half := range []string{"vms: [a]\n", "ports: [tap1, tap2]\n"} {
		if _, err := f.WriteString(half); err != nil {
			t.Fatal(err)
		}
		if got := w.next(); got != "red:tap1" || len(p.state.Problems) > 0 {
			t.Errorf("in force is %q while it is written; problems: %v", got, p.state.Problems)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	w.becomes("red:tap1,tap2")
}

// A thousand files at once are told a few times, and not a thousand.
func TestBurst(t *testing.T) {
	p := newPlace(t, "")
	w := watch(t, p)
	p.is("")
	const many = 1000
	began := time.Now()
	for i := range many {
		p.write(fmt.Sprintf(".t%d", i), fmt.Sprintf("ports: [tap%d]\n", i))
		w.rename(fmt.Sprintf(".t%d", i), fmt.Sprintf("t%d.yaml", i))
	}
	for p.state.Count() != many {
		w.next()
	}
	if most := 5 + int(time.Since(began)/time.Second); w.told > most {
		t.Errorf("told %d times in %v", w.told, time.Since(began))
	}
	p.remove("")
	w.becomes("")
}

// A watcher ends at once, and while something happens.
func TestClose(t *testing.T) {
	p := newPlace(t, "")
	for range 50 {
		w, err := tenantdir.Watch(p.dir)
		if err != nil {
			t.Fatal(err)
		}
		p.write("red.yaml", "ports: [tap1]\n")
		w.Close()
		p.remove("")
	}
}
