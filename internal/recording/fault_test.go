// SPDX-License-Identifier: Apache-2.0

package recording_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/recording"
)

// Wherever a recording is cut off, it gives what the live run gave until then, and says
// that it is cut off.
func TestCutOffAnywhere(t *testing.T) {
	file, want := record(t, 3, 250)
	most := 0
	for cut := 0; cut < len(file); cut += 1 + cut/15 {
		for _, tail := range []int{0, 20} { // a crash may leave zeros
			batches, _, err := replayBatches(t, io.MultiReader(bytes.NewReader(file[:cut]), bytes.NewReader(make([]byte, tail))))
			if cut < 16 && errors.Is(err, recording.ErrNotRecording) {
				continue
			}
			if !errors.Is(err, recording.ErrCutOff) && !errors.Is(err, recording.ErrDamaged) && cut > 32 {
				t.Fatalf("cut at %d: error %v", cut, err)
			}
			if len(batches) == 0 {
				continue
			}
			got := slices.Concat(batches[:len(batches)-1]...) // the last was under way
			if len(got) > len(want) {
				t.Fatalf("cut at %d: %d traces, there were %d", cut, len(got), len(want))
			}
			if diff := differ(want[:len(got)], got); diff != "" {
				t.Fatalf("cut at %d: %s", cut, diff)
			}
			most = max(most, len(got))
		}
	}
	if most < 100 {
		t.Errorf("at most %d traces: the test holds nothing", most)
	}
}

// No byte can be changed without being noticed, but for what is never read.
func TestDamageIsNoticed(t *testing.T) {
	file, _ := record(t, 4, 60)
	for i := 0; i < len(file); i += 1 + i/97 {
		file[i] ^= 0x10
		if _, _, err := replay(t, bytes.NewReader(file)); err == nil {
			t.Fatalf("byte %d was changed and nobody noticed", i)
		}
		file[i] ^= 0x10
	}
	if _, _, err := replay(t, bytes.NewReader(file)); err != nil {
		t.Fatal(err)
	}
}

func TestOpenErrors(t *testing.T) {
	file, _ := record(t, 1, 1)
	newer := bytes.Replace(file, []byte("recording 8\n"), []byte("recording 9\n"), 1)
	for _, tt := range []struct {
		name string
		r    io.Reader
		want string
	}{
		{"another format", bytes.NewReader(newer), `f: its format is version "9" and this dwell reads versions 1 to 8`},
		{"something else", strings.NewReader("hello"), "f: not a recording"},
		{"nothing", strings.NewReader(""), "f: not a recording"},
		{"no header", bytes.NewReader(file[:20]), "f: the recording is truncated"},
		{"unreadable", iotest.ErrReader(errors.New("bad disk")), "f: bad disk"},
	} {
		if _, err := recording.Open("f", tt.r); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %s...", tt.name, err, tt.want)
		}
	}
}

// A full disk is told of once, and what is not in the file is counted.
func TestFullDisk(t *testing.T) {
	for _, room := range []int{0, 20, 5000, 100_000} {
		var told []error
		disk := &fullDisk{room: room}
		w := recording.New(disk, info, func(err error) { told = append(told, err) })
		live(t, 5, 800, w)
		err := w.Close()
		if !errors.Is(err, errFull) || !errors.Is(errors.Join(told...), errFull) || len(told) != 1 {
			t.Fatalf("Close: %v; told: %v", err, told)
		}
		_, summary, err := replay(t, &disk.b)
		if room > 4096 && !errors.Is(err, recording.ErrCutOff) {
			t.Errorf("replay: %v", err)
		}
		if s := w.Stats(); s.Lost == 0 || s.Events != summary.Events || s.Bytes != int64(room) {
			t.Errorf("%+v; in the file are %d events", s, summary.Events)
		}
	}
}

var errFull = errors.New("no space left")

// fullDisk has room for so many bytes.
type fullDisk struct {
	b    bytes.Buffer
	room int
}

func (d *fullDisk) Write(p []byte) (int, error) {
	n := min(len(p), d.room-d.b.Len())
	d.b.Write(p[:n])
	if n < len(p) {
		return n, errFull
	}
	return n, nil
}

func (*fullDisk) Close() error { return nil }

// FuzzReplay gives the reader chunks with a right checksum and anything in them.
func FuzzReplay(f *testing.F) {
	file, _ := record(f, 1, 3)
	f.Add(file)
	f.Fuzz(func(_ *testing.T, data []byte) {
		for _, b := range [][]byte{data, mended(data)} {
			if r, err := recording.Open("f", bytes.NewReader(b)); err == nil {
				_, _ = r.Replay(recording.Sink{
					Traces: func([]*trace.Trace) error { return nil },
					Event:  func(*event.Event, correlate.Resolver) error { return nil },
				})
			}
		}
	})
}

// mended sets the checksums of what look like chunks.
func mended(data []byte) []byte {
	data = bytes.Clone(data)
	_, rest, _ := bytes.Cut(data, []byte("\n"))
	for len(rest) > 8 {
		size := min(int(binary.LittleEndian.Uint32(rest)), len(rest)-8)
		binary.LittleEndian.PutUint32(rest, uint32(size))
		binary.LittleEndian.PutUint32(rest[4:], crc32.Checksum(rest[8:8+size], crc32.MakeTable(crc32.Castagnoli)))
		rest = rest[8+size:]
	}
	return data
}
