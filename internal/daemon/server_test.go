// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dwelltrace/dwell/exporter/otlp"
	"github.com/dwelltrace/dwell/internal/agent"
)

func otlpOptions() otlp.Options {
	return otlp.Options{Version: "v1<", Host: otlp.Host{ID: "id", Name: "name"}}
}

func TestHealth(t *testing.T) {
	now := time.Now()
	attached := func(ago time.Duration) agent.Status {
		return agent.Status{Attached: true, LastIteration: now.Add(-ago)}
	}
	for _, test := range []struct {
		name         string
		h            health
		ready, alive string
	}{
		{"starting", health{phase: starting, began: now}, "starting", ""},
		{"slow start", health{phase: starting, began: now.Add(-time.Hour)}, "starting", ""},
		{"just attached", health{phase: running, began: now.Add(-time.Second)}, "", ""},
		{"well", health{phase: running, began: now.Add(-time.Hour), agent: attached(time.Second)}, "", ""},
		{"slow", health{phase: running, began: now.Add(-time.Hour), agent: attached(20 * time.Second)}, "20s ago", ""},
		{"stuck", health{phase: running, began: now.Add(-time.Hour), agent: attached(2 * time.Minute)}, "2m0s ago", "stuck"},
		{"never turned", health{phase: running, began: now.Add(-2 * time.Minute)}, "2m0s ago", "stuck"},
		{"detached", health{phase: running, began: now, agent: agent.Status{LastIteration: now}}, "not attached", ""},
		{"stopping", health{phase: stopping, began: now.Add(-time.Hour), agent: attached(2 * time.Minute)}, "stopping", ""},
	} {
		test.h.now = now
		for what, c := range map[string]struct {
			err  error
			want string
		}{"ready": {test.h.ready(), test.ready}, "alive": {test.h.alive(), test.alive}} {
			if (c.err == nil) != (c.want == "") || c.err != nil && !strings.Contains(c.err.Error(), c.want) {
				t.Errorf("%s: %s: %v, want %q", test.name, what, c.err, c.want)
			}
		}
	}
}

func TestHandler(t *testing.T) {
	now, scraped := time.Now(), true
	h := health{phase: running, began: now, now: now}
	v := view{
		version: "v1<", metrics: prometheus.NewRegistry(), scraped: func() bool { return scraped },
		health: func() health { return h }, log: quiet(),
	}
	fetch := func(method, path string) (int, string) {
		w := httptest.NewRecorder()
		v.handler().ServeHTTP(w, httptest.NewRequest(method, path, http.NoBody))
		return w.Code, w.Body.String()
	}
	check := func(path string, status int, want string) {
		t.Helper()
		if code, body := fetch(http.MethodGet, path); code != status || !strings.Contains(body, want) {
			t.Errorf("%s: %d %q", path, code, body)
		}
	}
	check("/readyz", 200, "ok")
	check("/livez", 200, "ok")
	check("/", 200, "dwell agent v1&lt;")
	check("/metrics", 200, "")
	check("/nothing", 404, "")
	if code, _ := fetch(http.MethodPost, "/readyz"); code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", code)
	}
	scraped = false
	check("/metrics", 404, "metrics.prometheus.enabled")
	h.phase = stopping
	check("/readyz", 503, "stopping")
	check("/livez", 200, "ok")
	h.phase, h.began = running, now.Add(-time.Hour)
	check("/livez", 503, "stuck")
	check("/", 200, "was last read")
}

// A scraper that goes away is no trouble of ours, and does not use up what may be said.
func TestOnceLog(t *testing.T) {
	var log bytes.Buffer
	l := &onceLog{log: slog.New(slog.NewTextHandler(&log, nil)), said: map[string]bool{}}
	for port := range 2 * maxSaid {
		at := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}
		l.Println("error encoding and sending metric family:", &net.OpError{Op: "write", Net: "tcp", Addr: at, Err: syscall.EPIPE})
	}
	if log.Len() > 0 {
		t.Errorf("scrapers that are gone are told of:\n%s", &log)
	}
	for range 2 {
		l.Println("error gathering metrics:", errors.New("inconsistent"))
	}
	if n := strings.Count(log.String(), "inconsistent"); n != 1 {
		t.Errorf("an error was told %d times", n)
	}
}
