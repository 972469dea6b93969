// SPDX-License-Identifier: Apache-2.0

package otlphttp

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"sync/atomic"
)

// body is what a request sends. The HTTP client may read it more than once, if a connection
// turns out to be dead, and beyond the answer.
type body struct {
	payload []byte
	// own is set if the payload is nobody else's.
	own bool
	// readers counts those that are not closed.
	readers atomic.Int32
}

// newBody compresses the payload if it is to be. The fastest level takes a fifth off what the best one
// leaves, in a fifth of its time.
func newBody(payload []byte, compress bool) *body {
	if !compress {
		return &body{payload: payload}
	}
	var packed bytes.Buffer
	w, _ := gzip.NewWriterLevel(&packed, gzip.BestSpeed) // a level that there is
	_, _ = w.Write(payload)                              // to memory
	_ = w.Close()
	return &body{payload: packed.Bytes(), own: true}
}

func (b *body) attach(r *http.Request) {
	if b.own {
		r.Header.Set("Content-Encoding", "gzip")
	}
	r.ContentLength = int64(len(b.payload))
	r.GetBody = func() (io.ReadCloser, error) {
		b.readers.Add(1)
		return &reader{Reader: bytes.NewReader(b.payload), of: b}, nil
	}
	r.Body, _ = r.GetBody() // never fails
}

// inUse reports whether the caller's payload may still be read.
func (b *body) inUse() bool { return !b.own && b.readers.Load() > 0 }

type reader struct {
	*bytes.Reader
	of     *body
	closed atomic.Bool
}

// Close may be called more than once.
func (r *reader) Close() error {
	if !r.closed.Swap(true) {
		r.of.readers.Add(-1)
	}
	return nil
}
