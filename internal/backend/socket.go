// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// socketMode lets the owner and the group of the socket connect. What they may ask for then
// is another matter.
const socketMode = 0o660

// socket is a unix socket that is listened on.
type socket struct {
	*net.UnixListener
	path string
	lock *os.File
	info fs.FileInfo
}

// listenUnix listens on a unix socket. One that a dead agent left behind is replaced; that of
// a live one is not, nor what is not a socket. Of two agents that start at once, one gets
// it: whoever has a lock on a file beside the socket. group is the number of the group to
// which it belongs, -1 for the agent's own.
func listenUnix(path string, group int) (*socket, error) {
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("%s is not an absolute path", path)
	}
	if err := makeDir(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("cannot make the directory of the socket: %w; make it for the agent's user %d (systemd: RuntimeDirectory)", err, os.Geteuid())
	}
	lock, err := lockFile(path + ".lock")
	if err != nil {
		return nil, err
	}
	s := &socket{path: path, lock: lock}
	if err := s.listen(group); err != nil {
		if s.UnixListener != nil {
			s.UnixListener.Close()
		}
		lock.Close()
		return nil, err
	}
	return s, nil
}

// makeDir makes a directory, and those above it, that whoever may connect can enter, whatever
// the umask. What exists stays as it is.
func makeDir(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := makeDir(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	return os.Chmod(dir, 0o755)
}

func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot lock the socket: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("another agent serves on this socket (%s is locked); stop it, or choose another path", path)
	}
	return f, nil
}

func (s *socket) listen(group int) error {
	if err := removeStale(s.path); err != nil {
		return err
	}
	// Until it belongs to the group, nobody but the owner may connect. The mode of the socket
	// before it is bound is that of the file.
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var inner error
		err := c.Control(func(fd uintptr) { inner = unix.Fchmod(int(fd), 0o600) })
		return errors.Join(err, inner)
	}}
	l, err := config.Listen(context.Background(), "unix", s.path)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w", s.path, err)
	}
	s.UnixListener = l.(*net.UnixListener)
	s.SetUnlinkOnClose(false)
	if err := os.Lchown(s.path, -1, group); err != nil {
		return fmt.Errorf("cannot give the socket to group %d: %w; let the agent run in that group, too (systemd: SupplementaryGroups)", group, err)
	}
	if err := os.Chmod(s.path, socketMode); err != nil {
		return err
	}
	s.info, err = os.Lstat(s.path)
	return err
}

// removeStale removes a socket that nobody listens on.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s exists and is not a socket; remove it, or choose another path", path)
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
		return fmt.Errorf("another process serves on %s; stop it, or choose another path", path)
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return fmt.Errorf("whether another process serves on %s: %w", path, err)
	}
	return os.Remove(path)
}

// Close ends listening and removes the socket, unless it is another one by now.
func (s *socket) Close() error {
	err := s.UnixListener.Close()
	if now, statErr := os.Lstat(s.path); statErr == nil && os.SameFile(now, s.info) {
		err = errors.Join(err, os.Remove(s.path))
	}
	return errors.Join(err, s.lock.Close())
}
