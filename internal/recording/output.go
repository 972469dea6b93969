// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// queued is how many chunks may wait to be written: 4 MiB.
const queued = 64

// stallTimeout is how long a write may block before the file is given up: a pipe without
// a reader must not stop the tracing.
const stallTimeout = 5 * time.Second

var errStuck = errors.New("it is blocked")

// output writes chunks in a goroutine of its own.
type output struct {
	w      io.WriteCloser
	failed func(error)
	queue  chan chunk
	free   chan []byte
	done   chan struct{}
	lost   atomic.Uint64
	bytes  atomic.Int64
	// stuck is set once the file was given up, and ending if the write under way was
	// cancelled; only the caller of write reads them.
	stuck        bool
	ending       bool
	stallTimeout time.Duration
	tell         sync.Once
	// err is the first error; it may be read once done is closed.
	err error
}

// chunk is a sealed chunk with some events in it.
type chunk struct {
	b      []byte
	events uint64
}

func newOutput(w io.WriteCloser, failed func(error)) *output {
	o := &output{
		w: w, failed: failed,
		queue: make(chan chunk, queued), free: make(chan []byte, queued), done: make(chan struct{}),
		stallTimeout: stallTimeout,
	}
	go o.run()
	return o
}

// write takes over a chunk, and returns memory for another. It waits for room no longer than
// stallTimeout, and after that never again.
func (o *output) write(b []byte, events uint64) []byte {
	if !o.enqueue(chunk{b, events}) {
		o.lost.Add(events)
		return b[:0]
	}
	select {
	case b := <-o.free:
		return b
	default:
		return make([]byte, 0, chunkSize+chunkSize/8)
	}
}

func (o *output) enqueue(c chunk) bool {
	if o.stuck {
		return false
	}
	select {
	case o.queue <- c:
		return true
	default:
	}
	timer := time.NewTimer(o.stallTimeout)
	defer timer.Stop()
	select {
	case o.queue <- c:
		return true
	case <-timer.C:
		o.giveUp()
		return false
	}
}

// giveUp ends a write that is under way, if the file is one with which that can be done,
// such as a pipe.
func (o *output) giveUp() {
	o.stuck = true
	o.fail(errStuck)
	if f, ok := o.w.(interface{ SetWriteDeadline(t time.Time) error }); ok {
		o.ending = f.SetWriteDeadline(time.Now()) == nil // a regular file has no deadlines
	}
}

// fail reports the first error.
func (o *output) fail(err error) {
	if o.failed != nil {
		o.tell.Do(func() { o.failed(err) })
	}
}

// run writes until the queue is closed. After an error it only counts: a chunk that
// was written in part must be the last.
func (o *output) run() {
	defer close(o.done)
	for c := range o.queue {
		if o.err == nil {
			o.put(c.b)
		}
		if o.err != nil {
			o.lost.Add(c.events)
		}
		select {
		case o.free <- c.b:
		default:
		}
	}
}

func (o *output) put(b []byte) {
	n, err := o.w.Write(b)
	o.bytes.Add(int64(n))
	if err == nil {
		return
	}
	o.err = err
	o.fail(err)
}

func (o *output) stats() (lost uint64, bytes int64) { return o.lost.Load(), o.bytes.Load() }

// close writes what is queued and closes the file. One that takes nothing is given up; then
// the goroutine may stay in a write that cannot be ended.
func (o *output) close() error {
	close(o.queue)
	if !o.stuck && !o.finished() {
		o.giveUp()
	}
	if o.stuck && !o.ended() {
		return errStuck
	}
	if err := o.w.Close(); o.err == nil {
		o.err = err
	}
	if o.stuck {
		return errStuck
	}
	return o.err
}

// ended waits until the goroutine has ended and everything is counted: without limit if
// its write was cancelled, which may take long on a busy machine but is certain.
func (o *output) ended() bool {
	var limit <-chan time.Time
	if !o.ending {
		timer := time.NewTimer(o.stallTimeout)
		defer timer.Stop()
		limit = timer.C
	}
	select {
	case <-o.done:
		return true
	case <-limit:
		return false
	}
}

// finished waits until everything is written, while writes make progress.
func (o *output) finished() bool {
	ticker := time.NewTicker(o.stallTimeout)
	defer ticker.Stop()
	for before := o.bytes.Load(); ; {
		select {
		case <-o.done:
			return true
		case <-ticker.C:
			now := o.bytes.Load()
			if now == before {
				return false
			}
			before = now
		}
	}
}
