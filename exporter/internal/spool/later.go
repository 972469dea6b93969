// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// OpenAnyhow is Open for those who do not want to end because of a disk: a spool that cannot
// be used is opened as soon as it can. Until then it is as one whose disk takes nothing, and
// its account is only in memory. It is then added to the one on disk, so that no trace is
// counted twice or not at all.
//
// That another spool of this process has the directory is not worth a warning for a while:
// it is just ending, and its successor waits for it here.
//
// If the disk does not answer in time, the spool is opened in the background, too.
func OpenAnyhow(o Options) *Spool { return openAnyhow(o, open) }

// openAnyhow is OpenAnyhow with what opens the files at first.
func openAnyhow(o Options, open func(Options) (*Spool, error)) *Spool {
	o.Spool = o.WithDefaults()
	first := make(chan attempt, 1)
	go func() {
		s, err := open(o)
		first <- attempt{s, err}
	}()
	s, err := within(first, patience)
	if s != nil {
		s.writer = startAccountWriter(s.commit)
		return s
	}
	s = unopened(o)
	s.opener = &opener{
		options: o, began: time.Now(), hurry: make(chan struct{}, 1), round: make(chan struct{}),
		stop: make(chan struct{}),
	}
	if errors.Is(err, errSilent) {
		s.opener.first = first
	}
	s.refused(fmt.Errorf("the spool %s cannot be used: %w", o.Dir, err))
	go s.openLater()
	return s
}

// attempt is how a try to open the files has ended.
type attempt struct {
	files *Spool
	err   error
}

var errSilent = errors.New("the disk does not answer")

// within waits for an attempt, for so long at most; then it returns errSilent.
func within(first <-chan attempt, limit time.Duration) (*Spool, error) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case a := <-first:
		return a.files, a.err
	case <-timer.C:
		return nil, fmt.Errorf("%w within %v", errSilent, limit)
	}
}

const (
	// firstOpen is the time before the second try to open a spool; it doubles up to mostOpen.
	firstOpen = 100 * time.Millisecond
	mostOpen  = 30 * time.Second
	// quietOpen is how long an earlier spool of this process may take to end.
	quietOpen = 15 * time.Second
	// patience is how long a disk may take to answer before its spool is opened in the background.
	patience = 5 * time.Second
)

// opener opens the files of a spool when that is possible. nil does nothing.
type opener struct {
	options Options
	began   time.Time
	// first is set if the first try, which is under way yet, is to be waited for.
	first <-chan attempt
	// hurry has an element if the next try is to be now.
	hurry chan struct{}
	stop  chan struct{}
	once  sync.Once

	mu sync.Mutex
	// round is closed and replaced after each try.
	round chan struct{}
	// handing is set while the directory is only just being left by this process, and over
	// when there will be no other try.
	handing, over bool
}

// openLater tries until the files are open or the spool is closed.
func (s *Spool) openLater() {
	o := s.opener
	if o.first != nil && s.openedAtLast() {
		return
	}
	for pause := firstOpen; ; {
		timer := time.NewTimer(pause)
		select {
		case <-o.stop:
		case <-o.hurry:
		case <-timer.C:
		}
		timer.Stop()
		if o.stopped() {
			o.tried(false, true)
			return
		}
		err := s.openNow()
		o.tried(ours(err), err == nil)
		if err == nil {
			return
		}
		s.refused(err)
		if pause = min(2*pause, mostOpen); ours(err) && !o.late() {
			pause = firstOpen
		}
	}
}

// openedAtLast waits for the end of the first try, and reports whether there is nothing left to try.
// A spool that is closed meanwhile is not waited for; its files are closed when there are any.
func (s *Spool) openedAtLast() bool {
	o := s.opener
	a := <-o.first
	if a.err == nil {
		a.err = s.take(a.files)
	}
	over := a.err == nil || o.stopped()
	o.tried(ours(a.err), over)
	if !over {
		s.refused(a.err)
	}
	return over
}

// refused notes that the files cannot be opened, and why.
func (s *Spool) refused(err error) {
	o := s.opener
	o.mu.Lock()
	o.handing = ours(err)
	o.mu.Unlock()
	if ours(err) && !o.late() {
		return
	}
	if s.missing.Set(true) {
		s.log.Warn("the spool cannot be used; traces are kept in memory while there is room, and it is tried again and again", "error", err)
	}
}

// ours reports whether the only thing in the way is another spool of this process.
func ours(err error) bool {
	var used inUseError
	return errors.As(err, &used) && used.ours()
}

// late reports whether an earlier spool should have ended long ago.
func (o *opener) late() bool { return time.Since(o.began) >= quietOpen }

func (o *opener) stopped() bool {
	select {
	case <-o.stop:
		return true
	default:
		return false
	}
}

// tried tells those who wait how a try has ended.
func (o *opener) tried(handing, over bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.handing, o.over = handing, over
	close(o.round)
	o.round = make(chan struct{})
}

// end keeps the files from being opened from now on. A try that is under way closes them.
func (o *opener) end() {
	if o != nil {
		o.once.Do(func() { close(o.stop) })
	}
}

// Await is for the end, when what is in memory must go to the disk: it has the files opened
// now if they are not, and waits for that, for so long at most. While an earlier spool of this
// process is ending, it waits for that, too.
func (s *Spool) Await(limit time.Duration) {
	o := s.opener
	if o == nil {
		return
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for tried := false; ; tried = true {
		o.mu.Lock()
		round, wait := o.round, !o.over && (!tried || o.handing)
		o.mu.Unlock()
		if !wait {
			return
		}
		if !tried {
			select {
			case o.hurry <- struct{}{}:
			default:
			}
		}
		select {
		case <-round:
		case <-timer.C:
			return
		}
	}
}

// Pending reports whether there are no files yet, so that nobody knows what is in them.
func (s *Spool) Pending() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writer == nil
}

// absent reports whether there are no files yet. s.io is held.
func (s *Spool) absent() bool { return s.lock == nil }

// openNow opens the files and makes them those of s. What an earlier process was sending goes
// behind all others, because s may be sending something else.
func (s *Spool) openNow() error {
	f, err := open(s.opener.options)
	if err != nil {
		return err
	}
	return s.take(f)
}

// take makes files that have been opened those of s.
func (s *Spool) take(f *Spool) (err error) {
	if left := f.Left(); left.Payload != nil {
		err = f.Postpone(left)
	}
	if err != nil || !s.adopt(f) {
		return errors.Join(err, f.closeFiles())
	}
	if s.missing.Set(false) {
		s.log.Info("the spool can be used now")
	}
	return nil
}

// adopt takes over the files of f, whose account is continued. It reports false if s is
// closed.
func (s *Spool) adopt(f *Spool) bool {
	s.io.Lock()
	defer s.io.Unlock()
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return false
	}
	own := s.account
	s.account, s.start = f.account, f.start
	s.account.add(&own)
	s.lock, s.file, s.slot, s.held, s.ages = f.lock, f.file, f.slot, f.held, f.ages
	s.segments, s.write, s.read, s.uncounted = f.segments, f.write, f.read, f.uncounted
	s.place = s.account.next // all that was found is older than what is being sent
	s.writer = startAccountWriter(s.commit)
	s.mu.Unlock()
	s.measure()
	s.update(func(*account) {})
	return true
}

// add adds what was counted without a file.
func (a *account) add(own *account) {
	a.accepted, a.sent = a.accepted.Plus(own.accepted), a.sent.Plus(own.sent)
	for cause, c := range own.lost {
		a.lose(cause, c)
	}
}
