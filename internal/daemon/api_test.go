// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/otlp"
	"github.com/dwelltrace/dwell/internal/backend/api"
	"github.com/dwelltrace/dwell/internal/backend/client"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
	"github.com/dwelltrace/dwell/internal/config"
)

// withAPI is a configuration with tenants, each a list as in YAML.
func withAPI(socket, tenants string) string {
	return "api: {socket: " + socket + "}\ntenants: [" + tenants + "]\nexport: {file: /dev/null}\n"
}

func ask(t *testing.T, socket string) *client.Client {
	t.Helper()
	c, err := client.New(t.Context(), client.Options{Backend: "unix://" + socket})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// ends reads a stream to its end, and returns the code with which it ends.
func ends(t *testing.T, s *client.Stream) (code string) {
	t.Helper()
	for {
		_, note, err := s.Next()
		switch {
		case errors.Is(err, io.EOF):
			return code
		case err != nil:
			t.Fatal(err)
		case note != nil && note.End != nil:
			code = note.End.Code
		}
	}
}

// The API answers from the start to the end, and follows the configuration.
func TestAPI(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "run", "agent.sock")
	const red, blue = "{id: red, ports: [tap-red]}", "{id: blue, ports: [tap-blue]}"
	l := live(t, withAPI(socket, red+","+blue))
	says(t, l.log.String(), "serving the API", socket)
	c := ask(t, socket)
	l.agent.opts.OnTraces([]*trace.Trace{tracetest.Complete(1)})
	if s, err := c.Summary(t.Context(), client.Operator); err != nil || s.Pings.Total != 1 {
		t.Errorf("the operator sees %d pings, %v", s.Pings.Total, err)
	}
	streams := map[string]*client.Stream{}
	for _, id := range []string{client.Operator, "red", "blue"} {
		s, err := c.Traces(t.Context(), id, client.StreamOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		streams[id] = s
	}
	if got := l.stats().API; got.Streams != 3 || got.Requests != 4 {
		t.Errorf("the metrics say %+v", got)
	}
	says(t, l.status(), "3 streams of the API")

	says(t, l.reload(withAPI(socket, blue)), "configuration reloaded")
	if code := ends(t, streams["red"]); code != api.CodeRevoked {
		t.Errorf("the stream of a tenant that is gone ends with %q", code)
	}
	if _, err := c.Tenant(t.Context(), "red"); client.Code(err) != api.CodeUnknownTenant {
		t.Errorf("a tenant that is gone: %v", err)
	}
	if err := l.stop(); err != nil {
		t.Error(err)
	}
	for _, id := range []string{client.Operator, "blue"} {
		if code := ends(t, streams[id]); code != api.CodeStopping {
			t.Errorf("the stream of %q ends with %q at the end of the agent", id, code)
		}
	}
	if _, err := os.Lstat(socket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

// An agent that cannot serve the API does not start, and says why.
func TestAPIThatCannotBeServed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "agent.sock")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l := begin(t, withAPI(file, ""))
	l.run()
	err := <-l.done
	l.done <- err // for whoever else waits
	if err == nil {
		t.Fatal("no error")
	}
	says(t, err.Error(), "api", file, "not a socket")
}

// Metrics are served before the API is: reading them meanwhile must not be a race.
func TestStatsWhileTheAPIStarts(t *testing.T) {
	loaded, err := config.Parse("f", []byte(withAPI(filepath.Join(t.TempDir(), "agent.sock"), "")), nil)
	if err != nil {
		t.Fatal(err)
	}
	a := newAPI(loaded.API, otlp.Options{}, slog.New(slog.DiscardHandler))
	started := make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() {
		for {
			a.stats()
			select {
			case <-started:
				return
			default:
			}
		}
	})
	err = a.start(loaded, nil, nil, nil, nil)
	close(started)
	reading.Wait()
	if err != nil {
		t.Fatal(err)
	}
	a.shutdown(t.Context())
}
