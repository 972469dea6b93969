// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/dwelltrace/dwell/internal/backend/api"
)

// silence is how long a stream may say nothing to somebody who waits before it is taken for
// dead.
const silence = 3 * api.HeartbeatInterval

// Stream is traces as they are finished.
type Stream struct {
	body   io.ReadCloser
	lines  *bufio.Reader
	cancel context.CancelCauseFunc
	ctx    context.Context //nolint:containedctx // it is the request's, whose body this is
	timer  *time.Timer
	buf    []byte
}

// errSilent is why a stream is given up.
var errSilent = errors.New("the agent has said nothing for " + silence.String())

// Traces begins a stream of a tenant's traces. It ends with ctx, or when it is closed, which
// it must be.
func (c *Client) Traces(ctx context.Context, id string, o StreamOptions) (*Stream, error) {
	path, err := pathOf(id, "/traces")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	resp, err := c.do(ctx, path, o.query()) //nolint:bodyclose // Stream.Close does
	if err != nil {
		cancel(nil)
		return nil, err
	}
	return newStream(ctx, resp.Body, cancel), nil
}

func newStream(ctx context.Context, body io.ReadCloser, cancel context.CancelCauseFunc) *Stream {
	s := &Stream{body: body, lines: bufio.NewReaderSize(body, 64<<10), cancel: cancel, ctx: ctx}
	s.timer = time.AfterFunc(silence, func() { cancel(errSilent) })
	s.timer.Stop() // until somebody waits
	return s
}

// noteStart is how every line with a note begins.
var noteStart = []byte(`{"resourceSpans":[],"dwell":`)

// Next returns the next line: one of OTLP/JSON, for package otlpread, which is valid until
// the next call; or a note. After the note that is the end, or if the connection is lost,
// there is an error: io.EOF after the former.
func (s *Stream) Next() (line []byte, note *api.Note, err error) {
	s.timer.Reset(silence) // whoever is slow to ask must not take that for the agent's silence
	line, err = s.read()
	s.timer.Stop()
	if err != nil {
		return nil, nil, s.why(err)
	}
	if !bytes.HasPrefix(line, noteStart) {
		return line, nil, nil
	}
	var l api.Line
	if err := json.Unmarshal(line, &l); err != nil {
		return nil, nil, fmt.Errorf("the agent's stream has a line that is not a valid one: %w", err)
	}
	if l.Note == nil {
		return nil, nil, errors.New("the agent's stream has a line that is not a valid one: its note is empty")
	}
	return nil, l.Note, nil
}

// read returns a line without its newline.
func (s *Stream) read() ([]byte, error) {
	s.buf = s.buf[:0]
	for {
		part, err := s.lines.ReadSlice('\n')
		s.buf = append(s.buf, part...)
		switch {
		case err == nil:
			return s.buf[:len(s.buf)-1], nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		case len(s.buf) > maxAnswer:
			return nil, errors.New("a line is too long")
		}
	}
}

// why returns what has ended the stream.
func (s *Stream) why(err error) error {
	if cause := context.Cause(s.ctx); cause != nil {
		return cause
	}
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	return fmt.Errorf("the agent's stream broke off: %w", err)
}

// Close ends the stream.
func (s *Stream) Close() {
	s.timer.Stop()
	s.cancel(nil)
	s.body.Close()
}
