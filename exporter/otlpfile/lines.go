// SPDX-License-Identifier: Apache-2.0

package otlpfile

import (
	"errors"
	"io"
)

// lineWriter lets only whole lines into a file: what a failed write has left of a
// line is taken back, and the next line may try again.
type lineWriter struct {
	file io.WriteCloser
	// size is how many bytes of whole lines are in the file.
	size int64
	// broken is set when the rest of a line could not be taken back, as from a pipe.
	broken bool
}

// errBroken is for lines after an unfinished one.
var errBroken = errors.New("a partly written line could not be removed")

func (l *lineWriter) write(line []byte) error {
	if l.broken {
		return errBroken
	}
	n, err := l.file.Write(line)
	if err == nil {
		l.size += int64(n)
		return nil
	}
	if n > 0 {
		l.broken = !l.takeBack()
	}
	return err
}

func (l *lineWriter) takeBack() bool {
	f, ok := l.file.(interface {
		io.Seeker
		Truncate(size int64) error
	})
	if !ok || f.Truncate(l.size) != nil {
		return false
	}
	_, err := f.Seek(l.size, io.SeekStart)
	return err == nil
}
