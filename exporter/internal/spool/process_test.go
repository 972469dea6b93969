// SPDX-License-Identifier: Apache-2.0

package spool_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/internal/spool"
)

// childVariable has this program be another process, which uses the spool in that
// directory, and run no tests.
const childVariable = "DWELL_TEST_SPOOL"

// user is that process: it does a bit of everything and waits to be killed.
func user(dir string) error {
	s, err := spool.Open(spool.Options{Spool: exporter.Spool{Dir: dir}})
	if err != nil {
		return err
	}
	for n := 1; n <= 2; n++ {
		s.Accept(batch(n, 1000).Count)
		if err := s.Append(batch(n, 1000)); err != nil {
			return err
		}
	}
	s.Settle(s.Take().Count, exporter.Count{}, "")
	s.Accept(batch(3, 1000).Count) // waits in memory
	s.Accept(batch(4, 1000).Count)
	if err := s.Hold(batch(4, 1000)); err != nil {
		return err
	}
	s.Refuse(exporter.CauseQueueFull, batch(5, 8).Count)
	s.Lose("", exporter.Count{}) // waits until all is written, however long it takes
	fmt.Fprintln(os.Stdout, "ready")
	select {}
}

// startChild returns the other process once it has done all.
func startChild(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), exe)
	child.Env = append(os.Environ(), childVariable+"="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kill(child) })
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if lines.Text() == "ready" {
			return child
		}
	}
	t.Fatalf("the child has ended early: %v", lines.Err())
	return nil
}

// kill is SIGKILL, which leaves a process no time to tidy up.
func kill(child *exec.Cmd) {
	_ = child.Process.Kill() // is over already, at worst
	_ = child.Wait()         // that it was killed
}

// TestKilledProcess: while a process has the spool, another is refused, with the
// number of the process that has it. Once that is killed, the next one finds what was on
// disk, and counts what was lost.
func TestKilledProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	child := startChild(t, dir)
	before := snap(t, dir)
	_, err := spool.Open(spool.Options{Spool: exporter.Spool{Dir: dir}})
	if !errors.Is(err, spool.ErrInUse) || !strings.Contains(err.Error(), fmt.Sprint(child.Process.Pid)) || !strings.Contains(err.Error(), dir) {
		t.Errorf("while another has it: %v", err)
	}
	if diff := cmp.Diff(before, snap(t, dir)); diff != "" {
		t.Errorf("who was refused has changed files:\n%s", diff)
	}
	kill(child)
	s := open(t, dir, 0)
	if diff := cmp.Diff([]int{4, 2}, drain(s)); diff != "" {
		t.Errorf("arrived (-want +got):\n%s", diff)
	}
	want := exporter.Stats{
		Sent: batch(1, 8).Count.Plus(batch(2, 8).Count).Plus(batch(4, 8).Count),
		Lost: map[exporter.Cause]exporter.Count{
			exporter.CauseKilled: batch(3, 8).Count, exporter.CauseQueueFull: batch(5, 8).Count,
		},
	}
	got := s.Lifetime()
	got.SpoolBytes = 0
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestLockWithoutNumber: somebody may have taken the lock who has not written who it is.
func TestLockWithoutNumber(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 0)
	if err := os.Truncate(filepath.Join(dir, "lock"), 0); err != nil {
		t.Fatal(err)
	}
	if err := refusedIn(dir); !errors.Is(err, spool.ErrInUse) || !strings.Contains(err.Error(), "unknown") {
		t.Errorf("Open: %v", err)
	}
	s.Close()
	if err := refusedIn(dir); err != nil {
		t.Errorf("after Close: %v", err)
	}
}

// TestLockNamesOnlyItsHolder: nothing is left of the number of one that had the directory
// before.
func TestLockNamesOnlyItsHolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "lock"), []byte("the number of another process\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir, 0)
	err := refusedIn(dir)
	if !errors.Is(err, spool.ErrInUse) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) || strings.Contains(err.Error(), "another") {
		t.Errorf("Open: %v", err)
	}
	s.Close()
}

// TestForkedChildHoldsNothing: a child that was forked while the spool was open does not
// keep the next one from opening it.
func TestForkedChildHoldsNothing(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 0)
	fd, err := spool.ForkLock(s)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	s.Close()
	if err := refusedIn(dir); err != nil {
		t.Error(err)
	}
}
