// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// Reader reads a recording.
type Reader struct {
	name   string
	chunks chunks
	header Header
	// options are those of the correlator.
	options correlate.Options
}

// Open reads the header of a recording, which is called name in errors. They are
// ErrNotRecording, ErrCutOff or ErrDamaged where one of these is the cause.
func Open(name string, r io.Reader) (*Reader, error) {
	in := &Reader{name: name, chunks: chunks{r: bufio.NewReaderSize(r, chunkSize)}}
	if err := in.readHeader(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return in, nil
}

func (r *Reader) readHeader() error {
	if err := r.chunks.readFirstLine(); err != nil {
		return err
	}
	kind, contents, err := r.chunks.next()
	if err != nil {
		return err
	}
	if kind != headerChunk {
		return fmt.Errorf("%w: no header", ErrDamaged)
	}
	if err := json.Unmarshal(contents, &r.header); err != nil {
		return fmt.Errorf("%w: header: %w", ErrDamaged, err)
	}
	if r.chunks.version < 3 { // which did not say
		r.header.Correlator.Wall = r.header.Offset
	}
	r.options, err = r.header.Correlator.correlate()
	if err != nil {
		return fmt.Errorf("%w: header: %w", ErrDamaged, err)
	}
	return nil
}

// Header returns what the recording says of itself.
func (r *Reader) Header() Header { return r.header }

// Sink takes what a recording is made of. A field that is nil takes nothing; an error
// of one that is not ends the replay and is returned.
type Sink struct {
	// Traces takes the traces that were sent on together, on the wall clock.
	Traces func([]*trace.Trace) error
	// Event takes an event, which must not be kept, and the names that were known then.
	Event func(*event.Event, correlate.Resolver) error
}

// Summary is what a replay saw.
type Summary struct {
	Events, Traces uint64
	Correlator     correlate.Stats
}

// Replay gives everything to a correlator as it was recorded, and what comes of it to
// the sink. It may be called once.
//
// With ErrCutOff or ErrDamaged, what comes before was replayed; pings that were under
// way then are closed as incomplete, agent_stopped.
func (r *Reader) Replay(sink Sink) (Summary, error) {
	p := newPlayer(r.chunks.version, r.header, r.options, sink)
	err := r.play(p)
	if errors.Is(err, ErrCutOff) || errors.Is(err, ErrDamaged) {
		p.correlator.Flush()
		err = fmt.Errorf("%w; the %d events before were replayed", err, p.summary.Events)
		err = errors.Join(err, p.send(p.offset, 0))
	}
	p.summary.Correlator = p.correlator.Stats()
	if err != nil {
		return p.summary, fmt.Errorf("%s: %w", r.name, err)
	}
	return p.summary, nil
}

// play plays chunks until the recording's end.
func (r *Reader) play(p *player) error {
	for {
		before := r.chunks.offset
		kind, contents, err := r.chunks.next()
		if err != nil {
			return err
		}
		d := &decoder{b: contents, version: r.chunks.version}
		switch kind {
		case recordsChunk:
			if err := p.play(d); err != nil {
				return err
			}
		case endChunk:
			if n := d.uvarint(); d.err == nil && n != p.summary.Events {
				d.fail(fmt.Errorf("%d events, %d were recorded", p.summary.Events, n))
			}
		default:
			d.fail(fmt.Errorf("a chunk of kind %q", kind))
		}
		if d.err != nil {
			return fmt.Errorf("%w: %w, in the chunk after byte %d", ErrDamaged, d.err, before)
		}
		if kind == endChunk {
			return nil
		}
	}
}
