// SPDX-License-Identifier: Apache-2.0

package alerttest_test

import (
	"encoding/json"
	"net/http"
	"sync"
	"testing"
	"time"
)

// alert is one of those in Alertmanager's message
// (https://prometheus.io/docs/alerting/latest/configuration/#webhook_config).
type alert struct {
	Status      string
	Labels      map[string]string
	Annotations map[string]string
	StartsAt    time.Time
	EndsAt      time.Time
}

// webhook is where alerts end up, in place of somebody's pager.
type webhook struct {
	mu     sync.Mutex
	alerts []alert
}

func (p place) webhook(t testing.TB, address string) *webhook {
	t.Helper()
	w := &webhook{}
	server := &http.Server{Handler: w, ReadHeaderTimeout: time.Minute}
	l := p.listen(t, address)
	served := make(chan error)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Close()
		<-served
	})
	return w
}

func (w *webhook) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	var message struct{ Alerts []alert }
	if err := json.NewDecoder(r.Body).Decode(&message); err != nil {
		http.Error(out, err.Error(), http.StatusBadRequest)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.alerts = append(w.alerts, message.Alerts...)
}

// find returns the first alert in the status with all the labels that began at the time or
// later.
func (w *webhook) find(status string, since time.Time, labels map[string]string) (alert, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
next:
	for _, a := range w.alerts {
		for name, value := range labels {
			if a.Labels[name] != value {
				continue next
			}
		}
		if a.Status == status && !a.StartsAt.Before(since) {
			return a, true
		}
	}
	return alert{}, false
}

// seen returns all that came in, for a message.
func (w *webhook) seen() []alert {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]alert(nil), w.alerts...)
}
