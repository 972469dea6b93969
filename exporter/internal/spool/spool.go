// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/internal/notice"
)

// Options of a spool.
type Options struct {
	exporter.Spool
	// Logger gets one record when the disk begins to fail and one when it recovers, and
	// one about what the previous user of the spool left; nil discards.
	Logger *slog.Logger
}

// Spool is an open spool. Its methods may be called concurrently.
type Spool struct {
	dir  string
	max  int64
	log  *slog.Logger
	lock *os.File

	// mu guards the account. It is never held while something is written: Export must not
	// wait for the disk. The fields of the account that say what is in the files change
	// only with io held, too.
	mu      sync.Mutex
	account account
	// changes is how often the account has changed.
	changes uint64
	closed  bool
	// writer is set when the files are open; from then on only it uses file. It is nil while
	// there are none.
	writer *accountWriter
	file   accountFile
	// held is the count of the batch in flight if that is on disk outside of segments.
	held exporter.Count
	// ages says how old what is on disk is.
	ages ages

	// size is what the spool takes on disk.
	size atomic.Int64

	// io guards what follows. It is locked before mu.
	io       sync.Mutex
	segments []segment
	// write is the last segment if it is still written to.
	write *os.File
	read  cursor
	slot  slot
	// place is the number of the record that was next when the batch in flight came: older
	// ones have lower numbers. It is 0 for one that an earlier process has left.
	place uint64
	// segmentBytes is the size at which the next segment begins.
	segmentBytes int64
	// uncounted is the last record that was found and not in the account: the earlier
	// process died before it was counted.
	uncounted header
	// start is the account when the spool was opened; Stats counts from there.
	start account
	// opener is set if the files could not be opened at once.
	opener *opener
	// What was logged as bad and is not yet well again.
	failing, full, unaccounted, unopened, missing notice.State
}

// Open makes the directory if need be, takes it for this process and works out what
// an earlier one has left behind. The error says what the user should do.
func Open(o Options) (*Spool, error) {
	o.Spool = o.Spool.WithDefaults()
	s, err := open(o)
	if err != nil {
		return nil, fmt.Errorf("the spool %s cannot be used: %w", o.Dir, err)
	}
	s.writer = startAccountWriter(s.commit)
	return s, nil
}

const (
	segmentsPerSpool = 16
	maxSegmentBytes  = 16 << 20
)

// unopened returns a spool without files.
func unopened(o Options) *Spool {
	s := &Spool{dir: o.Dir, max: o.MaxBytes, log: o.Logger, segmentBytes: min(o.MaxBytes/segmentsPerSpool, maxSegmentBytes)}
	s.account, s.start = emptyAccount(), emptyAccount()
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.log = s.log.With("spool", o.Dir)
	return s
}

// open opens the files. Nothing writes the account yet.
func open(o Options) (_ *Spool, err error) {
	if err := os.MkdirAll(o.Dir, directoryMode); err != nil {
		return nil, err
	}
	s := unopened(o)
	defer func() {
		if err != nil {
			_ = s.closeFiles() // the first error is the one to return
		}
	}()
	if s.lock, err = lockDirectory(o.Dir); err != nil {
		return nil, err
	}
	if s.file.file, err = s.openFile("account"); err != nil {
		return nil, err
	}
	if s.slot.file, err = s.openFile("inflight"); err != nil {
		return nil, err
	}
	if err := s.recover(); err != nil {
		return nil, err
	}
	s.measure()
	return s, nil
}

func (s *Spool) openFile(name string) (*os.File, error) {
	return os.OpenFile(filepath.Join(s.dir, name), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, fileMode)
}

// commit writes the account, and returns the last change that is in it. If that fails,
// which takes a disk that is broken or one that copies on write and is full, traces are
// still sent, and a kill would be counted wrongly.
func (s *Spool) commit() (change uint64) {
	s.mu.Lock()
	err := s.file.encode(&s.account)
	change = s.changes
	s.mu.Unlock()
	if err == nil {
		err = s.file.write()
	}
	switch tell := s.unaccounted.Set(err != nil); {
	case tell && err != nil:
		s.log.Warn("cannot write the account of the spool; what a kill would lose is not counted", "error", err)
	case tell:
		s.log.Info("writes of the spool's account recovered")
	}
	return change
}

// update changes the account and waits until it is written.
func (s *Spool) update(change func(*account)) { s.change(change, false) }

// updateSoon is update for those who must not wait for a disk that stalls.
func (s *Spool) updateSoon(change func(*account)) { s.change(change, true) }

func (s *Spool) change(change func(*account), short bool) {
	s.mu.Lock()
	change(&s.account)
	s.changes++
	n, closed, writer := s.changes, s.closed, s.writer
	s.mu.Unlock()
	if !closed && writer != nil { // once closed, the account on disk belongs to another process
		writer.wait(n, short)
	}
}

// Accept takes responsibility for traces that wait in memory.
func (s *Spool) Accept(c exporter.Count) {
	s.updateSoon(func(a *account) { a.accepted = a.accepted.Plus(c) })
}

// Refuse counts traces that were never taken over.
func (s *Spool) Refuse(cause exporter.Cause, c exporter.Count) {
	s.updateSoon(func(a *account) {
		a.accepted = a.accepted.Plus(c)
		a.lose(cause, c)
	})
}

// Lose counts traces that were waiting in memory.
func (s *Spool) Lose(cause exporter.Cause, c exporter.Count) {
	s.update(func(a *account) { a.lose(cause, c) })
}

// Settle ends a sending: of its batch, lost was lost and all else was received.
func (s *Spool) Settle(batch, lost exporter.Count, cause exporter.Cause) {
	s.SettleAll(batch, map[exporter.Cause]exporter.Count{cause: lost})
}

// SettleAll is Settle for losses of several causes.
func (s *Spool) SettleAll(batch exporter.Count, lost map[exporter.Cause]exporter.Count) {
	s.io.Lock()
	defer s.io.Unlock()
	defer s.measure()
	s.update(func(a *account) {
		a.settle(batch, lost)
		a.inflight, s.held = 0, exporter.Count{}
		s.ages.inFlight = time.Time{}
		s.release(a)
	})
	s.removeRead() // if it was sent from its segment
}

// Failing reports whether the disk took no more when it was last asked, or the files cannot
// be opened.
func (s *Spool) Failing() bool { return s.failing.On() || s.missing.On() }

// Empty reports whether no record is waiting. The batch in flight is none.
func (s *Spool) Empty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.account.written == s.account.taken
}

// Stats returns what became of the traces that were taken over since Open, and of
// those that waited then.
func (s *Spool) Stats() exporter.Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := exporter.Stats{
		Sent:       s.account.sent.Minus(s.start.sent),
		Queued:     s.account.waiting(),
		Spooled:    s.account.written.Minus(s.account.taken).Plus(s.held),
		SpoolBytes: s.size.Load(),
		Recovered:  s.start.waiting(),
		Lost:       make(map[exporter.Cause]exporter.Count),
	}
	stats.OldestSpooled = s.ages.oldest(s.account.first, s.account.written != s.account.taken)
	stats.Oldest = stats.OldestSpooled
	if s.Failing() {
		stats.SpoolsFailing = 1
	}
	for cause, c := range s.account.lost {
		if d := c.Minus(s.start.lost[cause]); d != (exporter.Count{}) {
			stats.Lost[cause] = d
		}
	}
	return stats
}

// Lifetime returns what became of all traces since the directory was made, over all
// processes that have used it.
func (s *Spool) Lifetime() exporter.Stats {
	stats := s.Stats()
	s.mu.Lock()
	defer s.mu.Unlock()
	stats.Sent, stats.Recovered, stats.Lost = s.account.sent, exporter.Count{}, maps.Clone(s.account.lost)
	return stats
}

// Close releases the directory. What waits stays there.
func (s *Spool) Close() error {
	s.opener.end()
	s.io.Lock()
	defer s.io.Unlock()
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	if closed {
		return nil
	}
	if s.writer == nil {
		return nil
	}
	s.writer.end()
	return s.closeFiles()
}

func (s *Spool) closeFiles() error {
	var errs []error
	s.read.close()
	for _, f := range []*os.File{s.write, s.slot.file, s.file.file} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	s.write = nil
	if s.lock != nil {
		errs = append(errs, unlockDirectory(s.lock))
	}
	return errors.Join(errs...)
}
