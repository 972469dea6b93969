// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// Upgrade makes the account of a directory one of a later version.
func Upgrade(dir string) error {
	name := filepath.Join(dir, "account")
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	for _, c := range [][]byte{b[:accountCopy], b[accountCopy:]} {
		length := binary.LittleEndian.Uint32(c[12:])
		binary.LittleEndian.PutUint32(c[8:], version+1)
		binary.LittleEndian.PutUint32(c[16:], accountSum(c, c[accountBody:accountBody+length]))
	}
	return os.WriteFile(name, b, fileMode)
}

// Stall makes the disk stall when the account of s is written next, until release is
// called. s must not be in use yet.
func Stall(s *Spool) (release func()) { return Stalls(s)() }

// Stalls is Stall for a disk that stalls again and again: whenever stall is called. s must
// not be in use yet.
func Stalls(s *Spool) (stall func() (release func())) {
	var mu sync.Mutex
	gate := make(chan struct{})
	close(gate)
	write := s.writer.write
	s.writer.write = func() uint64 {
		mu.Lock()
		wait := gate
		mu.Unlock()
		<-wait
		return write()
	}
	return func() (release func()) {
		mu.Lock()
		defer mu.Unlock()
		next := make(chan struct{})
		gate = next
		return func() { close(next) }
	}
}

// OnAccount has f called before and after each write of the account of s, while whatever
// changed it waits. s must not be in use yet.
func OnAccount(s *Spool, f func()) {
	write := s.writer.write
	s.writer.write = func() uint64 {
		f()
		defer f()
		return write()
	}
}

// FailAccount makes writes of the account of s fail until mend is called. s must not be
// in use.
func FailAccount(s *Spool) (mend func(), err error) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	good := s.file.file
	s.file.file = full
	return func() {
		s.file.file = good
		full.Close()
	}, nil
}

// ForkLock opens the lock of s once more, as a child does that was just forked.
func ForkLock(s *Spool) (fd int, err error) { return unix.Dup(int(s.lock.Fd())) }

// OpenSilent is OpenAnyhow on a disk that does not answer until answer is closed.
func OpenSilent(o Options, answer <-chan struct{}) *Spool {
	return openAnyhow(o, func(o Options) (*Spool, error) {
		<-answer
		return open(o)
	})
}
