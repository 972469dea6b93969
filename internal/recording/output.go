// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"io"
	"sync/atomic"
)

// queued is how many chunks may wait to be written: 4 MiB.
const queued = 64

// output writes chunks in a goroutine of its own.
type output struct {
	w      io.WriteCloser
	failed func(error)
	queue  chan chunk
	free   chan []byte
	done   chan struct{}
	lost   atomic.Uint64
	bytes  atomic.Int64
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
	}
	go o.run()
	return o
}

// write takes over a chunk, and returns memory for another.
func (o *output) write(b []byte, events uint64) []byte {
	o.queue <- chunk{b, events}
	select {
	case b := <-o.free:
		return b
	default:
		return make([]byte, 0, chunkSize+chunkSize/8)
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
	if o.failed != nil {
		o.failed(err)
	}
}

func (o *output) stats() (lost uint64, bytes int64) { return o.lost.Load(), o.bytes.Load() }

// close writes what is queued and closes the file.
func (o *output) close() error {
	close(o.queue)
	<-o.done
	if err := o.w.Close(); o.err == nil {
		o.err = err
	}
	return o.err
}
