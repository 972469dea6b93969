// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// store is the directory with a directory for each tenant, in which rules.v4 and rules.v6 are
// what is in force. While a change is made, rules.v4.new is what is to be in force: it is on
// the disk before the kernel is touched, so that a full disk refuses the change instead of
// losing it, and it becomes rules.v4 by renaming, when all is in force. So whoever finds it
// after a crash knows that the change was not finished, and goes back to rules.v4.
type store struct {
	dir  string
	lock *os.File
}

// lockName is the file that two processes cannot have locked at a time.
const lockName = ".lock"

// openStore makes the directory if there is none, and locks it for as long as the process
// lives.
func openStore(dir string) (*store, error) {
	if !filepath.IsAbs(dir) {
		return nil, fmt.Errorf("the firewall's state directory %q is not an absolute path", dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("the firewall's state directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the firewall's state directory: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = fmt.Errorf("another process has the firewall's state directory %s: ask the agent that runs, or stop it", dir)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &store{dir: dir, lock: f}, nil
}

// close lets others have the directory. The lock would outlive the file if a process is just being
// started, which has the file until it executes its program.
func (s *store) close() error {
	return errors.Join(unix.Flock(int(s.lock.Fd()), unix.LOCK_UN), s.lock.Close())
}

// tenants returns the IDs of the tenants that have a directory, in order.
func (s *store) tenants() ([]string, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("the firewall's state directory: %w", err)
	}
	var ids []string
	for _, e := range entries {
		if e.IsDir() && tenant.CheckID(e.Name()) == nil {
			ids = append(ids, e.Name())
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// path returns the file with the tenant's rules.
func (s *store) path(id string, f header.Family) string {
	return filepath.Join(s.dir, id, fmt.Sprintf("rules.v%d", f))
}

// nextSuffix is what the name of a file ends in that is not in force yet.
const nextSuffix = ".new"

// read returns what is in force; "" if there is nothing.
func (s *store) read(id string, f header.Family) (string, error) { return readText(s.path(id, f)) }

// readNext returns what an unfinished change has left; "" if there is nothing.
func (s *store) readNext(id string, f header.Family) (string, error) {
	return readText(s.path(id, f) + nextSuffix)
}

func readText(path string) (string, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return string(text), err
}

// intend writes what is to be in force.
func (s *store) intend(id string, f header.Family, text string) (err error) {
	path := s.path(id, f)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	out, err := os.OpenFile(path+nextSuffix, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = out.WriteString(text)
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return errors.Join(err, os.Remove(path+nextSuffix))
	}
	return nil
}

// commit says that what was intended is in force.
func (s *store) commit(id string, f header.Family) error {
	path := s.path(id, f)
	if err := os.Rename(path+nextSuffix, path); err != nil {
		return err
	}
	return errors.Join(syncDir(filepath.Dir(path)), syncDir(s.dir))
}

// forget says that what was intended is not in force.
func (s *store) forget(id string, f header.Family) error {
	return gone(os.Remove(s.path(id, f) + nextSuffix))
}

// remove removes all that is kept of a tenant. Files that are not ours stay, and so does the
// directory then.
func (s *store) remove(id string) error {
	var errs []error
	for _, f := range families() {
		errs = append(errs, s.forget(id, f), gone(os.Remove(s.path(id, f))))
	}
	err := gone(os.Remove(filepath.Join(s.dir, id)))
	if errors.Is(err, unix.ENOTEMPTY) {
		err = nil
	}
	return errors.Join(append(errs, err, syncDir(s.dir))...)
}

// gone makes it no error that something is not there.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// syncDir makes sure that a crash does not undo what was renamed or removed in a directory.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return gone(err)
	}
	return errors.Join(f.Sync(), f.Close())
}

func families() []header.Family { return []header.Family{header.V4, header.V6} }
