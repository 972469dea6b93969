// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/dwelltrace/dwell/internal/config"
)

// server is the agent's own HTTP server.
type server struct {
	http *http.Server
	addr net.Addr
	done chan struct{}
}

// view is what the server shows.
type view struct {
	version string
	// metrics are shown if scraped says so.
	metrics prometheus.Gatherer
	scraped func() bool
	health  func() health
	log     *slog.Logger
}

// scrapes is how many scrapes may be answered at the same time.
const scrapes = 4

// serve listens where the configuration says, or returns nil if it says nowhere.
func serve(l *config.Loaded, v view) (*server, error) {
	if l.HTTP.Listen == "" {
		return nil, nil //nolint:nilnil // no server is not an error
	}
	listener, err := net.Listen("tcp", l.HTTP.Listen)
	if err != nil {
		var cause *net.OpError
		if errors.As(err, &cause) {
			err = cause.Err
		}
		return nil, l.Error("http.listen", fmt.Errorf("cannot listen on %s: %w; does another agent run? Choose another address, here or by %s", l.HTTP.Listen, err, config.Variable("http.listen")))
	}
	s := &server{
		http: &http.Server{
			Handler: v.handler(), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute,
			WriteTimeout: time.Minute, ErrorLog: slog.NewLogLogger(v.log.Handler(), slog.LevelDebug),
		},
		addr: listener.Addr(), done: make(chan struct{}),
	}
	go func() {
		defer close(s.done)
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			v.log.Error("the HTTP server failed; metrics and health are no longer served", "error", err)
		}
	}()
	return s, nil
}

// shutdown waits for requests that are under way until ctx is done.
func (s *server) shutdown(ctx context.Context) {
	if s == nil {
		return
	}
	if s.http.Shutdown(ctx) != nil {
		s.http.Close()
	}
	<-s.done
}

func (v view) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", v.scrape())
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { answer(w, v.health().alive()) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { answer(w, v.health().ready()) })
	mux.HandleFunc("GET /{$}", v.index)
	return mux
}

// scrape answers as text, as OpenMetrics with exemplars, or as protobuf with native
// histograms, whichever the scraper prefers.
func (v view) scrape() http.Handler {
	metrics := promhttp.HandlerFor(v.metrics, promhttp.HandlerOpts{
		EnableOpenMetrics: true, MaxRequestsInFlight: scrapes,
		ErrorHandling: promhttp.ContinueOnError, ErrorLog: &onceLog{log: v.log, said: map[string]bool{}},
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !v.scraped() {
			http.Error(w, "metrics.prometheus.enabled is false", http.StatusNotFound)
			return
		}
		metrics.ServeHTTP(w, r)
	})
}

// answer is for probes: a status, and a line for people.
func answer(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, err)
		return
	}
	fmt.Fprintln(w, "ok")
}

var indexPage = template.Must(template.New("index").Parse(`<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>dwell agent</title></head>
<body>
<h1>dwell agent {{.Version}}</h1>
<p>{{if .Ready}}{{.Ready}}{{else}}Traces pings in {{.NetNS}} network namespaces: {{.Pings}} so far, {{.Lost}} events lost.{{end}}</p>
<ul>
<li><a href="metrics">metrics</a></li>
<li><a href="livez">livez</a></li>
<li><a href="readyz">readyz</a></li>
</ul>
</body>
</html>
`))

func (v view) index(w http.ResponseWriter, _ *http.Request) {
	h := v.health()
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	err := indexPage.Execute(w, struct {
		Version     string
		Ready       error
		NetNS       int
		Pings, Lost uint64
	}{v.version, h.ready(), h.agent.NetNS, h.agent.Pings(), h.agent.Lost()})
	if err != nil {
		v.log.Debug("index page", "error", err)
	}
}

// onceLog logs each error of a scrape once, because it recurs every few seconds.
type onceLog struct {
	log  *slog.Logger
	mu   sync.Mutex
	said map[string]bool
}

// maxSaid bounds what onceLog remembers.
const maxSaid = 100

// Println implements [promhttp.Logger]. A scraper that disconnects is not our error, and
// its message differs each time by the port.
func (l *onceLog) Println(v ...any) {
	for _, value := range v {
		var gone *net.OpError
		if err, ok := value.(error); ok && errors.As(err, &gone) {
			l.log.Debug("a scraper disconnected", "error", err)
			return
		}
	}
	text := fmt.Sprint(v...)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.said[text] && len(l.said) < maxSaid {
		l.said[text] = true
		l.log.Warn("metrics are incomplete", "error", text)
	}
}
