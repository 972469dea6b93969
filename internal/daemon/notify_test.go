// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

func TestNotify(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "20000")
	t.Setenv("WATCHDOG_PID", "")
	s := newService(quiet())
	next := func() string {
		t.Helper()
		if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		buffer := make([]byte, 4096)
		n, err := conn.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		return string(buffer[:n])
	}
	for _, step := range []struct {
		tell func()
		want string
	}{
		{func() { s.ready("well") }, `^READY=1\nSTATUS=well$`},
		{s.reloading, `^RELOADING=1\nMONOTONIC_USEC=[0-9]+\n$`},
		{func() { s.status("busy") }, `^STATUS=busy$`},
		{s.stopping, `^STOPPING=1\nSTATUS=stopping$`},
	} {
		step.tell()
		if got := next(); !regexp.MustCompile(step.want).MatchString(got) {
			t.Errorf("%q, want %s", got, step.want)
		}
	}
	if s.watchdog != 20*time.Millisecond {
		t.Errorf("watchdog every %v", s.watchdog)
	}
	ctx, cancel := context.WithCancel(t.Context())
	states, done := make(chan error), make(chan struct{})
	go func() {
		defer close(done)
		s.beat(ctx, func() error { return <-states })
	}()
	states <- errors.New("stuck") // the watchdog is not told
	states <- nil
	if got := next(); got != "WATCHDOG=1" {
		t.Errorf("%q", got)
	}
	cancel()
	close(states)
	<-done
}
