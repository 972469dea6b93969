// SPDX-License-Identifier: Apache-2.0

package exporter

import "time"

// Queue bounds what an exporter holds back. A zero field means its default.
type Queue struct {
	// Spans is how many may wait, those being sent included; default 262,144. A
	// span takes about 300 bytes.
	Spans int
	// BatchSpans is how many spans are sent at once; default 2,048, and no more
	// than half of the queue. A batch may be larger by less than one trace.
	BatchSpans int
	// Senders is how many batches may be on their way at the same time; default 4. Each
	// waits for its answer, so that no more than so many are sent in a round trip.
	Senders int
	// Delay is how long a span may wait for its batch to fill; default 200 ms.
	Delay time.Duration
	// Wait is how long Export may wait for room before it drops traces; default 0,
	// not at all. Forever waits as long as it takes.
	Wait time.Duration
}

// Forever makes Export wait until there is room or its context is done.
const Forever time.Duration = 1<<63 - 1

// WithDefaults returns q with the defaults filled in.
func (q Queue) WithDefaults() Queue {
	if q.Spans <= 0 {
		q.Spans = 1 << 18
	}
	if q.BatchSpans <= 0 {
		q.BatchSpans = 2048
	}
	q.BatchSpans = min(q.BatchSpans, max(q.Spans/2, 1))
	if q.Senders <= 0 {
		q.Senders = 4
	}
	if q.Delay <= 0 {
		q.Delay = 200 * time.Millisecond
	}
	return q
}
