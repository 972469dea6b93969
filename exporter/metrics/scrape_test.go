// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// TestScrapeDoesNotHoldUpRecord has a scrape stand still while series come and go: the
// agent's loop must not wait for whoever reads.
func TestScrapeDoesNotHoldUpRecord(t *testing.T) {
	c := newClock()
	r, _ := newRecorder(t, Options{Expire: time.Hour, now: c.read})
	for i := range 3 {
		r.Record(through(fmt.Sprint("old", i)), true)
	}
	scrape, collected := make(chan prometheus.Metric), make(chan struct{})
	go func() {
		defer close(collected)
		r.Collect(scrape)
		close(scrape)
	}()
	<-scrape // it is under way

	c.now = c.now.Add(2 * time.Hour)
	recorded := make(chan struct{})
	go func() {
		defer close(recorded)
		r.Record(through("new"), true) // removes the old series, and makes one
	}()
	select {
	case <-recorded:
	case <-time.After(10 * time.Second):
		t.Error("Record waits for the end of a scrape")
	}
	shown := 1
	for range scrape {
		shown++
	}
	<-collected
	<-recorded
	if shown < 3 {
		t.Errorf("the scrape shows %d series, want those of its beginning", shown)
	}
}
