// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/correlate/event"
)

// flushAfter is how old, in nanoseconds, what is not yet in the file may become while
// events come in. That much a killed program takes with it.
const flushAfter = 1e9

// Writer writes a recording. Its methods cost some tens of nanoseconds: they fill a
// chunk in memory, and a goroutine writes whole chunks. If the disk cannot keep up
// they wait; events then wait in the kernel's ring buffer, which counts what it has
// no room for. After a failed write, or when nothing was taken for 5 s, they only count.
//
// One goroutine at a time may use a Writer.
type Writer struct {
	info Info
	out  *output
	// chunk is being filled, events of it are events, and prev is the last of them.
	chunk  []byte
	events uint64
	prev   event.Event
	// total is the number of all events.
	total uint64
	// sealed is the time of the last call of Advance at which a chunk was finished.
	sealed uint64
	// advanced is the time of a call of Advance that is not yet written, or 0; while
	// nothing else happens only the last is of interest.
	advanced uint64
	lossy    bool
	names    memory
	begun    bool
}

// Create creates the file at path, or empties it, for its owner to read only: it has
// addresses and payloads in it. The caller must call Close. failed is called at most
// once, from a goroutine of the Writer, when the file cannot be written to.
func Create(path string, info Info, failed func(error)) (*Writer, error) {
	// Without O_NONBLOCK a pipe without a reader would block, here and at each write.
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|unix.O_NONBLOCK, 0o600)
	if errors.Is(err, unix.ENXIO) {
		return nil, fmt.Errorf("cannot write the recording: no process is reading the pipe %s: start the reader first (--record)", path)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot write the recording: %w (--record)", err)
	}
	return New(f, info, failed), nil
}

// New returns a Writer to w, which it closes.
func New(w io.WriteCloser, info Info, failed func(error)) *Writer {
	return &Writer{
		info: info, out: newOutput(w, failed), chunk: beginChunk(nil, recordsChunk), names: newMemory(),
	}
}

// Stats says what became of the events so far.
type Stats struct {
	// Events were recorded. The last of them may not be in the file yet.
	Events uint64
	// Lost events are not in the file because it could not be written.
	Lost uint64
	// Bytes is the size of the file.
	Bytes int64
}

// Stats returns what became of the events so far.
func (w *Writer) Stats() Stats {
	lost, bytes := w.out.stats()
	return Stats{Events: w.total - lost, Lost: lost, Bytes: bytes}
}

// Close ends the recording and closes the file. Its error is the first of all writes.
func (w *Writer) Close() error {
	w.settle()
	w.seal()
	if w.begun {
		b := beginChunk(nil, endChunk)
		b = binary.AppendUvarint(b, w.total)
		sealChunk(b)
		w.out.write(b, 0)
	}
	err := w.out.close()
	if lost := w.Stats().Lost; lost > 0 {
		err = errors.Join(err, fmt.Errorf("%d of %d events are not in the recording", lost, w.total))
	}
	if err != nil {
		return fmt.Errorf("write the recording: %w", err)
	}
	return nil
}

// begin writes the header.
func (w *Writer) begin(h Header) {
	w.begun = true
	b := append(beginChunk(nil, headerChunk), h.encode()...)
	sealChunk(b)
	w.out.write(append(firstLine(), b...), 0)
}

// event records a call of Add.
func (w *Writer) event(ev *event.Event) {
	w.settle()
	w.chunk = appendEvent(w.chunk, &w.prev, ev)
	w.prev = *ev
	w.events++
	w.total++
	w.sealIfFull()
}

// record appends a record of integers.
func (w *Writer) record(op opcode, fields ...uint64) {
	w.settle()
	w.chunk = append(w.chunk, byte(op))
	for _, f := range fields {
		w.chunk = binary.AppendUvarint(w.chunk, f)
	}
	w.sealIfFull()
}

// advance records a call of Advance, or remembers it if nothing was lost: while no trace
// results from it, the next call includes it.
func (w *Writer) advance(now uint64) {
	if w.lossy {
		w.settle()
	}
	w.advanced = now
	if w.sealed == 0 {
		w.sealed = now
	}
	if len(w.chunk) > frame+1 && now >= w.sealed+flushAfter {
		w.settle()
		w.seal()
		w.sealed = now
	}
}

// settle writes the call of Advance that is remembered.
func (w *Writer) settle() {
	if w.advanced == 0 {
		return
	}
	w.chunk = binary.AppendUvarint(append(w.chunk, byte(opAdvance)), w.advanced)
	w.advanced = 0
}

// LeaveOut records that trace number i, from 0, of those finished since the last Send is
// not sent on by the next.
func (w *Writer) LeaveOut(i int) { w.record(opLeaveOut, uint64(i)) }

// SetThreshold records that the ping of trace number i, from 0, of those finished since the last Send has
// passed a threshold that its events do not say: see [trace.Trace.Threshold].
func (w *Writer) SetThreshold(i int, threshold uint64) { w.record(opThreshold, uint64(i), threshold) }

// Send records that the traces finished since the last time were moved by offset
// nanoseconds to the wall clock, and that the first sent of them, of finished, were
// sent on, but for those of LeaveOut.
func (w *Writer) Send(offset int64, finished, sent int) {
	if finished == 0 {
		return
	}
	w.settle()
	w.chunk = binary.AppendVarint(append(w.chunk, byte(opSend)), offset)
	w.chunk = binary.AppendUvarint(w.chunk, uint64(finished-sent))
	w.sealIfFull()
}

func (w *Writer) sealIfFull() {
	if len(w.chunk) >= chunkSize {
		w.seal()
	}
}

// seal hands the chunk on and begins another.
func (w *Writer) seal() {
	if len(w.chunk) == frame+1 {
		return
	}
	sealChunk(w.chunk)
	w.chunk = beginChunk(w.out.write(w.chunk, w.events), recordsChunk)
	w.events, w.prev = 0, event.Event{}
}
