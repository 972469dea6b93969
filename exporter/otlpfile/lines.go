// SPDX-License-Identifier: Apache-2.0

package otlpfile

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
)

// lineWriter lets only whole lines into a file: what a failed write has left of a
// line is taken back, and the next line may try again. It asks the file how long it is and
// remembers nothing of it, because others may rename or truncate it at any time.
type lineWriter struct {
	path   string
	rotate Rotation
	log    *slog.Logger

	// wanted is set while the file is to be opened anew.
	wanted atomic.Bool

	// file changes with mu held. Who closes it does not wait for mu: somebody may be stuck in a
	// write.
	file atomic.Pointer[os.File]

	mu sync.Mutex
	// regular is set if it has a name that can be given to another one.
	regular bool
	// broken is set when the rest of a line could not be taken back, as from a pipe.
	broken bool
	// stuck is set while the file could not be exchanged, which was logged.
	stuck bool
}

// errBroken is for lines after an unfinished one.
var errBroken = errors.New("a partly written line could not be removed")

// openMode is what the flags of a file are: everything is written behind what is there, also
// if somebody has made it shorter meanwhile (logrotate's copytruncate). Opening a pipe to read
// as well does not wait for a reader.
const openMode = os.O_RDWR | os.O_CREATE | os.O_APPEND

func (l *lineWriter) open(flags int) error {
	if l.path == Stdout {
		l.file.Store(os.Stdout)
		return nil
	}
	f, err := os.OpenFile(l.path, openMode|flags, 0o666)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	l.file.Store(f)
	l.regular = info.Mode().IsRegular()
	return nil
}

// begin opens the file for the first time, empty or not.
func (l *lineWriter) begin(keep bool) error {
	if !keep {
		return l.open(os.O_TRUNC)
	}
	if err := l.open(0); err != nil {
		return err
	}
	if err := l.trim(); err != nil {
		return errors.Join(err, l.close())
	}
	return nil
}

func (l *lineWriter) write(lines []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.exchangeIfWanted()
	l.rotateBefore(int64(len(lines)))
	err := l.writeWhole(lines)
	l.exchangeIfWanted()
	return err
}

func (l *lineWriter) writeWhole(lines []byte) error {
	if l.broken {
		return errBroken
	}
	n, err := l.file.Load().Write(lines)
	if err != nil && n > 0 {
		l.broken = !l.takeBack(int64(n))
	}
	return err
}

// takeBack removes the last n bytes.
func (l *lineWriter) takeBack(n int64) bool {
	f := l.file.Load()
	info, err := f.Stat()
	return err == nil && l.regular && (info.Size() < n || f.Truncate(info.Size()-n) == nil)
}

// reopen opens the file anew, for somebody may have renamed it. If something is just being
// written, that happens after it: who asks does not wait.
func (l *lineWriter) reopen() {
	l.wanted.Store(true)
	for l.wanted.Load() && l.mu.TryLock() {
		l.exchangeIfWanted()
		l.mu.Unlock()
	}
}

func (l *lineWriter) exchangeIfWanted() {
	if l.wanted.Swap(false) && l.regular {
		l.exchange()
	}
}

// exchange opens the file and closes the one before. If that cannot be, what is open is
// written to as before.
func (l *lineWriter) exchange() {
	next := lineWriter{path: l.path}
	if err := next.open(0); err != nil {
		l.tell("the OTLP file cannot be opened anew; the old one is written to", err)
		return
	}
	_ = l.file.Swap(next.file.Load()).Close() // all is written
	l.regular, l.broken, l.stuck = next.regular, false, false
}

// rotateBefore gives the file another name if it would get too long.
func (l *lineWriter) rotateBefore(n int64) {
	if l.rotate.MaxBytes <= 0 || !l.regular {
		return
	}
	info, err := l.file.Load().Stat()
	if err != nil || info.Size() == 0 || info.Size()+n <= l.rotate.MaxBytes {
		return
	}
	if err := l.shift(); err != nil {
		l.tell("the OTLP file cannot be rotated; it gets longer than it may", err)
		return
	}
	l.exchange()
}

// shift renames the file and those before it; the oldest is replaced.
func (l *lineWriter) shift() error {
	for i := l.rotate.keep() - 1; i > 0; i-- {
		if err := os.Rename(l.numbered(i), l.numbered(i+1)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return os.Rename(l.path, l.numbered(1))
}

func (l *lineWriter) numbered(i int) string { return fmt.Sprintf("%s.%d", l.path, i) }

func (l *lineWriter) tell(what string, err error) {
	if !l.stuck {
		l.log.Warn(what, "path", l.path, "error", err)
	}
	l.stuck = true
}

// trim removes the line at the end of a file that a process has not written to its end before
// it was killed. What does not look like one is left alone, and ends there.
func (l *lineWriter) trim() error {
	if !l.regular {
		return nil
	}
	f, err := os.OpenFile(l.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil || size == 0 {
		return err
	}
	start, err := lastLine(f, size)
	if err != nil || start == size {
		return err
	}
	first := make([]byte, len(lineStart))
	if n, err := f.ReadAt(first, start); err != nil && !errors.Is(err, io.EOF) {
		return err
	} else if string(first[:n]) != lineStart[:n] {
		_, err := l.file.Load().WriteString("\n")
		return err
	}
	l.log.Warn("the last line of the OTLP file is incomplete; it is removed", "path", l.path, "bytes", size-start)
	return f.Truncate(start)
}

// lineStart is what each line begins with.
const lineStart = `{"resourceSpans":`

// lastLine returns where what follows the last newline begins.
func lastLine(f *os.File, size int64) (int64, error) {
	buf := make([]byte, 64<<10)
	for end := size; end > 0; {
		n := min(int64(len(buf)), end)
		if _, err := f.ReadAt(buf[:n], end-n); err != nil {
			return 0, err
		}
		for i := n - 1; i >= 0; i-- {
			if buf[i] == '\n' {
				return end - n + i + 1, nil
			}
		}
		end -= n
	}
	return 0, nil
}

// close leaves standard output open for others.
func (l *lineWriter) close() error {
	if l.path == Stdout {
		return nil
	}
	return l.file.Load().Close()
}
