// SPDX-License-Identifier: Apache-2.0

package lab_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/study/lab"
)

// childEnv, if set, makes the test binary a process that makes a lab of that
// prefix. It writes a line before each step and waits for one to go on.
const childEnv = "DWELL_TEST_LAB_PREFIX"

func childUp(prefix string) {
	in := bufio.NewReader(os.Stdin)
	opts := lab.WithBeforeStep(lab.Options{Prefix: prefix}, func(i int, what string) {
		fmt.Println(i, what)
		if _, err := in.ReadString('\n'); err != nil {
			os.Exit(3)
		}
	})
	if _, err := lab.Up(context.Background(), "bridge", opts); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// names returns the namespaces that begin with the prefix.
func names(t *testing.T, opts lab.Options) []string {
	t.Helper()
	entries, err := netns.List()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name, opts.Prefix+"-") {
			names = append(names, e.Name)
		}
	}
	return names
}

func TestCancelAtEveryStepLeavesNothing(t *testing.T) {
	opts := options(t, "c")
	host := dumpHost(t)
	top, err := lab.Find("bridge")
	if err != nil {
		t.Fatal(err)
	}
	cause := errors.New("interrupted by the test")
	for i, what := range lab.Steps(top) {
		ctx, cancel := context.WithCancelCause(t.Context())
		_, err := lab.Up(ctx, "bridge", lab.WithBeforeStep(opts, func(j int, _ string) {
			if i == j {
				cancel(cause)
			}
		}))
		cancel(nil)
		if !errors.Is(err, cause) || !strings.Contains(err.Error(), what) {
			t.Errorf("cancelled before step %d: %v, want %q and the cause", i, err, what)
		}
		checkNothingLeft(t, opts)
	}
	if diff := cmp.Diff(host, dumpHost(t)); diff != "" {
		t.Errorf("the host's network changed (-before +after):\n%s", diff)
	}
}

// A lab that was there before is not taken down by an Up that is interrupted.
func TestCancelKeepsWhatWasThere(t *testing.T) {
	opts := options(t, "k")
	before := dumpLab(t, up(t, "bridge", opts))
	ctx, cancel := context.WithCancel(t.Context())
	_, err := lab.Up(ctx, "bridge", lab.WithBeforeStep(opts, func(i int, _ string) {
		if i == 5 {
			cancel()
		}
	}))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Up: %v", err)
	}
	l, err := lab.Get("bridge", opts)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, dumpLab(t, l)); diff != "" {
		t.Errorf("the lab changed (-before +after):\n%s", diff)
	}
}

// killBefore starts a process that makes a lab and kills it, with no chance to
// clean up, before the given step.
func killBefore(t *testing.T, step int, opts lab.Options) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childEnv+"="+opts.Prefix)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), fmt.Sprint(step, " ")) {
			return
		}
		fmt.Fprintln(in)
	}
	t.Fatalf("the child ended before step %d", step)
}

func TestDownFindsWhatAKilledUpLeft(t *testing.T) {
	opts := options(t, "x")
	host := dumpHost(t)
	top, err := lab.Find("bridge")
	if err != nil {
		t.Fatal(err)
	}
	for i := range lab.Steps(top) {
		killBefore(t, i, opts)
		if i > 0 && len(names(t, opts)) == 0 {
			t.Fatalf("nothing left of an Up killed before step %d: the test tests nothing", i)
		}
		if _, err := lab.Down(t.Context(), "bridge", opts); err != nil {
			t.Error(err)
		}
		checkNothingLeft(t, opts)
	}
	if diff := cmp.Diff(host, dumpHost(t)); diff != "" {
		t.Errorf("the host's network changed (-before +after):\n%s", diff)
	}
}

func TestUpMendsWhatAKilledUpLeft(t *testing.T) {
	opts := options(t, "m")
	killBefore(t, 12, opts)
	l := up(t, "bridge", opts)
	ping(t, l, l.Target(false), 2)
}

// Up waits while another process makes the same lab, and gives up with its
// context.
func TestUpWaitsForTheOther(t *testing.T) {
	opts := options(t, "w")
	inside, goOn := make(chan struct{}), make(chan struct{})
	first := make(chan error, 1)
	go func() {
		_, err := lab.Up(t.Context(), "bridge", lab.WithBeforeStep(opts, func(i int, _ string) {
			if i == 3 {
				close(inside)
				<-goOn
			}
		}))
		first <- err
	}()
	<-inside
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := lab.Up(ctx, "bridge", opts); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "waiting for another dwell lab") {
		t.Errorf("Up beside another: %v", err)
	}
	close(goOn)
	if err := <-first; err != nil {
		t.Error(err)
	}
	up(t, "bridge", opts)
}
