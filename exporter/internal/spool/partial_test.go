// SPDX-License-Identifier: Apache-2.0

package spool_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/internal/spool"
	"github.com/dwelltrace/dwell/internal/check/disktest"
)

// TestWrittenInPart: of a batch for which the disk has too little room, nothing stays on
// it, wherever it was to go.
func TestWrittenInPart(t *testing.T) {
	for name, write := range map[string]func(*spool.Spool, spool.Batch) error{
		"held": (*spool.Spool).Hold, "appended": (*spool.Spool).Append,
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(disktest.Small(t, "128k"), "spool")
			s := open(t, dir, 0)
			b := batch(1, 200_000)
			s.Accept(b.Count)
			if err := write(s, b); !errors.Is(err, spool.ErrDisk) || !s.Failing() {
				t.Errorf("%v; failing is %v", err, s.Failing())
			}
			if used, _ := usage(t, dir); s.Stats().SpoolBytes != used || used != 4096 {
				t.Errorf("%d bytes are used, and said to be %d", used, s.Stats().SpoolBytes)
			}
			small := batch(2, 50_000) // has room
			add(t, s, small)
			if s.Failing() || s.Stats().Spooled != small.Count {
				t.Errorf("failing is %v: %+v", s.Failing(), s.Stats())
			}
		})
	}
}

// TestNoRoomForASegment: where not even the header of a segment has room, no file is left
// that looks like one.
func TestNoRoomForASegment(t *testing.T) {
	disk := disktest.Small(t, "64k")
	dir, filler := filepath.Join(disk, "spool"), filepath.Join(disk, "filler")
	s := open(t, dir, 0)
	if err := os.WriteFile(filler, make([]byte, 64<<10), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	b := batch(1, 10)
	s.Accept(b.Count)
	for range 2 {
		if err := s.Append(b); !errors.Is(err, spool.ErrDisk) || !s.Failing() {
			t.Errorf("%v; failing is %v", err, s.Failing())
		}
	}
	if _, segments := usage(t, dir); segments != 0 || !s.Empty() || s.Stats().Queued != b.Count {
		t.Errorf("%d segments; %+v", segments, s.Stats())
	}
	if err := errors.Join(os.Remove(filler), s.Append(b)); err != nil || s.Failing() {
		t.Errorf("with room: %v; failing is %v", err, s.Failing())
	}
	if got := s.Take(); got.Count != b.Count {
		t.Errorf("took %v", got.Count)
	}
	s.Settle(b.Count, exporter.Count{}, "")
}
