// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// blocking is a gatherer that waits until the test lets it go on.
type blocking struct{ entered, release chan struct{} }

func (b blocking) Gather() ([]*dto.MetricFamily, error) {
	b.entered <- struct{}{}
	<-b.release
	return nil, nil
}

// serving returns a server of what v shows, at any port.
func serving(t *testing.T, v view) *server {
	t.Helper()
	v.log, v.scraped = quiet(), func() bool { return true }
	if v.health == nil {
		v.health = func() health { return health{} }
	}
	s, err := serve(parse(t, "http: {listen: \"127.0.0.1:0\"}\n"), v)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // whatever is still open
		s.shutdown(ctx)
	})
	return s
}

// Where it listens is in the file; that somebody else is there says where to change it.
func TestServe(t *testing.T) {
	if s, err := serve(parse(t, "http: {listen: \"\"}\n"), view{}); s != nil || err != nil {
		t.Errorf("nowhere: %v, %v", s, err)
	}
	s := serving(t, view{metrics: prometheus.NewRegistry()})
	taken := fmt.Sprintf("http: {listen: %q}\n", s.addr)
	if _, err := serve(parse(t, taken), view{log: quiet()}); err == nil {
		t.Error("two listen at the same address")
	} else {
		says(t, err.Error(), "f:1", "http.listen", "in use", "DWELL_HTTP_LISTEN", s.addr.String())
	}
	var none *server
	none.shutdown(t.Context()) // is allowed
}

// Each page is for GET and HEAD alone, and no probe's answer is kept by a cache.
func TestMethods(t *testing.T) {
	now := time.Now()
	v := view{
		metrics: prometheus.NewRegistry(), scraped: func() bool { return true }, log: quiet(),
		health: func() health { return health{phase: running, began: now, now: now} },
	}
	for _, path := range []string{"/", "/metrics", "/livez", "/readyz"} {
		for method, want := range map[string]int{
			http.MethodGet: http.StatusOK, http.MethodHead: http.StatusOK, http.MethodPost: http.StatusMethodNotAllowed,
			http.MethodPut: http.StatusMethodNotAllowed, http.MethodDelete: http.StatusMethodNotAllowed,
		} {
			w := httptest.NewRecorder()
			v.handler().ServeHTTP(w, httptest.NewRequest(method, path, http.NoBody))
			if w.Code != want {
				t.Errorf("%s %s: %d, want %d", method, path, w.Code, want)
			}
			if probe := strings.HasSuffix(path, "z"); probe && want == http.StatusOK &&
				(w.Header().Get("Cache-Control") != "no-store" || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain")) {
				t.Errorf("%s %s: %v", method, path, w.Header())
			}
		}
	}
}

// A client that never says what it wants does not keep a connection for good.
func TestTimeouts(t *testing.T) {
	s := serving(t, view{metrics: prometheus.NewRegistry()}).http
	for what, limit := range map[string]time.Duration{
		"header": s.ReadHeaderTimeout, "answer": s.WriteTimeout, "idle": s.IdleTimeout,
	} {
		if limit <= 0 || limit > 5*time.Minute {
			t.Errorf("%s: %v", what, limit)
		}
	}
}

// So many scrapes are answered at the same time and no more, for they cost memory.
func TestScrapesAreBounded(t *testing.T) {
	b := blocking{make(chan struct{}), make(chan struct{})}
	s := serving(t, view{metrics: b})
	url := "http://" + s.addr.String() + "/metrics"
	codes := make(chan int, scrapes)
	for range scrapes {
		go func() { codes <- statusOf(url) }()
		<-b.entered
	}
	more := make(chan int, 1)
	go func() { more <- statusOf(url) }()
	select {
	case code := <-more:
		if code != http.StatusServiceUnavailable {
			t.Errorf("one too many: %d", code)
		}
	case <-b.entered:
		t.Error("one too many is answered")
	}
	close(b.release)
	for range scrapes {
		if code := <-codes; code != http.StatusOK {
			t.Errorf("a scrape: %d", code)
		}
	}
}

// statusOf fetches a page with a connection of its own; 0 is no answer.
func statusOf(url string) int {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url) //nolint:noctx // the server ends it
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return 0
	}
	return resp.StatusCode
}

// The end waits for an answer that is under way, and cuts it off when the time is over.
func TestEndOfTheServer(t *testing.T) {
	for name, patient := range map[string]bool{"waits": true, "cuts off": false} {
		t.Run(name, func(t *testing.T) {
			b := blocking{make(chan struct{}), make(chan struct{})}
			s := serving(t, view{metrics: b})
			code := make(chan int, 1)
			go func() { code <- statusOf("http://" + s.addr.String() + "/metrics") }()
			<-b.entered
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				s.shutdown(ctx)
			}()
			<-s.done // does not listen any more
			if patient {
				close(b.release)
				if got := <-code; got != http.StatusOK {
					t.Errorf("the answer: %d", got)
				}
				<-ended
				return
			}
			cancel()
			<-ended
			if got := <-code; got != 0 {
				t.Errorf("the answer: %d", got)
			}
			close(b.release)
		})
	}
}

// What the scraper asks for is what it gets.
func TestScrapeFormats(t *testing.T) {
	registry := prometheus.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "c_total", Help: "h"})
	registry.MustRegister(counter)
	v := view{metrics: registry, scraped: func() bool { return true }, log: quiet()}
	for accept, want := range map[string]string{
		"": "# TYPE c_total counter\nc_total 0\n",
		"application/openmetrics-text;version=1.0.0": "# TYPE c counter\nc_total 0.0\n# EOF\n",
	} {
		req := httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody)
		req.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		v.handler().ServeHTTP(w, req)
		if _, text, _ := strings.Cut(w.Body.String(), "h\n"); text != want {
			t.Errorf("%q: %q", accept, w.Body)
		}
	}
}

// Neither a client that sends garbage nor a normal end is logged.
func TestServerIsQuiet(t *testing.T) {
	log := &logBuffer{}
	v := view{metrics: prometheus.NewRegistry(), scraped: func() bool { return true }, log: newLogger(log)}
	s, err := serve(parse(t, "http: {listen: \"127.0.0.1:0\"}\n"), v)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", s.addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "garbage\r\n\r\n")
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, "400") {
		t.Errorf("to garbage: %q, %v", line, err)
	}
	if log.String() != "" {
		t.Errorf("a client's mistake is logged:\n%s", log)
	}
	s.shutdown(t.Context())
	if log.String() != "" {
		t.Errorf("a normal end is logged:\n%s", log)
	}
}

// An error that is another each time does not fill the memory, nor the log.
func TestManyScrapeErrors(t *testing.T) {
	log := &logBuffer{}
	l := &onceLog{log: newLogger(log), said: map[string]bool{}}
	for n := range 3 * maxSaid {
		l.Println("error gathering metrics:", n)
	}
	if lines := strings.Count(log.String(), "\n"); lines != maxSaid || len(l.said) != maxSaid {
		t.Errorf("%d are logged and %d remembered, want %d", lines, len(l.said), maxSaid)
	}
}
